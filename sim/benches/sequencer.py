"""sequencer: programs of random descriptors, with hosts, images, results and layers that keep it waiting."""

from __future__ import annotations

import random
from dataclasses import dataclass

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.overlay.descriptor import FRAME_WORDS, HEADER, LAYER, USED_WORDS, Field
from tritforge.sim.benches.common import PAUSES, pause, reset_again, settle, start
from tritforge.sim.benches.records import join, layer_record, split, walk_record

IMAGES = 5
INPUTS = ("reload", "flush", "start_allowed", "image_full", "layer_done", "walk_ready", "result_space")


@dataclass
class Program:
    """Descriptor memory, and the records in it as integers."""

    memory: list[int]
    header: int
    header_fields: dict[str, int]
    layers: list[int]
    fields: list[dict[str, int]]


def random_program(source: random.Random, layers: int) -> Program:
    """A header and so many descriptors with random fields; many layers read the map of the one before; the last one
    gives the logits, perhaps others too."""
    memory: list[int] = []

    def frame(fields: tuple[Field, ...], **fixed: int) -> tuple[int, dict[str, int]]:
        values = {field.name: fixed.get(field.name, source.getrandbits(field.width)) for field in fields}
        words = [0] * USED_WORDS
        for field in fields:
            words[field.word] |= values[field.name] << field.low
        memory.extend(words + [source.getrandbits(32) for _ in range(FRAME_WORDS - USED_WORDS)])
        return join(words, 32), values

    header, header_fields = frame(HEADER, layers=layers)
    records, all_fields = [], []
    base = 0
    for index in range(layers):
        fixed = {"logits": int(index == layers - 1 or source.random() < 0.2)}
        for kind in ("input", "residual"):
            if source.random() < 0.5:
                fixed[f"{kind}_base"] = base
        record, values = frame(LAYER, **fixed)
        base = values["output_base"]
        records.append(record)
        all_fields.append(values)
    return Program(memory, header, header_fields, records, all_fields)


@dataclass
class Entered:
    """A layer in the core: its image, its place, and the slot and record that it must keep to the end."""

    image: int
    index: int
    slot: int
    record: int


