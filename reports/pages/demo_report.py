"""The demo's report: one self-contained page drawn from the result file, the details and the network file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tritforge.errors import ResultFileError
from tritforge.files import atomic_write, reason
from tritforge.network.file import load_network
from tritforge.network.pe_groups import nonzero_groups
from tritforge.reports.drawing.bars import Bar, scaled
from tritforge.reports.drawing.layer_mosaic import layer_mosaic
from tritforge.reports.drawing.memory_map import COLUMNS, memory_map
from tritforge.reports.drawing.pages import template
from tritforge.reports.drawing.png import data_uri
from tritforge.results import read_result

RESULT = "result.json"
DETAILS = "details.json"
REPORT = "report.html"
SMALLEST_BYTES = 10.0
MEMORIES = {
    "weights": "trits of the stored groups, 36 bits a word",
    "bitmaps": "which groups are stored and active",
    "affine": "M and B of each output channel",
    "descriptors": "the layers",
}


def write_demo_report(folder: Path) -> Path:
    """Draw ``report.html`` in a demo's run folder; returns its path.

    Raises:
        ResultFileError: a file of the run is missing or is not what the demo writes.
        NetworkError: the network file cannot be read.
    """
    result = read_result(folder / RESULT)
    details = read_details(folder / DETAILS)
    try:
        page = _render(asdict(result), details, folder)
    except KeyError as error:
        raise ResultFileError(f"{folder}: the files of the demo lack {error}; run tritforge demo again") from error
    target = folder / REPORT
    atomic_write(target, page.encode())
    return target


def read_details(path: Path) -> dict[str, Any]:
    """The details that a demo wrote; raises ResultFileError when they cannot be read."""
    try:
        details = json.loads(path.read_bytes())
    except OSError as error:
        raise ResultFileError(f"cannot read {path}: {reason(error)}") from error
    except ValueError as error:
        raise ResultFileError(f"{path} is not a JSON file: {error}") from error
    if not isinstance(details, dict) or details.get("schema") != 1:
        raise ResultFileError(f"{path} is not a demo's details of schema 1")
    return details


def _render(result: dict[str, Any], details: dict[str, Any], folder: Path) -> str:
    metrics = result["metrics"]
    return template("demo.html.j2").render(
        result=result,
        m=metrics,
        details=details,
        mosaics=_mosaics(folder / details["network"]),
        layers=_layer_bars(details["layers"]),
        accuracy=_accuracy_bars(metrics),
        sizes=_size_bars(metrics),
        memories=_memory_maps(details),
        samples=[sample | {"picture": digit_picture(sample["pixels"])} for sample in details["samples"]],
        memory_columns=COLUMNS,
    )


def _mosaics(path: Path) -> list[dict[str, Any]]:
    network = load_network(path)
    pictures = []
    for layer in network.ternary_layers():
        stored = nonzero_groups(layer.weights, network.group_channels)
        pixels = layer_mosaic(layer, network.group_channels)
        pictures.append(
            {
                "name": layer.name,
                "shape": " × ".join(map(str, layer.weights.shape)),
                "groups": stored.size,
                "zero": stored.size - int(stored.sum()),
                "zero_trits": float(np.mean(layer.weights == 0)),
                "width": pixels.shape[1],
                "picture": data_uri(pixels),
            }
        )
    return pictures


def _layer_bars(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per layer the bars with every group issued and with zero groups skipped, and the ideal as a mark."""
    top = max(max(layer["cycles_dense"], layer["tiles"] * layer["groups"]) for layer in layers)
    rows = []
    for layer in layers:
        ideal = layer["tiles"] * layer["nonzero_groups"]
        bars = [
            Bar("every group", layer["cycles_dense"], f"{layer['cycles_dense']:,}", "dense"),
            Bar("zero groups skipped", layer["cycles_sparse"], f"{layer['cycles_sparse']:,}", "sparse"),
            Bar("ideal", ideal, f"{ideal:,}", "ideal"),
        ]
        rows.append(
            {"name": layer["name"], "groups": layer["groups"], "nonzero": layer["nonzero_groups"]}
            | {bar.kind: bar for bar in scaled(bars, top)}
        )
    return rows


def _accuracy_bars(metrics: dict[str, Any]) -> list[Bar]:
    values = (
        ("before the patch", "accuracy_before_patch", "dense"),
        ("after the patch, by the RTL", "accuracy_after_patch", "sparse"),
        ("full retraining", "accuracy_full_retraining", "other"),
    )
    return scaled((Bar(label, metrics[key], f"{metrics[key]:.2f} %", kind) for label, key, kind in values), 100.0)


def _size_bars(metrics: dict[str, Any]) -> list[Bar]:
    values = (
        ("patch", "patch_bytes", "sparse"),
        ("full update, same codec", "full_update_bytes", "dense"),
        ("overlay program, raw", "program_bytes", "other"),
    )
    bars = (Bar(label, metrics[key], f"{metrics[key]:,} bytes", kind) for label, key, kind in values)
    return scaled(bars, decades_from=SMALLEST_BYTES)


def _memory_maps(details: dict[str, Any]) -> list[dict[str, Any]]:
    maps = []
    for name, meaning in MEMORIES.items():
        memory = details["memories"][name]
        starts = [part["first"] for part in details["weight_words"]] if name == "weights" else []
        pixels = memory_map(memory["words"], memory["changed"], starts)
        maps.append(
            {"name": name, "meaning": meaning, "words": memory["words"], "changed": len(memory["changed"])}
            | {"width": pixels.shape[1], "picture": data_uri(pixels)}
        )
    return maps


def digit_picture(rows: list[list[int]]) -> str:
    """A picture of an image's pixels 0 to 255, dark ink growing opaque."""
    ink = np.clip(np.array(rows), 0, 255).astype(np.uint8)
    pixels = np.zeros((*ink.shape, 4), dtype=np.uint8)
    pixels[..., 3] = ink
    return data_uri(pixels)
