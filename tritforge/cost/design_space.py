"""Accelerators for one network side by side: predicted cycles, modelled energy, what each is made of, the best ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import product
from typing import Any

from tritforge.cost.cycle_model import predict
from tritforge.cost.energy_model import energy
from tritforge.network.network import Network
from tritforge.overlay.lowering import lower, smallest_depths
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.spaces import TABLE

ASSUMED_MHZ = 100
"""Clock for rates: assumed, nothing was placed for 7-series."""

Row = dict[str, Any]


def parameter_sets(
    pes: Sequence[int], group_channels: Sequence[int], activation_bits: Sequence[int], pass_outputs: Sequence[int]
) -> Iterator[AcceleratorParameters]:
    """Every combination, with default depths."""
    for p, channels, bits, outputs in product(pes, group_channels, activation_bits, pass_outputs):
        yield AcceleratorParameters(pes=p, group_channels=channels, activation_bits=bits, pass_outputs=outputs)


def model(network: Network, parameters: AcceleratorParameters) -> Row:
    """One accelerator with the smallest memories that hold the network.

    Returns:
        Parameters, ``lanes`` (add/subtract lanes of all PEs), ``adder_bits`` (lanes times activation bits),
        ``memory_bits`` (program, feature maps and accumulators), predicted cycles, images a second at the assumed
        clock, and modelled energy of an image.

    Raises:
        CapacityError: the network does not fit these widths, whatever the depths.
    """
    fitted = replace(parameters, **smallest_depths(network, parameters))
    program = lower(network, fitted)
    prediction, spent = predict(program), energy(program)
    lanes = fitted.pes * fitted.lanes
    return {
        **asdict(fitted),
        "lanes": lanes,
        "adder_bits": lanes * fitted.activation_bits,
        "memory_bits": memory_bits(fitted),
        "cycles_per_image": float(prediction.cycles_per_image),
        "latency_cycles": prediction.latency_cycles,
        "ideal_cycles": prediction.ideal_cycles,
        "images_per_s_at_100_mhz": ASSUMED_MHZ * 1e6 / prediction.cycles_per_image,
        "energy_model_nj": round(spent.total, 1),
        "core_energy_model_nj": round(spent.core, 1),
    }


def memory_bits(parameters: AcceleratorParameters) -> int:
    """Bits of program memories, feature-map banks and accumulators; staging and pool sums are left out."""
    program = sum(space.words(parameters) * space.word_bits for space in TABLE)
    maps = parameters.feature_words * parameters.group_channels * parameters.activation_bits
    sums = 2 * parameters.pass_outputs * parameters.accumulator_bits
    return program + parameters.pes * (maps + sums)


def pareto(rows: Iterable[Mapping[str, Any]], objectives: Sequence[str]) -> list[int]:
    """Indices of the rows that no other one beats: as small in every objective, smaller in one, and as wide.

    Rows of more activation bits are only beaten by such; a row that equals an earlier one in everything is left out.
    """
    points = [(-row["activation_bits"], *(row[name] for name in objectives)) for row in rows]
    front = []
    for index, point in enumerate(points):
        beaten = any(
            all(a <= b for a, b in zip(other, point, strict=True)) and (other != point or place < index)
            for place, other in enumerate(points)
        )
        if not beaten:
            front.append(index)
    return front


def name_of(parameters: AcceleratorParameters) -> str:
    """``P16-C16-A8-N64``: what tells the sets of a design space apart."""
    return f"P{parameters.pes}-C{parameters.group_channels}-A{parameters.activation_bits}-N{parameters.pass_outputs}"
