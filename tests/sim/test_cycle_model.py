"""Predicted cycles against the counters of the simulated core, over random networks."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from tritforge.cycle_model import predict
from tritforge.lowering import fitting_parameters, lower
from tritforge.network import Network
from tritforge.parameters import AcceleratorParameters
from tritforge.random_network import KINDS, random_images, random_layer_network, random_network
from tritforge.sim.bench_cycle_model import close, compare_cycles, random_cases, resnet_cases
from tritforge.sim.core_simulation import simulate_core

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
            network = random_layer_network(rng, KINDS[index], activation_bits=bits)
        else:
            network = random_network(rng, activation_bits=bits)
        jobs.append((network, random_images(rng, network, IMAGES)))
    bound_by_array = 0
    for (network, _), run in zip(jobs, simulate_core(jobs, parameters), strict=True):
        prediction = predict(lower(network, parameters), IMAGES)
        assert run.mismatches == 0
        first = run.counters[0]
        assert close(prediction.latency_cycles, first["latency"])
        between = np.mean([counters["cycles"] for counters in run.counters[IMAGES // 2 :]])
        # The bench writes pixels faster than the stream brings them; what the input bounds cannot be compared.
        if prediction.cycles_per_image >= 2 * prediction.input_cycles:
            bound_by_array += 1
            assert close(prediction.cycles_per_image, between)
            last = run.counters[IMAGES - 1]
            assert sum(layer.issued for layer in prediction.layers) <= last["issued"] + prediction.layers[0].issued
    assert bound_by_array >= count // 3


@pytest.mark.parametrize(("parameters", "seed"), [(P16, 31), (P8_16_BITS, 32)], ids=["P16", "P8-16-bits"])
def test_predictions_equal_the_counters(parameters: AcceleratorParameters, seed: int) -> None:
    check(parameters, seed, len(KINDS) + 8)


def test_images_over_the_streams_come_when_predicted() -> None:
    parameters = AcceleratorParameters()
    fit = (case for case in random_cases(parameters, 40, 6) if not too_large(case[1], parameters))
    rows = compare_cycles(parameters, islice(fit, 16), seed=7)
    assert [row["name"] for row in rows if row["distances"] != row["predicted_distances"]] == []
    assert [row["name"] for row in rows if row["latency_cycles"] != row["predicted_latency_cycles"]] == []
    assert sum(row["mismatching_words"] for row in rows) == 0
    assert any(row["input_bound"] for row in rows) and not all(row["input_bound"] for row in rows)


def too_large(network: Network, parameters: AcceleratorParameters) -> bool:
    return fitting_parameters(network, parameters, every_group=False) != parameters


@pytest.mark.slow
@pytest.mark.parametrize("pes", [4, 8, 16, 32])
def test_resnets_and_random_networks(pes: int) -> None:
    parameters = AcceleratorParameters(pes=pes)
    rows = compare_cycles(parameters, [*random_cases(parameters, 25, 40 + pes), *resnet_cases(parameters, pes)], seed=8)
    assert [row["name"] for row in rows if not row["close"]] == []
    assert sum(row["mismatching_words"] for row in rows) == 0
