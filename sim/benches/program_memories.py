"""program_memories: every memory through the program port and through the core's port, against a model."""

from __future__ import annotations

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.spaces import ADDRESS_BITS, SPACE_BITS, TABLE, WORD_BITS

CYCLES = 4000


class TB:
    """A model of the spaces, of the cycles that reads take, and of a write that is done a cycle later."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.slot_words = int(dut.GroupChannels.value) // 2
        names = ("group_channels", "slots", "bitmap_words", "affine_channels", "descriptors")
        sizes = {name: int(getattr(dut, name.title().replace("_", "")).value) for name in names}
        parameters = AcceleratorParameters(**sizes)
        self.memory = [[0] * space.words(parameters) for space in TABLE]
        self.bits = [space.word_bits for space in TABLE]
        self.pipes: dict[str, list[int | None]] = {}
        self.late: tuple[int, int, int] | None = None

    def expect(self, port: str, word: int, enable: bool = True, cycles: int = 2) -> None:
        """A read began, of a word with this value; checks the one that is due now."""
        pipe = self.pipes.setdefault(port, [None] * cycles)
        due = pipe[-1]
        assert due is None or int(getattr(self.dut, port).value) == due, f"{port}"
        if enable:
            self.pipes[port] = [word, *pipe[:-1]]

    async def cycle(self, write: tuple[int, int, int] | None, far: bool = False, unknown: bool = False) -> None:
        """One cycle: a write or a read on the program port, and a read on each of the core's ports.

        A ``far`` access is one beyond the end of the memory, an ``unknown`` one is to a space without a memory.
        """
        dut, pick = self.dut, self.random.randrange
        space = pick(len(TABLE)) if write is None else write[0]
        address = pick(len(self.memory[space])) if write is None else write[1]
        if far:
            size = len(self.memory[space])
            address = size if pick(2) else pick(size, 1 << ADDRESS_BITS)
        word = self.random.getrandbits(WORD_BITS) if write is None else write[2]
        dut.prog_we_i.value = write is not None
        dut.prog_space_i.value = pick(len(TABLE), 1 << SPACE_BITS) if unknown else space
        dut.prog_addr_i.value, dut.prog_wdata_i.value = address, word
        desc, bitmap = pick(len(self.memory[0])), pick(len(self.memory[1]))
        quad, slot = pick(len(self.memory[2]) // 8), pick(len(self.memory[3]) // self.slot_words)
        bitmap_en, slot_en = self.random.random() < 0.7, self.random.random() < 0.7
        dut.desc_addr_i.value, dut.affine_addr_i.value = desc, quad
        dut.bitmap_en_i.value, dut.bitmap_addr_i.value = bitmap_en, bitmap
        dut.slot_en_i.value, dut.slot_addr_i.value = slot_en, slot
        await ReadOnly()
        self.expect("desc_rdata_o", self.memory[0][desc])
        self.expect("bitmap_rdata_o", self.memory[1][bitmap], bitmap_en)
        self.expect("affine_rdata_o", sum(self.memory[2][8 * quad + i] << (32 * i) for i in range(8)))
        row = self.memory[3][slot * self.slot_words : (slot + 1) * self.slot_words]
        self.expect("slot_rdata_o", sum(value << (36 * i) for i, value in enumerate(row)), slot_en)
        if self.late:
            self.memory[self.late[0]][self.late[1]] = self.late[2]
        self.expect("prog_rdata_o", self.memory[space][address % len(self.memory[space])], cycles=4)
        outside = far or unknown
        if outside or write:
            self.pipes["prog_rdata_o"][0] = None
        self.late = (space, address, word & ((1 << self.bits[space]) - 1)) if write and not outside else None
        await RisingEdge(dut.clk_i)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def memories_match_the_model(dut) -> None:
    """Fill everything, then random writes, some to no word of a memory, with reads on all ports in every cycle."""
    tb = TB(dut)
    Clock(dut.clk_i, 10, "ns").start()
    for space, memory in enumerate(tb.memory):
        for address in range(len(memory)):
            word = tb.random.getrandbits(WORD_BITS)
            dut.prog_we_i.value, dut.prog_space_i.value = 1, space
            dut.prog_addr_i.value, dut.prog_wdata_i.value = address, word
            memory[address] = word & ((1 << tb.bits[space]) - 1)
            await RisingEdge(dut.clk_i)
    dut.prog_we_i.value = 0
    await RisingEdge(dut.clk_i)
    for _ in range(4):
        await tb.cycle(None)
    for _ in range(CYCLES):
        space = tb.random.randrange(len(TABLE))
        write = (space, tb.random.randrange(len(tb.memory[space])), tb.random.getrandbits(WORD_BITS))
        far, unknown = tb.random.random() < 0.1, tb.random.random() < 0.1
        await tb.cycle(write if tb.random.random() < 0.4 else None, far, unknown)