class TB:
    """Two image buffers that fill at random, a result queue with and without space, and layers of random length."""

    def __init__(self, dut, images: str, others: str) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.fills = pause(images, self.random)
        self.allows, self.spaces, self.takes = (pause(others, self.random) for _ in range(3))
        self.longest = 0 if others == "none" else 80  # cycles of a layer beyond the first
        self.left = 0  # of the oldest layer
        self.program = random_program(self.random, 1)
        self.reads = [0, 0]
        self.full = [False, False]
        self.filling = self.buffer = 0  # the buffers that the next image fills, and that the next one to start has
        self.ready = self.could_start = self.offered = False
        self.there = False  # image and space, in the cycle before
        self.inside: list[Entered] = []
        self.slot = self.sequence = self.started = self.finished = self.overlaps = self.came = 0
        self.next_index = self.image = self.done_buffer = 0
        self.ended: int | None = None
        self.outputs = [0, 0]  # bases of the maps that the layers in the slots write
        self.waits = {"input": 0, "residual": 0}

    async def cycle(self, reload: bool = False, fill: bool = True, flush: bool = False, allow: bool = True) -> None:
        """One cycle; checks what starts and ends in it. No image may start in one with a flush."""
        dut = self.dut
        dut.reload_i.value, dut.flush_i.value = reload, flush
        address = self.reads.pop(0)
        in_memory = address < len(self.program.memory)
        dut.desc_rdata_i.value = self.program.memory[address] if in_memory else self.random.getrandbits(32)
        if fill and not self.full[self.filling] and next(self.fills):
            self.full[self.filling] = True
            self.filling ^= 1
            self.came += 1
        dut.image_full_i.value = self.full[0] | self.full[1] << 1
        allowed, space = next(self.allows) and allow and not flush, next(self.spaces)
        dut.start_allowed_i.value, dut.result_space_i.value = allowed, space
        await settle(dut)
        # What the registers say of the cycle before.
        if dut.layer_enters_o.value:
            self._enters()
        else:
            assert dut.result_start_o.value == 0 and dut.image_start_o.value == 0
        self._ends_image()
        self._slots()
        done = bool(self.inside) and not dut.layer_enters_o.value and self.left == 0
        self.left = self.random.randint(0, self.longest) if done else max(0, self.left - bool(self.inside))
        dut.layer_done_i.value = done
        taken = self.offered and next(self.takes)
        dut.walk_ready_i.value = taken
        await ReadOnly()
        assert dut.walk_valid_o.value == self.offered
        self.offered = self.offered and not taken
        self.ready = bool(dut.program_ready_o.value)
        self.reads.append(int(dut.desc_addr_o.value))
        self.could_start, self.there = allowed and self.there, space and self.full[self.buffer]
        free = int(dut.image_free_o.value)
        if done:
            layer = self.inside.pop(0)
            assert int(dut.done_slot_o.value) == layer.slot
            self.waits = dict.fromkeys(self.waits, 0)
            self.ended = layer.image if layer.index == len(self.program.layers) - 1 else None
        await RisingEdge(dut.clk_i)
        self.full = [full and not free >> buffer & 1 for buffer, full in enumerate(self.full)]

    def _enters(self) -> None:
        """A layer entered: the one that is due, in the slot that is due, with the bases of its image's buffer."""
        dut = self.dut
        index = int(dut.layer_index_o.value)
        before = self.inside[-1] if self.inside else None
        assert not self.offered and len(self.inside) < 2
        assert index == self.next_index and int(dut.layer_slot_o.value) == self.slot
        first, last = index == 0, index == len(self.program.layers) - 1
        assert dut.image_start_o.value == first
        if first:
            assert self.could_start, "an image that should have waited"
            assert self.started < self.came, "an image that has not come"
            self.started += 1
            self.image = self.started
            self.overlaps += before is not None
        fields = dict(self.program.fields[index])
        base = self.program.header_fields[f"input_base_{self.buffer}"]
        for kind in self.waits:
            if fields[f"{kind}_is_image"]:
                fields[f"{kind}_base"] = base
            written = None if before is None or fields[f"{kind}_is_image"] else self.outputs[before.slot]
            self.waits[kind] = (fields[f"{kind}_base"] == written) << self.slot
        record = layer_record(**fields)
        assert int(dut.walk_o.value) == walk_record(fields)
        assert dut.result_start_o.value == fields["logits"]
        if fields["logits"]:
            assert int(dut.result_sequence_o.value) == self.sequence
            assert int(dut.result_buffer_o.value) == self.buffer
        self.outputs[self.slot] = fields["output_base"]
        self.inside.append(Entered(self.image, index, self.slot, record))
        self.offered = True
        self.slot ^= 1
        self.next_index = 0 if last else index + 1
        if last:
            self.buffer ^= 1
            self.sequence += 1

    def _ends_image(self) -> None:
        """An image is done, and its buffer free, in the cycle after the end of its last layer."""
        dut = self.dut
        ended, self.ended = self.ended, None
        assert dut.image_done_o.value == (ended is not None)
        assert int(dut.image_free_o.value) == (0 if ended is None else 1 << self.done_buffer)
        if ended is not None:
            self.done_buffer ^= 1
            self.finished += 1

    def _slots(self) -> None:
        dut = self.dut
        records = split(int(dut.layers_o.value), 32 * USED_WORDS, 2) if self.inside else []
        for layer in self.inside:
            assert records[layer.slot] == layer.record
        assert dut.busy_o.value == (bool(self.inside) or self.next_index != 0)
        assert int(dut.input_waits_o.value) == self.waits["input"]
        assert int(dut.residual_waits_o.value) == self.waits["residual"]

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
        """Drop an image that has come and that only the host keeps from starting; the next one comes in buffer 0."""
        self.full[self.filling] = True
        for _ in range(40):
            await self.cycle(fill=False, allow=False)
        await self.cycle(fill=False, flush=True)
        self.full, self.filling, self.buffer, self.done_buffer = [False, False], 0, 0, 0
        for _ in range(3):
            await self.cycle(fill=False)

    async def infer(self, images: int) -> None:
        """Run images to the end of the last one."""
        end = self.finished + images
        while self.finished < end:
            await self.cycle(fill=self.started + sum(self.full) - self.held < end)
        assert self.started == end and not self.inside

    @property
    def held(self) -> int:
        """Full buffers of images that are in the core."""
        return self.started - self.finished


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(images=PAUSES, others=PAUSES)
async def images_go_through_the_layers(dut, images: str, others: str) -> None:
    """Programs of one and of several layers; sequence numbers and, unless flushed, buffers go on through a reload."""
    tb = TB(dut, images, others)
    for name in INPUTS:
        getattr(dut, f"{name}_i").value = 0
    await start(dut)
    for layers in (1, 2, 5):
        if layers == 2:
            await tb.flush()
        assert await tb.load(random_program(tb.random, layers)) <= 2 * USED_WORDS + 10
        await tb.infer(IMAGES)
    assert tb.overlaps or others == "none", "no image began while the one before ended"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def an_image_waits_until_its_buffer_is_filled_again(dut) -> None:
    """Images of one layer follow each other closest: the buffer of the one before the last is still seen full."""
    tb = TB(dut, "idle", "none")
    tb.longest = 60
    for name in INPUTS:
        getattr(dut, f"{name}_i").value = 0
    await start(dut)
    await tb.load(random_program(tb.random, 1))
    await tb.infer(4 * IMAGES)
    assert tb.overlaps


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_reload_drops_the_program(dut) -> None:
    """Before a program, and while one is fetched, no image starts; a reload in a fetch begins anew."""
    tb = TB(dut, "none", "none")
    for name in INPUTS:
        getattr(dut, f"{name}_i").value = 0
    await start(dut)
    for _ in range(60):
        await tb.cycle()
        assert not tb.ready
    tb.full, tb.filling, tb.buffer, tb.came = [False, False], 0, 0, 0
    for wait in (1, 7, *range(14, 20), *range(31, 35)):
        tb.program = random_program(tb.random, 3)
        await tb.cycle(reload=True, fill=False)
        for _ in range(wait):
            await tb.cycle(fill=False)
            assert not tb.ready
        await tb.load(random_program(tb.random, 2))
        await tb.infer(1)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(layers=[1, 3])
async def a_reset_at_any_cycle_begins_anew(dut, layers: int) -> None:
    """From a reload on, through the first images: no program, no image, and numbers from 0 on."""
    quiet = ("reload", "flush", "layer_done", "walk_ready")
    await start(dut)
    for cycles in range(7 * USED_WORDS):
        await reset_again(dut, *INPUTS)
        tb = TB(dut, "none", "idle" if cycles % 2 else "none")
        tb.random.seed(cycles)
        tb.program = random_program(tb.random, layers)
        await tb.cycle(reload=True)
        for _ in range(cycles):
            await tb.cycle()
        await reset_again(dut, *quiet)  # a layer that may enter does so in the cycle of the reset
        tb = TB(dut, "none", "none")
        for _ in range(2 * USED_WORDS if cycles % 3 else 0):
            await tb.cycle(fill=False)
            assert not tb.ready
        await tb.load(random_program(tb.random, layers))
        await tb.infer(3)
