"""The group scheduler's properties are proven, and a scheduler that breaks one is found out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tritforge.rtl import hdl_sources
from tritforge.rtl.proof import ProofError, prove, search

CYCLES = 8
"""From reset to what shows every fault below: three cycles to the first group, and a word of several."""

FAULTS = {
    "skips a group": ("left  = rest_q & (rest_q - 1'b1)", "left  = rest_q & (rest_q - 1'b1) & (rest_q - 2'd2)"),
    "repeats a group": ("end else if (take) begin", "end else if (take && !load_q) begin"),
    "highest channel first": ("(rest_q & GroupChannels'((64'd1 << i) - 1)) == '0", "(rest_q >> i) == 1'b1"),
    "a stall drops a group": ("found_ready = !group_valid_o || group_ready_i", "found_ready = 1'b1"),
    "a stall repeats a group": (
        "word_ready_o = !valid_q || (take && done)",
        "word_ready_o = !valid_q || (valid_q && done)",
    ),
    "slot off by one": ("AddrBits'($countones(found_below_q))", "AddrBits'($countones(found_below_q)) + 1'b1"),
    "slots of groups that are not stored": ("below & stored_q", "below"),
    "windows move on at every group": ("load_q <= 1'b0", "load_q <= load_q"),
    "the pass ends too early": ("last: last_q && done", "last: last_q"),
    "a reset leaves a group behind": ("if (rst_i) found_valid_q <= 1'b0;\n    else if", "if"),
}


@pytest.mark.parametrize("group_channels", [8, 16])
def test_every_active_group_comes_exactly_once_in_order_with_its_slot(group_channels: int) -> None:
    prove("group_scheduler", {"GroupChannels": group_channels})


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_scheduler_is_found_out(fault: str, tmp_path: Path) -> None:
    right, wrong = FAULTS[fault]
    sources = hdl_sources("group_scheduler")
    code = sources[-1].read_text(encoding="utf-8")
    assert code.count(right) == 1, "the source has changed: plant the fault anew"
    broken = tmp_path / "group_scheduler.sv"
    broken.write_text(code.replace(right, wrong), encoding="utf-8")
    with pytest.raises(
        ProofError, match=r"within 8 cycles[^$]*Assert failed in group_scheduler: group_scheduler_proof"
    ):
        search("group_scheduler", {"GroupChannels": 8}, CYCLES, [*sources[:-1], broken])


def test_a_fault_that_no_short_run_shows_fails_the_induction(tmp_path: Path) -> None:
    sources = hdl_sources("group_scheduler")
    code = sources[-1].read_text(encoding="utf-8")
    broken = tmp_path / "group_scheduler.sv"
    slot = "word_slot_i"
    broken.write_text(code.replace(f"slot_q   <= {slot}", f"slot_q   <= {slot} ^ AddrBits'(rest_q == '1)"), "utf-8")
    assert broken.read_text("utf-8") != code
    with pytest.raises(ProofError):
        prove("group_scheduler", {"GroupChannels": 8}, [*sources[:-1], broken])
