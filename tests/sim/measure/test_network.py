"""bench network: what its summary says of made-up counters, and one measurement through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tritforge.cli.main import run
from tritforge.errors import TritforgeError
from tritforge.network.network import Network
from tritforge.overlay.issued_groups import issued_groups
from tritforge.overlay.lowering import lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.samples.resnet_network import resnet_network
from tritforge.sim.measure import network as bench_network
from tritforge.sim.measure.network import Piece, pieces, pixels, summary

PARAMETERS = AcceleratorParameters(pes=16)
NETWORK = resnet_network(20, 0.5, group_channels=PARAMETERS.group_channels)


def figures(network: Network, piece: Piece, cycles: float, differing: int = 0) -> dict[str, Any]:
    names = [layer.name for layer in network.layers]
    counters = {"cycles": 7, "issued": 5, "stall_windows": 2, "stall_accumulators": 1}
    return {
        "images": piece.count,
        "words": 100,
        "differing": dict.fromkeys(names, 0) | {"stage1.block1.conv1": differing, "stream": 0},
        "cycles_per_image": cycles,
        "latency_cycles": 20,
        "layers": {name: counters for name in names},
        "layers_alone": {name: counters for name in names},
    }


def test_pieces_cover_every_image_once() -> None:
    parts = pieces(120, 7)
    assert [(part.first, part.count) for part in parts if not part.every_group] == [(0, 50), (50, 50), (100, 20)]
    assert [(part.first, part.count) for part in parts if part.every_group] == [(0, 7)]
    assert len({part.name for part in parts}) == len(parts)


def test_an_image_depends_on_its_number_alone() -> None:
    assert np.array_equal(pixels(NETWORK, 3, 4, seed=1)[2:], pixels(NETWORK, 5, 2, seed=1))
    assert not np.array_equal(pixels(NETWORK, 5, 2, seed=1), pixels(NETWORK, 5, 2, seed=2))


def test_summary_of_made_up_pieces() -> None:
    parts = [Piece(True, 0, 3), Piece(False, 0, 5), Piece(False, 5, 3)]
    given = zip(parts, [300.0, 100.0, 130.0], [0, 2, 3], strict=True)
    told = summary(NETWORK, PARAMETERS, [(part, figures(NETWORK, part, c, d)) for part, c, d in given])
    assert told["images"] == 8 and told["images_every_group"] == 3 and told["words"] == 300
    assert told["mismatching_words"] == 5 and told["differing_layers"] == {"stage1.block1.conv1": 5}
    assert told["cycles_per_image"] == 110.0 and told["cycles_per_image_every_group"] == 300.0  # four and two distances
    groups = issued_groups(lower(NETWORK, PARAMETERS))
    ideal = sum(g.tiles * g.groups for g in groups) / sum(g.tiles * g.nonzero_groups for g in groups)
    assert told["ideal_speedup"] == ideal == told["issued_groups_every_group"] / told["issued_groups"]
    assert told["efficiency"] == pytest.approx(300 / 110 / ideal)
    by_name = {row["name"]: row for row in told["layers"]}
    assert [name for name, row in by_name.items() if row["multi_bit"]] == ["stem", "classifier"]
    assert told["first_and_last_layer_cycles"] == 14
    for layer in NETWORK.ternary_layers():
        row = by_name[layer.name]
        assert row["nonzero_groups"] * 2 == row["groups"]  # exactly half of every ternary layer
    assert by_name["stem"]["nonzero_groups"] == by_name["stem"]["groups"]
    assert told["energy_model_nj"]["total"] < told["energy_model_nj_every_group"]["total"]
    json.dumps(told)


def test_a_measurement_is_exact_agrees_with_the_model_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITFORGE_BUILD", str(Path.cwd() / "build"))
    monkeypatch.chdir(tmp_path)
    line = "bench network --images 4 --dense-images 2 --processes 2 --out runs --json n.json"
    assert run(line.split()) == 0
    told = json.loads((tmp_path / "n.json").read_text())["metrics"]
    words = sum(int(np.prod(NETWORK.shapes[layer.name])) for layer in NETWORK.layers)
    assert told["words"] == words * (4 + 2 + 2) and told["mismatching_words"] == 0
    assert told["issued_groups"] < told["cycles_per_image"] < told["cycles_per_image_every_group"]
    assert sum(row["issued"] for row in told["layers"]) == told["issued_groups"]
    assert abs(told["predicted_cycles_per_image"] / told["cycles_per_image"] - 1) < 0.01
    assert abs(told["predicted_latency_cycles"] - told["latency_cycles"]) <= 8

    def refuse(*_: object) -> None:
        raise TritforgeError("run again")

    monkeypatch.setattr(bench_network, "run_piece", refuse)
    again = line.replace("--processes 2", "--processes 1")
    assert run(again.split()) == 0  # from the folder
    assert json.loads((tmp_path / "n.json").read_text())["metrics"] == told
    assert run(again.replace("--images 4", "--images 5").split()) == 2  # another piece: it would have to run
