"""program_state: what each command does in each state, and that no image starts while the program changes."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.overlay.register_map import State
from tritforge.sim.benches.common import start

RELOAD = 37
INPUTS = ("enable", "load", "activate", "commit", "soft_reset", "array_busy", "copy_done", "descriptor_written")


class TB:
    """Plays the core (reload) and the copier; counts what is seen."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.reload_left = 0
        self.copy_left: int | None = None
        self.descriptor_at: int | None = None
        self.reloads = self.copies = self.refused = self.commits_done = 0

    async def reset(self) -> None:
        for name in INPUTS:
            getattr(self.dut, f"{name}_i").value = 0
        self.dut.entries_i.value = self.dut.next_version_i.value = 0
        self.dut.program_ready_i.value = 0
        await start(self.dut)

    async def cycle(self, **inputs: int) -> None:
        """One cycle with these inputs; commands last for it alone. Outputs read afterwards are those of that cycle."""
        dut = self.dut
        for name, value in inputs.items():
            getattr(dut, f"{name}_i").value = value
        dut.program_ready_i.value = self.reload_left == 0
        dut.copy_done_i.value = self.copy_left == 0
        dut.descriptor_written_i.value = self.copy_left is not None and self.copy_left == self.descriptor_at
        await ReadOnly()
        if self.copy_left is not None:
            self.copy_left = self.copy_left - 1 if self.copy_left else None
        self.reload_left = RELOAD if dut.reload_o.value else max(0, self.reload_left - 1)
        if dut.copy_start_o.value:
            self.copies += 1
            self.copy_left = int(dut.entries_i.value) + 1
        if dut.soft_reset_o.value:  # core and copier are reset too
            self.copy_left, self.reload_left = None, 0
        self.reloads += int(dut.reload_o.value)
        self.refused += int(dut.refused_o.value)
        self.commits_done += int(dut.commit_done_o.value)
        if dut.start_allowed_o.value:
            assert self.state == State.VALID and dut.enable_i.value and not dut.commit_pending_o.value
        assert dut.open_o.value == 0 or self.state == State.LOADING
        await RisingEdge(dut.clk_i)
        for name in ("activate", "commit", "soft_reset"):
            getattr(dut, f"{name}_i").value = 0

    @property
    def state(self) -> State:
        return State(int(self.dut.state_o.value))

    async def until(self, state: State, limit: int = 200) -> None:
        for _ in range(limit):
            if self.state == state:
                return
            await self.cycle()
        raise AssertionError(f"{state.name} did not come within {limit} cycles")

    async def load(self, version: int) -> None:
        """Through loading to valid."""
        await self.cycle(load=1)
        await self.until(State.LOADING)
        await self.cycle(load=0, next_version=version)
        await self.cycle(activate=1)
        await self.until(State.VALID)
        assert int(self.dut.version_o.value) == version


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_program_is_loaded_and_activated(dut) -> None:
    """Loading waits for the array, activation for CONTROL.load to be cleared and for the core to have the header."""
    tb = TB(dut)
    await tb.reset()
    await tb.cycle(enable=1)
    assert tb.state == State.EMPTY and dut.start_allowed_o.value == 0
    await tb.cycle(activate=1)
    await tb.cycle(commit=1)
    assert tb.refused == 2 and tb.state == State.EMPTY
    await tb.cycle(load=1)
    await tb.cycle()
    assert tb.state == State.LOADING and dut.open_o.value == 1
    await tb.cycle(activate=1)  # CONTROL.load is still set
    await tb.cycle(commit=1)
    assert tb.refused == 4 and tb.state == State.LOADING
    await tb.cycle(load=0, next_version=0x80000001)
    await tb.cycle(activate=1)
    await tb.cycle()
    assert tb.state == State.LOADING and dut.open_o.value == 0
    for _ in range(RELOAD):
        assert tb.state == State.LOADING and dut.version_o.value == 0
        await tb.cycle()
    await tb.until(State.VALID, 4)
    assert int(dut.version_o.value) == 0x80000001 and (tb.reloads, tb.copies) == (1, 0)
    await tb.cycle()
    assert dut.start_allowed_o.value == 1
    await tb.cycle(array_busy=1, load=1)
    for _ in range(20):
        await tb.cycle()
        assert tb.state == State.VALID and dut.start_allowed_o.value == 0
    await tb.cycle(array_busy=0)
    await tb.until(State.LOADING, 2)
    assert tb.refused == 4 and tb.commits_done == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(entries=[0, 1, 40], busy=[0, 25], descriptor=[None, 0, 3])
