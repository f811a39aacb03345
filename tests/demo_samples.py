"""The files of a demo that never ran, on a random network: for tests of the summary and of the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from network_samples import changed

from tritforge.cli.demo.steps import NETWORK, PATCH, SHIFTED, UPDATED
from tritforge.cli.demo.summary import Demo, demo_details, demo_metrics
from tritforge.cli.shared.step_folder import Done
from tritforge.network.file import save_network
from tritforge.network.reference import classify
from tritforge.network.trit_order import network_trits
from tritforge.overlay.issued_groups import issued_groups
from tritforge.overlay.lowering import fitting_parameters, lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.patches.patch import diff, full_update_bytes
from tritforge.results import Result, write_result
from tritforge.samples.random_network import random_images, random_network


def made_up_demo(root: Path, seed: int = 5) -> Demo:
    """A demo whose trained network is random and whose hardware ran as the reference says, at invented cycles."""
    rng = np.random.default_rng(seed)
    network = random_network(rng, activation_bits=8, max_channels=48, group_channels=16)
    updated = changed(network, seed, 0.02)
    parameters = fitting_parameters(network, AcceleratorParameters())
    images, labels = random_images(rng, network, 6), rng.integers(0, network.classes, 6)
    trained_folder, updated_folder = root / "training-seed0", root / "update-seed0"
    (trained_folder / NETWORK).parent.mkdir(parents=True)
    updated_folder.mkdir()
    save_network(trained_folder / NETWORK, network)
    save_network(updated_folder / UPDATED, updated)
    patch = diff(network, updated, 1)
    (updated_folder / PATCH).write_bytes(patch)
    np.savez(updated_folder / SHIFTED, images=images, labels=labels)
    trits = network_trits(network), network_trits(updated)
    difference = int((trits[0] != trits[1]).sum())
    training = {
        "full_precision_accuracy": 99.5,
        "fake_quantised_accuracy": 98.25,
        "integer_accuracy": 98.0,
        "equal_argmax_fraction": 0.9975,
        "zero_group_fraction": 0.545,
    }
    update = {
        "patch_bytes": len(patch),
        "full_update_bytes": full_update_bytes(network),
        "updating_ratio": difference / trits[0].size,
        "changed_trits": difference,
        "accuracy_before_patch": 61.5,
        "accuracy_after_patch": 93.25,
        "accuracy_full_retraining": 97.125,
        "original_accuracy_after_patch": 96.0,
    }
    groups = issued_groups(lower(network, parameters))
    sparse = {layer.name: {"cycles": 40 + layer.tiles * layer.nonzero_groups, "issued": 7} for layer in groups}
    dense = {layer.name: {"cycles": 50 + layer.tiles * layer.groups, "issued": 9} for layer in groups}
    simulated = {
        "sparse": _inference(6, [0] * 6, 1300.0, 0) | {"layers": sparse},
        "dense": _inference(2, [0] * 2, 1950.0, 0) | {"layers": dense},
    }
    classes = classify(updated, images).tolist()
    patched = {
        "refusal": "patch: the checksum of section <values> does not match its bytes",
        "after_refusal": _inference(2, classes[:2], 1310.0, 0),
        "applied": {"words_written": 17, "pause_cycles": 21, "mode": "staged", "version": 2},
        "patched": _inference(6, classes, 1305.0, 0) | {"accuracy": 93.25},
    }
    return Demo(
        parameters,
        Done(training, trained_folder, False),
        Done(simulated, root / "simulation", False),
        Done(update, updated_folder, False),
        Done(patched, root / "patching", False),
    )


def write_made_up_demo(root: Path, seed: int = 5) -> tuple[dict[str, Any], dict[str, Any]]:
    """The run folder that the report reads; returns metrics and details as written."""
    demo = made_up_demo(root, seed)
    metrics, details = demo_metrics(demo), demo_details(demo, root)
    write_result(
        root / "result.json", Result(command="tritforge demo", metrics=metrics, seeds=[0], revision="0123abcd")
    )
    (root / "details.json").write_text(json.dumps(details), encoding="utf-8")
    return metrics, details


def _inference(images: int, classes: list[int], cycles: float, mismatching: int) -> dict[str, Any]:
    return {
        "images": images,
        "accuracy": 50.0,
        "classes": classes,
        "versions": [1],
        "words": 1000 * images,
        "mismatching_words": mismatching,
        "cycles_per_image": cycles,
        "latency_cycles": 1400,
        "layers": {},
    }
