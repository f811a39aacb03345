"""Place and route on ECP5: a module between its chains is placed, and what cannot be is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tritforge.rtl.placement import place, wrapper
from tritforge.rtl.synthesis import SynthesisError


def test_a_module_is_placed_between_registers(tmp_path: Path):
    """An accumulator's lower half has no flip-flop of its own: all of them are the chains'."""
    found = place("accumulator_half", {"Width": 8, "Unknown": 1}, build_dir=tmp_path)
    assert found.fmax_mhz > 0 and found.used["TRELLIS_FF"] == found.chain_flip_flops
    assert found.used["TRELLIS_COMB"] > found.chain_flip_flops // 2
    assert all(used <= found.available[kind] for kind, used in found.used.items())


def test_every_port_but_the_clock_is_on_a_chain():
    ports = {"clk_i": ("input", 1), "a_i": ("input", 3), "sum_o": ("output", 4), "b_i": ("input", 2)}
    text, flip_flops = wrapper("adder", [("Width", 3)], ports)
    assert flip_flops == 9
    for place_of_port in (".clk_i(clk_i)", ".a_i(in_q[0 +: 3])", ".b_i(in_q[3 +: 2])", ".sum_o(out[0 +: 4])"):
        assert place_of_port in text
    assert "adder #(.Width(3)) u_module" in text


def test_what_cannot_be_placed_is_told_with_the_log(tmp_path: Path):
    with pytest.raises(SynthesisError, match="no module window"):
        place("window", build_dir=tmp_path)
    with pytest.raises(SynthesisError, match="Yosys refused adder_tree") as refusal:
        place("adder_tree", {"Inputs": 0}, build_dir=tmp_path)
    assert "ERROR" in refusal.value.details
