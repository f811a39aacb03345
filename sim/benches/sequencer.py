"""sequencer: programs of random descriptors, with hosts, images, results and layers that keep it waiting."""

from __future__ import annotations

import random
from dataclasses import dataclass

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.descriptor import FRAME_WORDS, HEADER, LAYER, USED_WORDS, Field
from tritforge.sim.benches.common import PAUSES, pause, settle, start
from tritforge.sim.benches.records import join

IMAGES = 5


@dataclass
class Program:
    """Descriptor memory, and the records in it as integers."""

    memory: list[int]
    header: int
    layers: list[int]


def random_program(source: random.Random, layers: int) -> Program:
    """A header and so many descriptors with random fields; the last layer gives the logits, perhaps others too."""
    memory: list[int] = []

    def frame(fields: tuple[Field, ...], **fixed: int) -> int:
        words = [0] * USED_WORDS
        for field in fields:
            words[field.word] |= fixed.get(field.name, source.getrandbits(field.width)) << field.low
        memory.extend(words + [source.getrandbits(32) for _ in range(FRAME_WORDS - USED_WORDS)])
        return join(words, 32)

    header = frame(HEADER, layers=layers)
    records = [frame(LAYER, logits=int(i == layers - 1 or source.random() < 0.2)) for i in range(layers)]
    return Program(memory, header, records)


class TB:
    """Two image buffers that fill at random, a result queue with and without space, and layers of random length."""

    def __init__(self, dut, images: str, others: str) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.fills = pause(images, self.random)
        self.allows, self.spaces, self.dones = (pause(others, self.random) for _ in range(3))
        self.program = random_program(self.random, 1)
        self.reads = [0, 0]
        self.full = [False, False]
        self.filling = 0  # the buffer that the next image fills
        self.events: list[tuple] = []
        self.running = self.could_start = self.ready = False
        self.select = self.sequence = 0

    async def cycle(self, reload: bool = False, fill: bool = True, flush: bool = False) -> None:
        """One cycle; notes what starts and ends in it. No image may start in one with a flush."""
        dut = self.dut
        dut.reload_i.value, dut.flush_i.value = reload, flush
        address = self.reads.pop(0)
        in_memory = address < len(self.program.memory)
        dut.desc_rdata_i.value = self.program.memory[address] if in_memory else self.random.getrandbits(32)
        if fill and not self.full[self.filling] and next(self.fills):
            self.full[self.filling] = True
            self.filling ^= 1
        dut.image_full_i.value = self.full[0] | self.full[1] << 1
        allowed, space = next(self.allows) and not flush, next(self.spaces)
        dut.start_allowed_i.value, dut.result_space_i.value = allowed, space
        await settle(dut)
        done = self.running and not dut.layer_start_o.value and next(self.dones)
        dut.layer_done_i.value = done
        await ReadOnly()
        self.ready = bool(dut.program_ready_o.value)
        self.reads.append(int(dut.desc_addr_o.value))
        if dut.layer_start_o.value:
            assert not self.running
            self.running = True
            logits = bool(dut.result_start_o.value)
            sequence = int(dut.result_sequence_o.value)
            place = int(dut.layer_index_o.value), int(dut.image_select_o.value)
            self.events.append(("layer", *place, int(dut.layer_o.value), logits, sequence))
            self.constant = int(dut.layer_o.value)
        else:
            assert dut.result_start_o.value == 0
        if self.running:
            assert int(dut.layer_o.value) == self.constant and dut.busy_o.value == 1
        if dut.image_start_o.value:
            assert self.could_start, "an image that should have waited"
            self.events.append(("start",))
        if dut.image_done_o.value:
            self.events.append(("done", int(dut.image_free_o.value)))
            assert dut.busy_o.value == 0
        else:
            assert dut.image_free_o.value == 0
        free = int(dut.image_free_o.value)
        self.could_start = allowed and space and self.full[int(dut.image_select_o.value)] and self.ready
        self.running = self.running and not done
        await RisingEdge(dut.clk_i)
        self.full = [full and not free >> buffer & 1 for buffer, full in enumerate(self.full)]

    async def load(self, program: Program) -> int:
        """Reload; returns the cycles until the program is ready."""
        self.program = program
        await self.cycle(reload=True, fill=False)
        self.ready = False
        cycles = 0
        while not self.ready:
            await self.cycle(fill=False)
            cycles += 1
        assert int(self.dut.header_o.value) == program.header
        return cycles

    async def flush(self) -> None:
        """Drop an image that has come and not started; the next one comes in buffer 0."""
        self.full[self.filling] = True
        await self.cycle(fill=False, flush=True)
        self.full, self.filling, self.select = [False, False], 0, 0

    async def infer(self, images: int) -> None:
        """Run images and compare what happened with the program."""
        self.events.clear()
        while sum(event[0] == "done" for event in self.events) < images:
            await self.cycle(fill=sum(event[0] == "done" for event in self.events) + sum(self.full) < images)
        expected: list[tuple] = []
        for _ in range(images):
            expected.append(("start",))
            for index, record in enumerate(self.program.layers):
                logits = bool(record >> 1 & 1)
                expected.append(("layer", index, self.select, record, logits, self.sequence))
            expected.append(("done", 1 << self.select))
            self.select ^= 1
            self.sequence += 1
        assert self.events == expected


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(images=PAUSES, others=PAUSES)
async def images_go_through_the_layers(dut, images: str, others: str) -> None:
    """Programs of one and of several layers; sequence numbers and, unless flushed, buffers go on through a reload."""
    tb = TB(dut, images, others)
    for name in ("reload", "flush", "start_allowed", "image_full", "layer_done", "result_space"):
        getattr(dut, f"{name}_i").value = 0
    await start(dut)
    for layers in (1, 2, 5):
        if layers == 2:
            await tb.flush()
        assert await tb.load(random_program(tb.random, layers)) <= 2 * USED_WORDS + 10
        await tb.infer(IMAGES)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_reload_drops_the_program(dut) -> None:
    """Before a program, and while one is fetched, no image starts; a reload in a fetch begins anew."""
    tb = TB(dut, "none", "none")
    for name in ("reload", "flush", "start_allowed", "image_full", "layer_done", "result_space"):
        getattr(dut, f"{name}_i").value = 0
    await start(dut)
    for _ in range(60):
        await tb.cycle()
        assert not tb.ready
    tb.full, tb.filling = [False, False], 0
    for wait in (1, 7, *range(14, 20), *range(31, 35)):
        tb.program = random_program(tb.random, 3)
        await tb.cycle(reload=True, fill=False)
        for _ in range(wait):
            await tb.cycle(fill=False)
            assert not tb.ready
        await tb.load(random_program(tb.random, 2))
        await tb.infer(1)
