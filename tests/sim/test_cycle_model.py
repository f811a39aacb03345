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


@pytest.mark.parametrize(("parameters", "seed"), [(P16, 31), (P8_16_BITS, 32)], ids=["P16", "P8-16-bits"])
def test_predictions_equal_the_counters(parameters: AcceleratorParameters, seed: int) -> None:
    bits = parameters.activation_bits
    jobs = []
    for index in range(len(KINDS) + 8):
        rng = np.random.default_rng([seed, index])
        if index < len(KINDS):
            network = random_layer_network(rng, KINDS[index], activation_bits=bits)
        else:
            network = random_network(rng, activation_bits=bits)
        jobs.append((network, random_images(rng, network, 1)))
    for (network, _), run in zip(jobs, simulate_core(jobs, parameters), strict=True):
        prediction, counters = predict(lower(network, parameters)), run.counters[0]
        # The core's counter leaves out the cycle of the start pulse.
        measured = counters["cycles"] + 1
        assert prediction.issued == counters["issued"]
        assert abs(prediction.latency_cycles - measured) <= max(measured / 100, 8)
        for stall in ("stall_windows", "stall_accumulators"):
            total = sum(getattr(layer, stall) for layer in prediction.layers)
            assert abs(total - counters[stall]) <= max(measured / 100, 8)
