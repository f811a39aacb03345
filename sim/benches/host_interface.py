"""host_interface over AXI4-Lite: registers, memory windows, staging and commits, events, errors and counters."""

from __future__ import annotations

import logging
import random
from itertools import cycle
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from tritforge.device import protocol
from tritforge.device.entries import entries_of
from tritforge.errors import DeviceError
from tritforge.overlay import register_map as rm
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.register_map import Register, State
from tritforge.overlay.spaces import SPACES, TABLE
from tritforge.sim.benches.common import start
from tritforge.sim.host.axi_bus import AxiBus

SMALL = AcceleratorParameters(group_channels=8, slots=16, bitmap_words=32, affine_channels=16, descriptors=16)
"""The memories of the device under test."""
SIZES = {space.name: space.words(SMALL) for space in TABLE}
BITS = {space.name: space.word_bits for space in TABLE}
RELOAD = 30
IDLE_INPUTS = (
    *("array_busy_i", "early_last_i", "late_last_i", "batch_done_i", "issue_i", "skipped_valid_i", "skipped_i"),
    *("stall_windows_i", "stall_accumulators_i", "stall_schedule_i", "image_start_i", "image_done_i"),
)


class TB:
    """The program memories and the layer counters behind the device, and the register protocol in front of it."""

    def __init__(self, dut) -> None:
        logging.getLogger(f"cocotb.{dut._name}.s_axil").setLevel(logging.WARNING)
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk_i, dut.rst_i)
        self.bus = AxiBus(self.master)
        self.memory = {space: [self.random.getrandbits(BITS[space]) for _ in range(SIZES[space])] for space in SPACES}
        self.layer_counters = [self.random.getrandbits(32) for _ in range(256)]
        self.writes = 0

    async def reset(self) -> None:
        for name in IDLE_INPUTS:
            getattr(self.dut, name).value = 0
        self.dut.program_ready_i.value = 1
        await start(self.dut)
        cocotb.start_soon(self._memories())
        cocotb.start_soon(self._core())

    def pause_axi(self) -> None:
        """Random pauses on all five channels."""
        master = self.master
        write, read = master.write_if, master.read_if
        for channel in (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel):
            channel.set_pause_generator(cycle([self.random.random() < 0.5 for _ in range(97)]))

    async def _memories(self) -> None:
        """Program memories and layer counters, as the device expects them: four cycles and one."""
        dut, pipe, layer = self.dut, [0] * 4, 0
        while True:
            dut.prog_rdata_i.value, dut.layer_counter_rdata_i.value = pipe[3], layer
            await FallingEdge(dut.clk_i)
            await ReadOnly()
            address, space = int(dut.prog_addr_o.value), SPACES[int(dut.prog_space_o.value)]
            inside = address < SIZES[space]
            write, word = dut.prog_we_o.value == 1, int(dut.prog_wdata_o.value)
            layer = self.layer_counters[int(dut.layer_counter_addr_o.value)]
            pipe = [self.memory[space][address] if inside else self.random.getrandbits(36), *pipe[:3]]
            if write:
                self.writes += 1
                if inside:
                    self.memory[space][address] = word & ((1 << BITS[space]) - 1)
            await RisingEdge(dut.clk_i)

    async def _core(self) -> None:
        dut = self.dut
        while True:
            await RisingEdge(dut.clk_i)
            if dut.reload_o.value:
                dut.program_ready_i.value = 0
                for _ in range(RELOAD):
                    await RisingEdge(dut.clk_i)
                dut.program_ready_i.value = 1

    def random_words(self, space: str, count: int) -> tuple[list[int], list[int]]:
        addresses = sorted(self.random.sample(range(SIZES[space]), count))
        return addresses, [self.random.getrandbits(BITS[space]) for _ in addresses]

    async def events(self) -> int:
        """Events so far; cleared."""
        events = await self.bus.do(protocol.read_register(Register.EVENTS))
        await self.bus.do(protocol.write_register(Register.EVENTS, events))
        return events

    async def pulse(self, **inputs: int) -> None:
        """Inputs that last one cycle."""
        for name, value in inputs.items():
            getattr(self.dut, name).value = value
        await RisingEdge(self.dut.clk_i)
        for name in inputs:
            getattr(self.dut, name).value = 0