async def a_commit_waits_copies_and_is_timed(dut, entries: int, busy: int, descriptor: int | None) -> None:
    """The pause counts from the array's first idle cycle; the core reloads only when a descriptor was written."""
    tb = TB(dut)
    tb.descriptor_at = descriptor
    await tb.reset()
    await tb.load(7)
    await tb.cycle(enable=1, array_busy=bool(busy), entries=entries, next_version=8)
    await tb.cycle(commit=1)
    for waited in range(busy):
        await tb.cycle(commit=waited == 3)
        assert dut.commit_pending_o.value == 1 and tb.state == State.VALID and tb.copies == 0
    pause = 0
    dut.array_busy_i.value = 0
    await tb.cycle()
    while not tb.commits_done:
        assert int(dut.version_o.value) == 7 and dut.start_allowed_o.value == 0
        pause += 1
        await tb.cycle()
    assert dut.start_allowed_o.value == 1
    assert int(dut.commit_pause_o.value) == pause
    assert int(dut.version_o.value) == 8
    reloaded = descriptor is not None and descriptor <= entries
    assert (tb.reloads, tb.copies, tb.refused) == (1 + reloaded, 1, int(busy > 0))
    assert pause <= entries + 32 or reloaded
    await tb.cycle()
    assert tb.commits_done == 1 and dut.start_allowed_o.value == 1 and int(dut.commit_pause_o.value) == pause


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_commit_of_too_much_is_refused(dut) -> None:
    """As many entries as staging has are copied; one more is refused."""
    tb = TB(dut)
    await tb.reset()
    await tb.load(1)
    size = int(dut.Staging.value)
    await tb.cycle(entries=size + 1, next_version=2)
    await tb.cycle(commit=1)
    await tb.cycle()
    assert tb.refused == 1 and tb.state == State.VALID and dut.commit_pending_o.value == 0
    await tb.cycle(entries=size, commit=1)
    await tb.cycle(load=1)  # the commit goes first
    await tb.until(State.COMMITTING)
    await tb.until(State.LOADING, size + 10)
    assert int(dut.version_o.value) == 2 and tb.commits_done == 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(point=["valid", "loading", "activating", "pending", "copying"])
async def a_soft_reset_empties(dut, point: str) -> None:
    """From every state; it is held for SoftResetCycles and nothing of before goes on."""
    tb = TB(dut)
    await tb.reset()
    await tb.load(3)
    await tb.cycle(enable=1, entries=60, next_version=4)
    if point in ("loading", "activating"):
        await tb.cycle(load=1)
        await tb.until(State.LOADING)
        await tb.cycle(load=0)
        await tb.cycle(activate=point == "activating")
    elif point != "valid":
        await tb.cycle(commit=1, array_busy=point == "pending")
        await tb.cycle()
        await tb.cycle()
    await tb.cycle(soft_reset=1)
    for held in range(int(dut.SoftResetCycles.value)):
        await tb.cycle(array_busy=0)
        assert dut.soft_reset_o.value == 1 and dut.start_allowed_o.value == 0
        assert tb.state == State.EMPTY or held == 0
    await tb.cycle()
    assert dut.soft_reset_o.value == 0
    for _ in range(80):
        await tb.cycle()
        assert tb.state == State.EMPTY and dut.version_o.value == 0 and dut.commit_pending_o.value == 0
    assert tb.commits_done == 0
    await tb.load(9)


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(hard=[False, True])
async def a_reset_at_any_cycle_of_a_commit_takes_it_back(dut, hard: bool) -> None:
    """Also of one that waits for the array, however long the array takes to empty; the next program sees none of it."""
    tb = TB(dut)
    tb.descriptor_at = 1
    await tb.reset()
    moments = [(0, delay, 0) for delay in range(RELOAD + 12)]
    moments += [(1, delay, leaves) for delay in range(3) for leaves in (0, 1, 2, 7)]
    taken_back = set()
    for busy, delay, leaves in moments:
        await tb.load(3)
        await tb.cycle(enable=1, array_busy=busy, entries=4, next_version=4)
        await tb.cycle(commit=1)
        for _ in range(delay):
            await tb.cycle()
        state = tb.state, int(dut.commit_pending_o.value)
        if hard:
            dut.rst_i.value = 1
            await tb.cycle(array_busy=0)
            dut.rst_i.value = 0
            tb.copy_left, tb.reload_left = None, 0
            seen = tb.copies, tb.reloads, tb.commits_done
            await tb.cycle()
        else:
            await tb.cycle(soft_reset=1)
            copies = tb.copies
            for held in range(int(dut.SoftResetCycles.value)):
                await tb.cycle(array_busy=busy and held < leaves)
                assert dut.soft_reset_o.value == 1 and dut.start_allowed_o.value == 0
                if held == 0:  # what was decided in the cycle of the command is still seen
                    seen = copies, tb.reloads, tb.commits_done
        for _ in range(RELOAD):
            await tb.cycle()
            assert dut.soft_reset_o.value == 0
            assert tb.state == State.EMPTY and dut.version_o.value == 0 and dut.commit_pending_o.value == 0
        assert (tb.copies, tb.reloads, tb.commits_done) == seen
        taken_back.add(state)
        await tb.load(9)
        for _ in range(12):
            await tb.cycle()
            assert tb.state == State.VALID and dut.start_allowed_o.value == 1
        assert tb.copies == seen[0] and int(dut.version_o.value) == 9
    assert taken_back == {(State.VALID, 1), (State.COMMITTING, 0), (State.VALID, 0)}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_soft_reset_that_is_asked_for_again_begins_anew(dut) -> None:
    """It lasts SoftResetCycles from the last command."""
    tb = TB(dut)
    await tb.reset()
    await tb.load(1)
    await tb.cycle(soft_reset=1)
    length = int(dut.SoftResetCycles.value)
    for _ in range(length // 2):
        await tb.cycle()
    await tb.cycle(soft_reset=1)
    for _ in range(length):
        await tb.cycle()
        assert dut.soft_reset_o.value == 1
    await tb.cycle()
    assert dut.soft_reset_o.value == 0
