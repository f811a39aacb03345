"""group_issue: a group goes when its windows and its accumulators are there, and into the right ones."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.sim.benches.common import PAUSES, pause, reset_again, start
from tritforge.sim.benches.records import GROUP, GROUP_LAYER, pack_record, unpack_record

PASSES = 60


class TB:
    """Groups, windows and returned buffers; every output is foretold in every cycle."""

    def __init__(self, dut, groups: str, windows: str, buffers: str) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.channels, self.outputs = int(dut.GroupChannels.value), int(dut.PassOutputs.value)
        self.blocks = 2 * self.outputs // self.channels
        self.active = [pause(pattern, self.random) for pattern in (groups, windows, buffers)]
        self.stream: list[dict[str, int]] = []
        self.offering = self.full = False
        self.waiting: dict[str, int] | None = None  # at the issue
        self.starved: dict[str, int] | None = None  # waited for a buffer in the cycle before
        self.first = True
        self.position = self.base = 0  # of the ring, of the pass that fills
        self.free = self.blocks
        self.filling: list[int] = []  # blocks that the passes took which have not ended, with those they skipped
        self.draining: list[int] = []  # blocks of the passes that ended
        self.tags: list[tuple[int, ...]] = [(0,) * 5] * 2
        self.moves = 0
        self.stalls = {"windows": 0, "accumulators": 0}

    def layer(self, buffer_log2: int, count: int) -> list[dict[str, int]]:
        """Groups of random passes of a layer, some passes without a group."""
        layer = {"slot": self.random.getrandbits(1), "quad_shift": self.random.getrandbits(1)}
        layer["buffer_log2"] = buffer_log2
        groups = []
        for _ in range(count):
            length = self.random.choice((1, 1, 2, 5, 12))
            empty = length == 1 and self.random.random() < 0.5
            for index in range(length):
                groups.append(
                    {
                        "layer": pack_record(GROUP_LAYER, **layer),
                        "empty": int(empty),
                        "load": int(not empty and (index == 0 or self.random.random() < 0.3)),
                        "last": int(index == length - 1),
                        "shift": self.random.randrange(32),
                        "channel": self.random.randrange(self.channels << buffer_log2),
                        "slot": self.random.getrandbits(16),
                    }
                )
        return groups

    def needed(self, group: dict[str, int]) -> tuple[int, int]:
        """Where the next pass begins in the ring, and the blocks that it takes on the way there and for itself."""
        size = 1 << unpack_record(GROUP_LAYER, group["layer"])["buffer_log2"]
        skipped = -self.position % size
        return (self.position + skipped) % self.blocks, skipped + size

    async def cycle(self) -> None:
        dut, group = self.dut, None
        self.offering = bool(self.stream) and (self.offering or next(self.active[0]))
        if self.offering:
            group = self.stream[0]
        self.full = self.full or next(self.active[1])
        gives = bool(self.draining) and next(self.active[2])
        release = self.draining.pop(0) if gives else 0
        dut.group_valid_i.value, dut.windows_full_i.value = self.offering, self.full
        dut.group_i.value = pack_record(GROUP, **group) if group else self.random.getrandbits(36)
        dut.release_i.value = release
        await ReadOnly()
        self._check_tags()
        fires = self._check_issue()
        has_buffer = not self.first or (group is not None and self.free >= self.needed(group)[1])
        takes = group is not None and has_buffer and (fires or not self.waiting)
        if group is not None:
            assert dut.group_ready_o.value == takes
        self.free += release
        tag: tuple[int, ...] = (0,) * 5
        if fires and self.waiting:
            tag = self._tag(self.waiting)
            self.full = self.full and not self.waiting["load"]
            if self.waiting["last"]:
                self.draining.append(self.filling.pop(0))
        self.moves = int(fires and bool(self.waiting and self.waiting["load"]))
        self.starved = None
        if fires or not self.waiting:
            self.waiting = None
            if group is not None and takes:
                self._take(group)
            elif group is not None:
                self.starved = group
        self.tags = [tag, self.tags[0]]
        await RisingEdge(dut.clk_i)

    def _take(self, group: dict[str, int]) -> None:
        """The group waits for the issue; the first one of a pass has taken its buffer."""
        if self.first:
            self.base, taken = self.needed(group)
            self.position = (self.position + taken) % self.blocks
            self.free -= taken
            self.filling.append(taken)
        self.first = bool(group["last"])
        self.waiting, self.offering = self.stream.pop(0), False

    def _tag(self, group: dict[str, int]) -> tuple[int, ...]:
        address = self.base * self.channels + group["channel"]
        quad_shift = unpack_record(GROUP_LAYER, group["layer"])["quad_shift"]
        return 1 - group["empty"], group["last"], address, group["shift"], quad_shift

    def _check_issue(self) -> bool:
        dut, group = self.dut, self.waiting
        fires = group is not None and (self.full or not group["load"])
        assert dut.windows_take_o.value == (fires and bool(group and group["load"]))
        assert dut.issued_o.value == (fires and not (group and group["empty"]))
        assert dut.stall_windows_o.value == (group is not None and not fires)
        assert dut.stall_accumulators_o.value == (self.starved is not None)
        self.stalls["windows"] += int(dut.stall_windows_o.value)
        self.stalls["accumulators"] += int(dut.stall_accumulators_o.value)
        told = group or self.starved
        if told:
            assert int(dut.layer_slot_o.value) == unpack_record(GROUP_LAYER, told["layer"])["slot"]
        if fires and group and not group["empty"]:
            assert int(dut.slot_o.value) == group["slot"]
        return fires

    def _check_tags(self) -> None:
        """Windows move one cycle, tags leave two cycles after the issue."""
        dut = self.dut
        valid, last, address, shift, quad_shift = self.tags[1]
        assert dut.windows_move_o.value == self.moves
        assert dut.apply_valid_o.value == valid and dut.apply_last_o.value == last
        if valid:
            assert (int(dut.apply_addr_o.value), int(dut.apply_shift_o.value)) == (address, shift)
            assert dut.apply_quad_shift_o.value == quad_shift


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(groups=PAUSES, windows=PAUSES, buffers=PAUSES)
async def groups_wait_for_windows_and_buffers(dut, groups: str, windows: str, buffers: str) -> None:
    """Layers of every size of buffer after every other, without a gap."""
    tb = TB(dut, groups, windows, buffers)
    for name in ("idle", "group_valid", "windows_full", "release"):
        getattr(dut, f"{name}_i").value = 0
    await start(dut)
    sizes = list(range((tb.outputs // tb.channels).bit_length()))
    order = sizes + sizes[::-1] + [tb.random.choice(sizes) for _ in range(8)]
    tb.stream = [group for size in order for group in tb.layer(size, tb.random.randint(1, PASSES // len(order)))]
    while tb.stream or tb.waiting or tb.draining:
        await tb.cycle()
    for _ in range(3):
        await tb.cycle()
    assert tb.free == tb.blocks
    # Without a layer in the core the ring begins anew.
    dut.idle_i.value, tb.position = 1, 0
    await tb.cycle()
    dut.idle_i.value = 0
    tb.stream = tb.layer(0, 3) + tb.layer(sizes[-1], 3)
    while tb.stream or tb.waiting or tb.draining:
        await tb.cycle()
    assert tb.stalls["windows"] or windows != "idle"
    assert tb.stalls["accumulators"] or buffers != "idle"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_reset_at_any_cycle_frees_everything(dut) -> None:
    """Also in the middle of a pass, and with groups on their way to the array."""
    inputs = ("idle", "group_valid", "windows_full", "release")
    await start(dut)
    await reset_again(dut, *inputs)
    passes = set()
    for number in range(40):
        for cycles in (number + 1, None):
            tb = TB(dut, *(["none"] * 3 if number % 2 else ["idle"] * 3))
            tb.random.seed(number)
            tb.stream = [group for size in (0, 1, 2) for group in tb.layer(size, 1 if cycles is None else 9)]
            while cycles or (cycles is None and (tb.stream or tb.waiting or tb.draining)):
                await tb.cycle()
                cycles = cycles and cycles - 1
            passes.add(tb.first)
            await reset_again(dut, "idle", "group_valid", "release")  # windows may be taken in the cycle of the reset
    assert passes == {False, True}
