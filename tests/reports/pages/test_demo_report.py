from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demo_samples import write_made_up_demo
from page_reader import Page, percent, picture

from tritforge.errors import ResultFileError
from tritforge.network.file import load_network
from tritforge.network.pe_groups import nonzero_groups
from tritforge.reports.drawing.memory_map import COLUMNS, PITCH
from tritforge.reports.drawing.palette import ORANGE
from tritforge.reports.pages.demo_report import SMALLEST_BYTES, write_demo_report


class Drawn:
    """A run folder, what is in its files, and its page read back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metrics, self.details = write_made_up_demo(folder)
        self.draw()

    def draw(self) -> None:
        self.text = write_demo_report(self.folder).read_text(encoding="utf-8")
        self.page = Page(self.text)

    def change(self, **details: Any) -> None:
        (self.folder / "details.json").write_text(json.dumps(self.details | details), encoding="utf-8")
        self.draw()


@pytest.fixture()
def drawn(tmp_path: Path) -> Drawn:
    return Drawn(tmp_path)


def test_the_page_needs_nothing_else(drawn: Drawn) -> None:
    assert "http" not in drawn.text
    for element in drawn.page.elements:
        assert element.tag not in ("script", "link", "iframe")
        assert element.attributes.get("src", "data:").startswith("data:")


def test_every_layer_has_its_three_cycle_counts(drawn: Drawn) -> None:
    widest = max(max(layer["cycles_dense"], layer["tiles"] * layer["groups"]) for layer in drawn.details["layers"])
    for layer in drawn.details["layers"]:
        dense, sparse = drawn.page.bars("data-layer", layer["name"])
        assert (float(dense.attributes["data-value"]), float(sparse.attributes["data-value"])) == (
            layer["cycles_dense"],
            layer["cycles_sparse"],
        )
        assert percent(dense) == pytest.approx(100 * layer["cycles_dense"] / widest, abs=1e-3)
        assert percent(sparse) == pytest.approx(100 * layer["cycles_sparse"] / widest, abs=1e-3)
        (ideal,) = (
            e
            for e in drawn.page.elements
            if e.attributes.get("class") == "ideal" and e.inside("data-layer", layer["name"])
        )
        assert float(ideal.attributes["data-value"]) == layer["tiles"] * layer["nonzero_groups"]


def test_a_wrong_cycle_count_moves_its_bar(drawn: Drawn) -> None:
    layers = [dict(layer) for layer in drawn.details["layers"]]
    name, before = layers[0]["name"], percent(drawn.page.bars("data-layer", layers[0]["name"])[1])
    layers[0]["cycles_sparse"] += 10
    drawn.change(layers=layers)
    assert percent(drawn.page.bars("data-layer", name)[1]) > before


def test_accuracy_bars_are_drawn_from_zero_to_a_hundred(drawn: Drawn) -> None:
    lengths = [percent(bar) for bar in drawn.page.bars("data-chart", "accuracy")]
    names = ("accuracy_before_patch", "accuracy_after_patch", "accuracy_full_retraining")
    assert lengths == pytest.approx([drawn.metrics[name] for name in names], abs=1e-3)


def test_byte_bars_are_logarithmic(drawn: Drawn) -> None:
    lengths = [percent(bar) for bar in drawn.page.bars("data-chart", "bytes")]
    sizes = [drawn.metrics[name] for name in ("patch_bytes", "full_update_bytes", "program_bytes")]
    expected = [math.log(size / SMALLEST_BYTES) for size in sizes]
    assert np.array(lengths) / 100 == pytest.approx(np.array(expected) / max(expected), abs=1e-4)


def test_mosaics_count_the_networks_own_groups(drawn: Drawn) -> None:
    network = load_network(drawn.folder / drawn.details["network"])
    figures = {e.attributes["data-layer"]: e for e in drawn.page.elements if "data-zero" in e.attributes}
    assert list(figures) == [layer.name for layer in network.ternary_layers()]
    for layer in network.ternary_layers():
        stored = nonzero_groups(layer.weights, network.group_channels)
        figure = figures[layer.name]
        assert int(figure.attributes["data-groups"]) == stored.size
        assert int(figure.attributes["data-zero"]) == int((~stored).sum())
        assert f"{int((~stored).sum())} of {stored.size} groups zero" in figure.text


def test_memory_maps_show_the_words_of_the_patch(drawn: Drawn) -> None:
    for name, memory in drawn.details["memories"].items():
        (image,) = (e for e in drawn.page.elements if e.tag == "img" and e.inside("data-memory", name))
        rows, columns = np.nonzero(np.all(picture(image)[::PITCH, ::PITCH] == ORANGE, axis=2))
        assert (rows * COLUMNS + columns).tolist() == memory["changed"]
    assert drawn.details["memories"]["weights"]["changed"]


def test_the_table_holds_every_metric(drawn: Drawn) -> None:
    cells = [e.text.strip() for e in drawn.page.elements if e.tag == "td" and e.inside("id", "metrics")]
    assert dict(zip(cells[::2], cells[1::2], strict=True)) == {
        name: str(value) for name, value in drawn.metrics.items() if name != "step_seconds"
    }


def test_text_is_escaped(drawn: Drawn) -> None:
    assert drawn.details["refusal"].count("<values>") == 1
    assert "<values>" not in drawn.text and "&lt;values&gt;" in drawn.text


def test_samples_tell_both_classes(drawn: Drawn) -> None:
    told = [e.text for e in drawn.page.elements if e.tag == "figcaption" and "→" in e.text]
    assert told == [f"{sample['before']} → {sample['after']}" for sample in drawn.details["samples"]]


@pytest.mark.parametrize("name", ["result.json", "details.json"])
def test_missing_and_broken_files_are_named(tmp_path: Path, name: str) -> None:
    write_made_up_demo(tmp_path)
    (tmp_path / name).write_text("{", encoding="utf-8")
    with pytest.raises(ResultFileError, match=f"{name} is not a JSON file"):
        write_demo_report(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ResultFileError, match=f"cannot read .*{name}"):
        write_demo_report(tmp_path)


def test_details_that_lack_a_part_are_told(drawn: Drawn) -> None:
    del drawn.details["memories"]
    with pytest.raises(ResultFileError, match="lack 'memories'"):
        drawn.change()