async def ready(dut, pauses: bool = False) -> Any:
    """A bench with the device just out of reset."""
    tb = TB(dut)
    if pauses:
        tb.pause_axi()
    await tb.reset()
    return tb


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def capabilities_are_the_parameters(dut) -> None:
    """The identification registers, and the reset values of the others."""
    bus = (await ready(dut)).bus
    assert await bus.do(protocol.read_register(Register.ID)) == rm.ID_VALUE
    assert await bus.do(protocol.read_register(Register.MAP_VERSION)) == rm.MAP_VERSION_VALUE
    told = await bus.do(protocol.capabilities())
    assert told == {name: int(getattr(dut, name.title().replace("_", "")).value) for name in told}
    assert await bus.do(protocol.state()) == State.EMPTY and await bus.do(protocol.version()) == 0
    for register in (Register.CONTROL, Register.EVENTS, Register.STAGED, Register.BATCH, Register.COMMIT_PAUSE):
        assert await bus.do(protocol.read_register(register)) == 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(pauses=[False, True])
async def a_program_is_written_read_back_and_activated(dut, pauses: bool) -> None:
    """Every word of every space, then single words; nothing is written once the memories are closed."""
    tb = await ready(dut, pauses)
    bus = tb.bus
    await bus.do(protocol.open_memories())
    for space in SPACES:
        words = [tb.random.getrandbits(BITS[space]) for _ in range(SIZES[space])]
        await bus.do(protocol.write_words(space, range(SIZES[space]), words))
        assert tb.memory[space] == words
        addresses, words = tb.random_words(space, 12)
        await bus.do(protocol.write_words(space, addresses, words))
        assert [tb.memory[space][address] for address in addresses] == words
        assert (await bus.do(protocol.read_words(space, range(SIZES[space])))).tolist() == tb.memory[space]
    await bus.do(protocol.activate(0xC0FFEE42))
    assert await bus.do(protocol.version()) == 0xC0FFEE42
    before = {space: list(words) for space, words in tb.memory.items()}
    for space in SPACES:
        addresses, words = tb.random_words(space, 3)
        try:
            await bus.do(protocol.write_words(space, addresses, words))
            raise AssertionError(f"{space} took words while closed")
        except DeviceError:
            pass
        held = await bus.do(protocol.read_words(space, addresses))
        assert held.tolist() == [before[space][address] for address in addresses]
    assert tb.memory == before


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def what_lies_beyond_a_memory_is_not_written(dut) -> None:
    """Words past the end, partial words and the unused word of an entry raise the event and change nothing."""
    tb = await ready(dut)
    await tb.bus.do(protocol.open_memories())
    await tb.events()
    beyond = [space.offset(SIZES[space.name] + 1) - 4 for space in TABLE]
    beyond += [rm.STAGING.base + 16 * int(dut.Staging.value), rm.STAGING.base + 12]
    for offset in beyond:
        writes = tb.writes
        assert (await tb.master.write(offset, b"\xff" * 4)).resp == AxiResp.OKAY
        assert await tb.events() == rm.EVENTS_CLOSED_WRITE.mask, f"0x{offset:05X}"
        assert int.from_bytes((await tb.master.read(offset, 4)).data, "little") == 0
        assert tb.writes == writes
    before = list(tb.memory["bitmaps"])
    await tb.master.write(rm.BITMAPS.base + 1, b"\xff")
    assert await tb.events() == rm.EVENTS_CLOSED_WRITE.mask and tb.memory["bitmaps"] == before
    await tb.master.write(rm.BITMAPS.base, b"\x12\x34\x56\x78")
    assert await tb.events() == 0 and tb.memory["bitmaps"][0] == 0x78563412


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def an_entry_of_an_unknown_space_is_not_staged(dut) -> None:
    """Every code without a memory raises the event and leaves the entry as it was."""
    tb = await ready(dut)
    entry = entries_of("weights", [7], [0xABCDEF012])
    await tb.bus.do(protocol.stage(entry))
    for code in range(len(TABLE), 256):
        place = (code << 24 | 5).to_bytes(4, "little")
        assert (await tb.master.write(rm.STAGING.base + 8, place)).resp == AxiResp.OKAY
        assert await tb.events() == rm.EVENTS_CLOSED_WRITE.mask, f"code {code}"
    assert await tb.bus.do(protocol.read_staging(1)) == entry


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reads_between_the_parts_of_a_word_do_not_disturb_it(dut) -> None:
    """The low part of a weight word and of an entry is kept while other words are read."""
    tb = await ready(dut)
    bus, master = tb.bus, tb.master
    await bus.do(protocol.open_memories())
    await master.write(rm.WEIGHTS.base, b"\x01\x23\x45\x67")
    await master.write(rm.STAGING.base, b"\x89\xab\xcd\xef\x0a\x00\x00\x00")
    for space in SPACES:
        held = await bus.do(protocol.read_words(space, [3, 6]))
        assert held.tolist() == [tb.memory[space][3], tb.memory[space][6]]
    await bus.do(protocol.read_staging(3))
    await master.write(rm.WEIGHTS.base + 4, b"\x0b\x00\x00\x00")
    await master.write(rm.STAGING.base + 8, b"\x07\x00\x00\x03")
    assert tb.memory["weights"][0] == 0xB67452301
    assert await bus.do(protocol.read_staging(1)) == entries_of("weights", [7], [0xAEFCDAB89])


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def forbidden_accesses_are_answered_with_an_error(dut) -> None:
    """Unmapped addresses, writes to read-only registers and reads of write-only ones."""
    tb = await ready(dut)
    unmapped = (0x3C, 0x68, 0xFFC, 0x2000, 0x24000, 0x38000, 0x50000)
    for offset in (*unmapped, Register.COMMAND):
        assert (await tb.master.read(offset, 4)).resp == AxiResp.SLVERR, f"0x{offset:05X}"
    for offset in (*unmapped, Register.ID, Register.STATE, Register.CYCLES, rm.LAYER_COUNTERS.base):
        assert (await tb.master.write(offset, b"\xff" * 4)).resp == AxiResp.SLVERR, f"0x{offset:05X}"
    assert await tb.bus.do(protocol.read_register(Register.ID)) == rm.ID_VALUE


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(busy=[False, True])
async def staged_words_are_committed_between_images(dut, busy: bool) -> None:
    """Staging reads back; the commit waits for the array, copies all, and pauses for entries + 32 cycles at most."""
    tb = await ready(dut)
    bus = tb.bus
    await bus.do(protocol.open_memories())
    await bus.do(protocol.activate(1))
    await bus.do(protocol.enable())
    assert dut.stream_enable_o.value == 1 and dut.stream_flush_o.value == 0
    entries = np.concatenate([entries_of(space, *tb.random_words(space, 15)) for space in SPACES[1:]])
    entries = entries[tb.random.sample(range(entries.size), entries.size)]
    await bus.do(protocol.stage(entries))
    assert np.array_equal(await bus.do(protocol.read_staging(entries.size)), entries)
    expected = {space: list(words) for space, words in tb.memory.items()}
    for space, address, word in entries.tolist():
        expected[SPACES[space]][address] = word
    dut.array_busy_i.value = busy
    commit = cocotb.start_soon(bus.do(protocol.commit(2)))
    if busy:
        writes = tb.writes
        while not rm.STATE_COMMIT_PENDING.get(await bus.do(protocol.read_register(Register.STATE))):
            pass
        assert rm.STATE_BUSY.get(await bus.do(protocol.read_register(Register.STATE)))
        assert dut.start_allowed_o.value == 0 and tb.writes == writes and await bus.do(protocol.version()) == 1
        await RisingEdge(dut.clk_i)
        dut.array_busy_i.value = 0
    pause = await commit
    assert (
        tb.memory == expected
        and await bus.do(protocol.version()) == 2
        and await bus.do(protocol.state()) == State.VALID
    )
    assert entries.size < pause <= entries.size + 32
    assert dut.start_allowed_o.value == 1
    await bus.do(protocol.stage(entries_of("descriptors", [5], [0xDEADBEEF])))
    pause = await bus.do(protocol.commit(3))
    assert RELOAD < pause <= 1 + RELOAD + 32 and tb.memory["descriptors"][5] == 0xDEADBEEF


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(write=[False, True])
async def an_access_waits_while_entries_are_copied(dut, write: bool) -> None:
    """A word read is the one that was committed; an entry written meanwhile is not the one that was committed."""
    tb = await ready(dut)
    bus, count = tb.bus, int(dut.Staging.value)
    await bus.do(protocol.open_memories())
    await bus.do(protocol.activate(1))
    addresses = tb.random.choices(range(SIZES["descriptors"]), k=count - 1)
    entries = entries_of("descriptors", addresses, [tb.random.getrandbits(32) for _ in addresses])
    committed = ~tb.memory["bitmaps"][5] & 0xFFFFFFFF
    await bus.do(protocol.stage(np.concatenate([entries, entries_of("bitmaps", [5], [committed])])))
    command = cocotb.start_soon(bus.do(protocol.write_register(Register.COMMAND, rm.COMMAND_COMMIT.mask)))
    await RisingEdge(dut.copying)
    await command
    assert dut.copying.value == 1
    if write:
        await tb.master.write(rm.STAGING.base + 16 * (count - 1), bytes(8) + (1 << 24 | 5).to_bytes(4, "little"))
    else:
        assert (await bus.do(protocol.read_words("bitmaps", [5]))).tolist() == [committed]
    assert dut.copying.value == 0 and tb.memory["bitmaps"][5] == committed
    if write:
        assert (await bus.do(protocol.read_staging(count)))[-1:] == entries_of("bitmaps", [5], [0])


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def commands_out_of_place_are_refused(dut) -> None:
    """Activate and commit without a program, and a commit of more than staging holds."""
    tb = await ready(dut)
    for command in (rm.COMMAND_ACTIVATE, rm.COMMAND_COMMIT):
        await tb.bus.do(protocol.write_register(Register.COMMAND, command.mask))
        assert await tb.events() == rm.EVENTS_REFUSED.mask
    await tb.bus.do(protocol.open_memories())
    await tb.bus.do(protocol.activate(1))
    try:
        await tb.bus.do(protocol.stage(entries_of("bitmaps", [0] * (int(dut.Staging.value) + 1), 0)))
        raise AssertionError("too many entries were taken")
    except DeviceError:
        pass


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def events_raise_the_interrupt_and_are_cleared_one_by_one(dut) -> None:
    """Each stream event sets its bit; an enabled one raises the interrupt until it is cleared."""
    tb = await ready(dut)
    await tb.bus.do(protocol.write_register(Register.BATCH, 0xBEEF))
    assert int(dut.batch_images_o.value) == 0xBEEF
    inputs = {
        "early_last_i": rm.EVENTS_EARLY_LAST,
        "late_last_i": rm.EVENTS_LATE_LAST,
        "batch_done_i": rm.EVENTS_BATCH_DONE,
    }
    for name, field in inputs.items():
        await tb.bus.do(protocol.write_register(Register.INTERRUPT_ENABLE, field.mask ^ rm.INTERRUPT_ENABLE_MASK.mask))
        await tb.pulse(**{name: 1})
        assert await tb.bus.do(protocol.read_register(Register.EVENTS)) == field.mask and dut.interrupt_o.value == 0
        await tb.bus.do(protocol.write_register(Register.INTERRUPT_ENABLE, field.mask))
        assert dut.interrupt_o.value == 1
        await tb.bus.do(protocol.write_register(Register.EVENTS, field.mask ^ rm.INTERRUPT_ENABLE_MASK.mask))
        assert await tb.bus.do(protocol.read_register(Register.EVENTS)) == field.mask
        await tb.bus.do(protocol.write_register(Register.EVENTS, field.mask))
        assert await tb.bus.do(protocol.read_register(Register.EVENTS)) == 0 and dut.interrupt_o.value == 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def counters_and_layer_counters_are_read(dut) -> None:
    """A known number of events of each kind, and the layer counters' window."""
    tb = await ready(dut)
    await tb.bus.do(protocol.clear_counters())
    counts = {"issue_i": 5, "stall_windows_i": 4, "stall_accumulators_i": 3, "stall_schedule_i": 2, "array_busy_i": 7}
    for name, count in counts.items():
        for _ in range(count):
            await tb.pulse(**{name: 1})
    await tb.pulse(skipped_valid_i=1, skipped_i=0xABCDEF)
    await tb.pulse(image_start_i=1)
    for _ in range(18):
        await RisingEdge(dut.clk_i)
    await tb.pulse(image_done_i=1)
    counters = await tb.bus.do(protocol.counters())
    assert counters.pop("cycles") > 40
    assert counters == {
        "busy_cycles": 7,
        "groups_issued": 5,
        "groups_skipped": 0xABCDEF,
        "stall_windows": 4,
        "stall_accumulators": 3,
        "stall_schedule": 2,
        "images_started": 1,
        "images_done": 1,
        "last_latency": 19,
    }
    layers = await tb.bus.do(protocol.layer_counters(64))
    assert [word for layer in layers for word in layer.values()] == tb.layer_counters


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_soft_reset_leaves_the_memories_and_empties_the_state(dut) -> None:
    """The state is empty, images that wait are dropped, and a program can be loaded again."""
    tb = await ready(dut)
    await tb.bus.do(protocol.open_memories())
    await tb.bus.do(protocol.activate(5))
    before = {space: list(words) for space, words in tb.memory.items()}
    await tb.bus.do(protocol.soft_reset())
    assert dut.stream_flush_o.value == 1 and await tb.bus.do(protocol.version()) == 0 and tb.memory == before
    await tb.bus.do(protocol.open_memories())
    await tb.bus.do(protocol.activate(6))
    assert await tb.bus.do(protocol.version()) == 6


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(busy=[False, True])
async def a_soft_reset_takes_a_commit_back(dut, busy: bool) -> None:
    """One that waits for the array writes nothing, one that copies writes no more; counters begin anew."""
    tb = await ready(dut)
    count = int(dut.Staging.value)
    await tb.bus.do(protocol.open_memories())
    await tb.bus.do(protocol.activate(5))
    await tb.bus.do(protocol.enable())
    addresses = [index % SIZES["bitmaps"] for index in range(count)]
    words = [tb.random.getrandbits(32) for _ in addresses]
    await tb.bus.do(protocol.stage(entries_of("bitmaps", addresses, words)))
    await tb.pulse(issue_i=1)
    dut.array_busy_i.value = busy
    await tb.bus.do(protocol.write_register(Register.NEXT_VERSION, 6))
    before, writes = list(tb.memory["bitmaps"]), tb.writes
    command = cocotb.start_soon(tb.bus.do(protocol.write_register(Register.COMMAND, rm.COMMAND_COMMIT.mask)))
    await RisingEdge(dut.commit_pending if busy else dut.copying)
    await command
    assert dut.copying.value != busy and dut.commit_pending.value == busy
    await tb.bus.do(protocol.write_register(Register.COMMAND, rm.COMMAND_SOFT_RESET.mask))
    await RisingEdge(dut.clk_i)
    written = tb.writes - writes
    assert written == 0 and tb.memory["bitmaps"] == before if busy else 0 < written < count
    dut.array_busy_i.value = 0
    for _ in range(2 * count):
        await RisingEdge(dut.clk_i)
    assert tb.writes == writes + written and await tb.events() == 0
    assert await tb.bus.do(protocol.read_register(Register.STATE)) == 0 and await tb.bus.do(protocol.version()) == 0
    await tb.bus.do(protocol.open_memories())
    await tb.bus.do(protocol.activate(7))
    await tb.bus.do(protocol.enable())
    for _ in range(2 * count):
        await RisingEdge(dut.clk_i)
        assert dut.start_allowed_o.value == 1
    assert tb.writes == writes + written and await tb.bus.do(protocol.version()) == 7
    assert (await tb.bus.do(protocol.counters()))["groups_issued"] == 0
