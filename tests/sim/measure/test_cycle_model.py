"""Predicted cycles against the counters of the simulated core, over random networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tritforge.cli.main import run
from tritforge.cost.cycle_model import predict
from tritforge.overlay.lowering import lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.results import read_result
from tritforge.samples.random_network import KINDS, random_images, random_layer_network, random_network
from tritforge.sim.measure.cycle_model import close, compare_cycles, random_cases, resnet_cases, summary
from tritforge.sim.runs.core import simulate_core

P16 = AcceleratorParameters(pes=16, slots=8192)
P8_16_BITS = AcceleratorParameters(pes=8, activation_bits=16, slots=8192)


IMAGES = 6
"""Images back to back: the first one takes its latency, the last three the time between results."""


def check(parameters: AcceleratorParameters, seed: int, count: int) -> None:
    """Random layers of every kind, then random networks: the model against the core's counters."""
    bits = parameters.activation_bits
    jobs = []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        if index < len(KINDS):
            network = random_layer_network(
                rng, KINDS[index], activation_bits=bits, group_channels=parameters.group_channels
            )
        else:
            network = random_network(rng, activation_bits=bits, group_channels=parameters.group_channels)
        jobs.append((network, random_images(rng, network, IMAGES)))
    bound_by_array = 0
    for (network, _), core in zip(jobs, simulate_core(jobs, parameters), strict=True):
        prediction = predict(lower(network, parameters), IMAGES)
        assert core.mismatches == 0
        first = core.counters[0]
        assert close(prediction.latency_cycles, first["latency"])
        between = np.mean([counters["cycles"] for counters in core.counters[IMAGES // 2 :]])
        # The bench writes pixels faster than the stream brings them; what the input bounds cannot be compared.
        if prediction.cycles_per_image >= 2 * prediction.input_cycles:
            bound_by_array += 1
            assert close(prediction.cycles_per_image, between)
            last = core.counters[IMAGES - 1]
            assert sum(layer.issued for layer in prediction.layers) <= last["issued"] + prediction.layers[0].issued
    assert bound_by_array >= count // 3


@pytest.mark.parametrize(("parameters", "seed"), [(P16, 31), (P8_16_BITS, 32)], ids=["P16", "P8-16-bits"])
def test_predictions_equal_the_counters(parameters: AcceleratorParameters, seed: int) -> None:
    check(parameters, seed, len(KINDS) + 8)


def test_images_over_the_streams_come_when_predicted() -> None:
    parameters = AcceleratorParameters()
    rows = compare_cycles(parameters, random_cases(parameters, 14, seed=4), seed=7)
    assert [row["name"] for row in rows if row["distances"] != row["predicted_distances"]] == []
    assert [row["name"] for row in rows if row["latency_cycles"] != row["predicted_latency_cycles"]] == []
    assert sum(row["mismatching_words"] for row in rows) == 0
    assert any(row["input_bound"] for row in rows) and not all(row["input_bound"] for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("pes", [4, 8, 16, 32])
def test_resnets_and_random_networks(pes: int) -> None:
    parameters = AcceleratorParameters(pes=pes)
    rows = compare_cycles(parameters, [*random_cases(parameters, 25, 40 + pes), *resnet_cases(parameters, pes)], seed=8)
    assert [row["name"] for row in rows if not row["close"]] == []
    assert sum(row["mismatching_words"] for row in rows) == 0


def row(predicted: int, measured: int, distances: tuple[int, int]) -> dict[str, Any]:
    near = close(predicted, measured) and close(*distances)
    return {
        "predicted_latency_cycles": predicted,
        "latency_cycles": measured,
        "predicted_distances": (distances[0], 50),
        "distances": (distances[1], 50),
        "input_bound": False,
        "close": near,
        "mismatching_words": 2,
    }


def test_the_summary_tells_the_worst_of_all_networks() -> None:
    told = summary([row(100, 100, (50, 50)), row(1010, 1000, (200, 200)), row(100, 109, (64, 80))])
    assert told == {
        "networks": 3,
        "networks_close": 2,
        "networks_exact": 1,
        "networks_input_bound": 0,
        "latency_error": 9 / 109,
        "distance_error": 0.2,
        "mismatching_words": 6,
    }


def test_bench_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = tmp_path / "model.json"
    assert run(["bench", "model", "--networks", "2", "--no-resnets", "--seed", "1", "--json", str(told)]) == 0
    metrics = read_result(told).metrics
    assert metrics["networks"] == metrics["networks_exact"] == len(metrics["rows"]) == 2
    assert "networks_exact          2" in capsys.readouterr().out
