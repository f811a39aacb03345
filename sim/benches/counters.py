"""counters: random events against a model; a snapshot holds one instant."""

from __future__ import annotations

import random
from collections import deque

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.overlay.register_map import Register
from tritforge.sim.benches.common import start

EVENTS = {
    Register.BUSY_CYCLES: "busy_i",
    Register.GROUPS_ISSUED: "issue_i",
    Register.STALL_WINDOWS: "stall_windows_i",
    Register.STALL_ACCUMULATORS: "stall_accumulators_i",
    Register.STALL_SCHEDULE: "stall_schedule_i",
    Register.IMAGES_STARTED: "image_start_i",
    Register.IMAGES_DONE: "image_done_i",
}
COUNTERS = tuple(register for register in Register if Register.CYCLES <= register <= Register.LAST_LATENCY)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def counters_match_the_model(dut) -> None:
    """Snapshots, clears and resets at random instants; up to four images on their way. Events count a cycle late.

    A counter is read in every cycle; what is read while a snapshot is written is not compared.
    """
    source = random.Random(cocotb.RANDOM_SEED)
    for name in (*EVENTS.values(), "skipped_valid_i", "clear_i", "snapshot_i"):
        getattr(dut, name).value = 0
    await start(dut)
    count, snapshot = dict.fromkeys(COUNTERS, 0), dict.fromkeys(COUNTERS, 0)
    asked: deque[Register] = deque(maxlen=2)
    held: dict[Register, int] | None = None  # the snapshot of the cycle before
    compared = dict.fromkeys(COUNTERS, 0)
    started: deque[int] = deque()
    late: tuple[int, dict[str, bool], int] = (0, {}, 0)
    taken = False
    resets = 0
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
        dut.rst_i.value = reset = source.random() < 0.002
        asking = source.choice(COUNTERS)
        dut.addr_i.value = (asking - Register.CYCLES) // 4
        await ReadOnly()
        if held is not None and len(asked) == 2:
            assert int(dut.rdata_o.value) == held[asked[0]], f"cycle {cycle}: {asked[0].name}"
            compared[asked[0]] += 1
        asked.append(asking)
        held = None if taken else snapshot
        if take:
            snapshot = dict(count)
        taken = take
        for counter, name in EVENTS.items():
            count[counter] += late[1].get(name, False)
        count[Register.CYCLES] += 1
        count[Register.GROUPS_SKIPPED] = (count[Register.GROUPS_SKIPPED] + late[2]) & 0xFFFFFFFF
        count[Register.LAST_LATENCY] = late[0] or count[Register.LAST_LATENCY]
        latency = 0
        if active["image_done_i"]:
            latency = cycle - started.popleft()
        if active["image_start_i"]:
            started.append(cycle)
        late = latency, active, skip * skipped
        if clear or reset:
            count = dict.fromkeys(COUNTERS, 0)
        if reset:
            snapshot, taken, late = dict(count), False, (0, {}, 0)
            started.clear()
            resets += 1
        await RisingEdge(dut.clk_i)
    assert min(compared.values()) > 400 and resets > 5
