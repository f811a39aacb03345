"""Properties of the way from bitmap words to groups are proven, and a module that breaks one is found out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tritforge.rtl import hdl_sources
from tritforge.rtl.proof import ProofError, prove, search

CYCLES = 8
"""From reset to what shows every fault below: two or three cycles to a first result, and a few words."""

SCHEDULER = {
    "skips a group": ("rest_q  <= after_q;", "rest_q  <= without_lowest(after_q);"),
    "repeats a group": ("end else if (take) begin", "end else if (take && !load_q) begin"),
    "highest channel first": ("if (first[i] && rest_q[i])", "if (rest_q[i])"),
    "a stall drops a group": ("= !group_valid_o || group_ready_i", "= 1'b1"),
    "a stall repeats a group": ("= !valid_q || (take && done)", "= !valid_q || (valid_q && done)"),
    "slot off by one": ("AddrBits'($countones(found_below_q))", "AddrBits'($countones(found_below_q)) + 1'b1"),
    "slots of groups that are not stored": ("below & stored_q", "below"),
    "windows move on at every group": ("load_q  <= 1'b0", "load_q  <= load_q"),
    "the pass ends too early": ("last: last_q && done", "last: last_q"),
    "a reset leaves a group behind": ("if (rst_i) group_valid_o <= 1'b0;\n    else if", "if"),
}
SCANNER = {
    "slots of active groups alone": ("AddrBits'($countones(stored))", "AddrBits'($countones(active))"),
    "windows for every word": ("filled && (meta2_q.first_of_group || !loaded_q)", "filled"),
    "windows for a first word alone": ("meta2_q.first_of_group || !loaded_q", "meta2_q.first_of_group"),
    "entries of empty words": ("take_fresh = filled ||", "take_fresh = meta2_q.valid ||"),
    "a pass does not end": ("pushed.last = held_q.last || (ends_pass && !filled)", "pushed.last = held_q.last"),
    "an entry is overwritten": ("(held_q.last || filled || ends_pass)", "(held_q.last || ends_pass)"),
    "an empty pass is forgotten": ("filled || (ends_pass && (!held_valid_q || held_q.last))", "filled"),
    "a reset leaves an entry behind": ("if (rst_i) held_valid_q <= 1'b0;\n    else if", "if"),
}
FIFO = {
    "the last place is never used": ("count_o != CountWidth'(Depth);", "count_o < CountWidth'(Depth - 1);"),
    "an entry too many": ("ready_o = count_o != CountWidth'(Depth)", "ready_o = 1'b1"),
    "a pop at the head of an empty one": ("pop     = valid_o && ready_i", "pop     = ready_i"),
    "entries stay": ("if (pop) read_q <= read_q + 1'b1;", "if (pop && !push) read_q <= read_q + 1'b1;"),
}
FAULTS = [
    *(("group_scheduler", {"GroupChannels": 8}, *fault) for fault in SCHEDULER.items()),
    *(("bitmap_scanner", {"GroupChannels": 8, "PassOutputs": 32}, *fault) for fault in SCANNER.items()),
    *(("fifo", {"Width": 2, "Depth": 2}, *fault) for fault in FIFO.items()),
]


@pytest.mark.parametrize(
    ("module", "parameters"),
    [
        ("group_scheduler", {"GroupChannels": 8}),
        pytest.param("group_scheduler", {"GroupChannels": 16}, marks=pytest.mark.slow),
        ("bitmap_scanner", {"GroupChannels": 8, "PassOutputs": 32}),
        ("bitmap_scanner", {"GroupChannels": 16}),
        ("fifo", {"Width": 4, "Depth": 2}),
        ("fifo", {"Width": 4, "Depth": 8}),
    ],
    ids=str,
)
def test_proven(module: str, parameters: dict[str, int]) -> None:
    prove(module, parameters)


def planted(module: str, right: str, wrong: str, folder: Path) -> list[Path]:
    """Sources of a module with a fault in it."""
    sources = {path.stem: path for path in hdl_sources(module)}
    code = sources[module].read_text(encoding="utf-8")
    assert code.count(right) == 1, "the source has changed: plant the fault anew"
    broken = folder / f"{module}.sv"
    broken.write_text(code.replace(right, wrong), encoding="utf-8")
    return [*({**sources, module: broken}).values()]


@pytest.mark.parametrize(
    ("module", "parameters", "fault", "change"), FAULTS, ids=[f"{fault[0]}: {fault[2]}" for fault in FAULTS]
)
def test_a_fault_is_found_out(
    module: str, parameters: dict[str, int], fault: str, change: tuple[str, str], tmp_path: Path
) -> None:
    found = rf"within {CYCLES} cycles[^$]*Assert failed in {module}: {module}_proof"
    with pytest.raises(ProofError, match=found):
        search(module, parameters, CYCLES, planted(module, *change, tmp_path))


def test_a_fault_that_no_short_run_shows_fails_the_induction(tmp_path: Path) -> None:
    sources = planted("bitmap_scanner", "InFlight  = 4", "InFlight  = 3", tmp_path)  # full FIFOs, after many words
    with pytest.raises(ProofError, match="the step of induction fails"):
        prove("bitmap_scanner", {"GroupChannels": 8}, sources)
