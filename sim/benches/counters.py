"""counters: random events against a model; a snapshot holds one instant."""

from __future__ import annotations

import random
from collections import deque

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.sim.benches.common import start

EVENTS = {
    "busy_cycles_o": "busy_i",
    "groups_issued_o": "issue_i",
    "stall_windows_o": "stall_windows_i",
    "stall_accumulators_o": "stall_accumulators_i",
    "stall_schedule_o": "stall_schedule_i",
    "images_started_o": "image_start_i",
    "images_done_o": "image_done_i",
}
OUTPUTS = ("cycles_o", "groups_skipped_o", "last_latency_o", *EVENTS)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def counters_match_the_model(dut) -> None:
    """Snapshots and clears at random instants; up to four images on their way. Events count a cycle late."""
    source = random.Random(cocotb.RANDOM_SEED)
    for name in (*EVENTS.values(), "skipped_valid_i", "clear_i", "snapshot_i"):
        getattr(dut, name).value = 0
    await start(dut)
    count, snapshot = dict.fromkeys(OUTPUTS, 0), dict.fromkeys(OUTPUTS, 0)
    started: deque[int] = deque()
    late: tuple[int, dict[str, bool], int] = (0, {}, 0)
    taken = False
    for cycle in range(6000):
        active = {name: source.random() < 0.5 for name in EVENTS.values()}
        active["image_done_i"] = bool(started) and source.random() < 0.003 * len(started) ** 3
        active["image_start_i"] = len(started) < 4 and source.random() < 0.05
        clear, take, skip = source.random() < 0.002, source.random() < 0.1, source.random() < 0.3
        skipped = source.getrandbits(24)
        for name, value in active.items():
            getattr(dut, name).value = value
        dut.skipped_valid_i.value, dut.skipped_i.value = skip, skipped
        dut.clear_i.value, dut.snapshot_i.value = clear, take
        await ReadOnly()
        if not taken:
            assert {name: int(getattr(dut, name).value) for name in OUTPUTS} == snapshot, f"cycle {cycle}"
        if take:
            snapshot = dict(count)
        taken = take
        for output, name in EVENTS.items():
            count[output] += late[1].get(name, False)
        count["cycles_o"] += 1
        count["groups_skipped_o"] = (count["groups_skipped_o"] + late[2]) & 0xFFFFFFFF
        count["last_latency_o"] = late[0] or count["last_latency_o"]
        latency = 0
        if active["image_done_i"]:
            latency = cycle - started.popleft()
        if active["image_start_i"]:
            started.append(cycle)
        late = latency, active, skip * skipped
        if clear:
            count = dict.fromkeys(OUTPUTS, 0)
        await RisingEdge(dut.clk_i)
