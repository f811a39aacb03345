"""Predicted cycles against the counters of the simulated core, over random networks."""

from __future__ import annotations

import numpy as np
import pytest

from tritforge.cycle_model import predict
from tritforge.lowering import lower
from tritforge.parameters import AcceleratorParameters
from tritforge.random_network import KINDS, random_images, random_layer_network, random_network
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


def close(predicted: float, measured: float) -> bool:
    return abs(predicted - measured) <= max(measured / 100, 8)


@pytest.mark.parametrize(("parameters", "seed"), [(P16, 31), (P8_16_BITS, 32)], ids=["P16", "P8-16-bits"])
def test_predictions_equal_the_counters(parameters: AcceleratorParameters, seed: int) -> None:
    check(parameters, seed, len(KINDS) + 8)


@pytest.mark.slow
@pytest.mark.parametrize("pes", [4, 8, 16, 32])
def test_a_hundred_networks_in_all(pes: int) -> None:
    check(AcceleratorParameters(pes=pes, slots=8192), seed=40 + pes, count=25)
