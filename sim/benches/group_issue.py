"""group_issue: a group goes when its windows and its accumulators are there, and into the right ones."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.sim.benches.common import PAUSES, pause, start
from tritforge.sim.benches.records import GROUP, pack_record

PASSES = 25


class TB:
    """Groups, windows and returned buffers; every output is foretold in every cycle."""

    def __init__(self, dut, groups: str, windows: str, buffers: str) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.channels, self.outputs = int(dut.GroupChannels.value), int(dut.PassOutputs.value)
        self.active = [pause(pattern, self.random) for pattern in (groups, windows, buffers)]
        self.stream: list[dict[str, int]] = []
        self.offering = self.full = False
        self.out = self.free = self.passes = 0  # buffers that fill or drain, that are free; passes that ended
        self.draining = 0
        self.first = True
        self.tags: list[tuple[int, int, int, int]] = [(0, 0, 0, 0)] * 2
        self.moves = 0
        self.stalls = {"windows": 0, "accumulators": 0}

    def passes_of(self, blocks: int, count: int) -> list[dict[str, int]]:
        """Groups of random passes, some without a group, for buffers of so many channel blocks."""
        groups = []
        for _ in range(count):
            length = self.random.choice((1, 1, 2, 5, 12))
            empty = length == 1 and self.random.random() < 0.5
            for index in range(length):
                groups.append(
                    {
                        "empty": int(empty),
                        "load": int(not empty and (index == 0 or self.random.random() < 0.3)),
                        "last": int(index == length - 1),
                        "shift": self.random.randrange(32),
                        "channel": self.random.randrange(blocks * self.channels),
                        "slot": self.random.getrandbits(16),
                    }
                )
        return groups

    async def layer(self, buffer_log2: int) -> None:
        """Start a layer and issue random passes; ends when every buffer has come back."""
        self.free = 2 * self.outputs // self.channels >> buffer_log2
        self.passes = 0
        self.size = self.channels << buffer_log2
        self.stream = self.passes_of(1 << buffer_log2, PASSES)
        self.dut.buffer_log2_i.value = buffer_log2
        self.dut.start_i.value = 1
        self.dut.group_valid_i.value = self.dut.windows_full_i.value = self.dut.buffer_release_i.value = 0
        await RisingEdge(self.dut.clk_i)
        self.dut.start_i.value = 0
        while self.stream or self.out:
            await self.cycle()
        for _ in range(3):
            await self.cycle()

    async def cycle(self) -> None:
        dut, group = self.dut, None
        self.offering = bool(self.stream) and (self.offering or next(self.active[0]))
        if self.offering:
            group = self.stream[0]
        self.full = self.full or next(self.active[1])
        release = self.draining > 0 and next(self.active[2])
        dut.group_valid_i.value, dut.windows_full_i.value = self.offering, self.full
        dut.group_i.value = pack_record(GROUP, **group) if group else self.random.getrandbits(31)
        dut.buffer_release_i.value = release
        await ReadOnly()
        self._check_tags()
        fires = self._check_issue(group)
        self.draining -= release
        self.out -= release
        self.free += release
        tag = (0, 0, 0, 0)
        if fires and group:
            address = (self.passes * self.size) % (2 * self.outputs) + group["channel"]
            tag = (1 - group["empty"], group["last"], address, group["shift"])
            self.full = self.full and not group["load"]
            if self.first:
                self.free -= 1
                self.out += 1
            self.first = bool(group["last"])
            self.draining += group["last"]
            self.passes += group["last"]
            self.stream.pop(0)
            self.offering = False
        self.tags = [tag, self.tags[0]]
        self.moves = int(fires and bool(group and group["load"]))
        await RisingEdge(dut.clk_i)

    def _check_issue(self, group: dict[str, int] | None) -> bool:
        dut = self.dut
        windows = group is not None and (self.full or not group["load"])
        buffer = not self.first or self.free > 0
        fires = group is not None and windows and buffer
        if group is not None:
            assert dut.group_ready_o.value == fires
        assert dut.windows_take_o.value == (fires and bool(group and group["load"]))
        assert dut.issued_o.value == (fires and not (group and group["empty"]))
        assert dut.stall_accumulators_o.value == (group is not None and not buffer)
        assert dut.stall_windows_o.value == (group is not None and buffer and not windows)
        self.stalls["windows"] += int(dut.stall_windows_o.value)
        self.stalls["accumulators"] += int(dut.stall_accumulators_o.value)
        if fires and group and not group["empty"]:
            assert int(dut.slot_o.value) == group["slot"]
        return fires

    def _check_tags(self) -> None:
        """Windows move one cycle, tags leave two cycles after the issue."""
        dut = self.dut
        valid, last, address, shift = self.tags[1]
        assert dut.windows_move_o.value == self.moves
        assert dut.apply_valid_o.value == valid and dut.apply_last_o.value == last
        if valid:
            assert (int(dut.apply_addr_o.value), int(dut.apply_shift_o.value)) == (address, shift)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(groups=PAUSES, windows=PAUSES, buffers=PAUSES)
async def groups_wait_for_windows_and_buffers(dut, groups: str, windows: str, buffers: str) -> None:
    """A layer of each size of buffer, one after the other, with the ring's base anew in each."""
    tb = TB(dut, groups, windows, buffers)
    for name in ("start", "buffer_log2", "group_valid", "windows_full", "buffer_release"):
        getattr(dut, f"{name}_i").value = 0
    await start(dut)
    for buffer_log2 in range((tb.outputs // tb.channels).bit_length()):
        await tb.layer(buffer_log2)
    assert tb.stalls["windows"] or windows != "idle"
    assert tb.stalls["accumulators"] or buffers != "idle"
