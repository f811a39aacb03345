"""image_input: every word lands in its bank and address, in two buffers in turn, whatever stream and memory do."""

from __future__ import annotations

import random
from dataclasses import dataclass

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.overlay.descriptor import HEADER, pack
from tritforge.overlay.map_layout import map_layout
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.sim.benches.common import PAUSES, pause, start

IMAGES = 5
BASES = (37, 4000)

Word = tuple[int, int, int]
Beat = tuple[int, bool]


@dataclass
class Shape:
    """An image: rows, columns, channel blocks; or one quad of lanes a pixel."""

    height: int
    width: int
    blocks: int
    quad: bool


class TB:
    """Streams images in, takes words out with pauses, and frees buffers after random delays."""

    def __init__(self, dut, shape: Shape, batch: int = 0) -> None:
        self.dut, self.shape = dut, shape
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.parameters = AcceleratorParameters(
            pes=int(dut.Pes.value),
            group_channels=int(dut.GroupChannels.value),
            activation_bits=int(dut.ActivationBits.value),
        )
        channels = 4 if shape.quad else shape.blocks * self.parameters.group_channels
        self.layout = map_layout(self.parameters, (channels, shape.height, shape.width))
        fields = {
            "quad_input": int(shape.quad),
            "input_blocks": self.layout.blocks,
            "input_height": shape.height,
            "input_width": shape.width,
            "input_row_stride": self.layout.row_stride,
            "input_base_0": BASES[0],
            "input_base_1": BASES[1],
        }
        frame = pack(HEADER, fields, "header")[:16]
        dut.header_i.value = sum(int(word) << (32 * i) for i, word in enumerate(frame))
        dut.batch_images_i.value = batch
        self.words: list[dict[Word, int]] = []  # written to each full image, by bank and address
        self.written: dict[Word, int] = {}
        self.lasts: list[bool] = []
        self.early = self.late = 0
        self.expected_buffer = 0
        self.free_in: list[int | None] = [None, None]

    async def reset(self) -> None:
        dut = self.dut
        dut.enable_i.value = dut.flush_i.value = dut.s_axis_tvalid.value = dut.pixel_ready_i.value = 0
        dut.buffer_free_i.value = 0
        await start(dut)
        dut.enable_i.value = 1

    def image(self) -> tuple[list[int], dict[Word, int]]:
        """Random beats of an image, and the words they make at ``(bank row, bank column, address - base)``."""
        bits, rows, columns = self.parameters.activation_bits, self.parameters.tile_rows, self.parameters.tile_columns
        quads = self.parameters.quads
        beats, words = [], {}
        for y in range(self.shape.height):
            for x in range(self.shape.width):
                for block in range(self.layout.blocks):
                    lanes = [self.random.getrandbits(4 * bits) for _ in range(1 if self.shape.quad else quads)]
                    beats += lanes
                    lanes = lanes * quads if self.shape.quad else lanes
                    offset = (y + 1) // rows * self.layout.row_stride + (x + 1) // columns * self.layout.blocks + block
                    word = sum(lane << (4 * bits * i) for i, lane in enumerate(lanes))
                    words[(y + 1) % rows, (x + 1) % columns, offset] = word
        return beats, words

    async def run(self, beats: list[Beat], source: str, sink: str, images: int, after: int = 20) -> int:
        """Stream beats until that many images are whole, and some cycles more; returns the cycles that took."""
        dut, position, cycles = self.dut, 0, 0
        offers, grants = pause(source, self.random), pause(sink, self.random)
        offering = False
        while len(self.words) < images or after:
            after -= len(self.words) >= images and position == len(beats)
            offering = position < len(beats) and (offering or next(offers))
            dut.s_axis_tvalid.value = offering
            dut.s_axis_tdata.value, dut.s_axis_tlast.value = (
                beats[position] if offering else (self.random.getrandbits(8), True)
            )
            dut.pixel_ready_i.value = next(grants)
            free = [wait == 0 for wait in self.free_in]
            dut.buffer_free_i.value = free[0] | free[1] << 1
            self.free_in = [None if wait == 0 else wait - 1 if wait else None for wait in self.free_in]
            await ReadOnly()
            position += bool(offering and dut.s_axis_tready.value)
            offering = bool(offering and not dut.s_axis_tready.value)
            self.early += int(dut.early_last_o.value)
            self.late += int(dut.late_last_o.value)
            self._take_word()
            full = int(dut.buffer_full_o.value)
            await RisingEdge(dut.clk_i)
            self._take_image(full, free)
            cycles += 1
        return cycles

    def _take_word(self) -> None:
        dut = self.dut
        if dut.pixel_valid_o.value and dut.pixel_ready_i.value:
            place = int(dut.pixel_row_o.value), int(dut.pixel_column_o.value), int(dut.pixel_addr_o.value)
            self.written[place] = int(dut.pixel_data_o.value)

    def _take_image(self, full: int, free: list[bool]) -> None:
        """Note an image when its buffer is seen full, and free the buffer some time later."""
        buffer = self.expected_buffer
        if full >> buffer & 1 and self.free_in[buffer] is None and not free[buffer]:
            base = BASES[buffer]
            inside = {p: w for p, w in self.written.items() if base <= p[2] < base + self.layout.words}
            self.words.append({(row, column, at - base): word for (row, column, at), word in inside.items()})
            for place in inside:
                del self.written[place]
            self.lasts.append(bool(int(self.dut.buffer_last_o.value) >> buffer & 1))
            self.free_in[buffer] = self.random.choice((0, 1, 50))
            self.expected_buffer = 1 - buffer


SHAPES = (Shape(5, 9, 1, True), Shape(4, 8, 1, False), Shape(3, 7, 3, False))


def marked(beats: list[int], last: bool) -> list[Beat]:
    """Beats with TLAST on the last one, or on none."""
    return [(beat, last and index == len(beats) - 1) for index, beat in enumerate(beats)]


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(source=PAUSES, sink=PAUSES, shape=range(len(SHAPES)))
async def images_land_in_their_buffers(dut, source: str, sink: str, shape: int) -> None:
    """Images of random beats; TLAST on some; every word of every image is compared."""
    tb = TB(dut, SHAPES[shape])
    await tb.reset()
    images = [tb.image() for _ in range(IMAGES)]
    lasts = [tb.random.random() < 0.5 for _ in images]
    beats = [beat for (image, _), last in zip(images, lasts, strict=True) for beat in marked(image, last)]
    cycles = await tb.run(beats, source, sink, IMAGES)
    assert tb.words == [words for _, words in images]
    assert tb.lasts == lasts
    assert tb.written == {} and (tb.early, tb.late) == (0, 0)
    if source == sink == "none":
        assert cycles <= len(beats) + 60 * IMAGES


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(cut=["first", "middle", "last but one"], sink=PAUSES)
async def an_image_with_an_early_tlast_is_dropped(dut, cut: str, sink: str) -> None:
    """TLAST in an image is reported once; the image is dropped and the next one takes its place."""
    tb = TB(dut, SHAPES[tb_shape(cut)])
    await tb.reset()
    images = [tb.image() for _ in range(3)]
    whole = len(images[1][0])
    length = {"first": 1, "middle": whole // 2, "last but one": whole - 1}[cut]
    beats = marked(images[0][0], False) + marked(images[1][0][:length], True) + marked(images[2][0], True)
    await tb.run(beats, "idle", sink, 2)
    assert tb.words == [images[0][1], images[2][1]]
    assert tb.lasts == [False, True]
    assert (tb.early, tb.late) == (1, 0)


def tb_shape(cut: str) -> int:
    """A shape of one beat a word and shapes of several."""
    return {"first": 0, "middle": 1, "last but one": 2}[cut]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_missing_tlast_is_reported(dut) -> None:
    """With batches of two images, TLAST is due after every second one; one that came closes a batch."""
    tb = TB(dut, SHAPES[0], batch=2)
    await tb.reset()
    lasts = [False, True, False, False, True, False, True, False, False]
    images = [tb.image() for _ in lasts]
    beats = [beat for (image, _), last in zip(images, lasts, strict=True) for beat in marked(image, last)]
    await tb.run(beats, "none", "none", len(lasts))
    assert tb.words == [words for _, words in images]
    assert tb.lasts == lasts
    assert (tb.early, tb.late) == (0, 2)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_batch_that_became_smaller_ends_with_the_next_image(dut) -> None:
    """Three images of a batch of four have come when the host asks for batches of two."""
    tb = TB(dut, SHAPES[0], batch=4)
    await tb.reset()
    images = [tb.image() for _ in range(6)]
    for batch, whole, late in ((4, 3, 0), (2, 4, 1), (2, 6, 2)):
        dut.batch_images_i.value = batch
        beats = [beat for image, _ in images[len(tb.words) : whole] for beat in marked(image, False)]
        await tb.run(beats, "none", "none", whole)
        assert tb.late == late
    assert tb.words == [words for _, words in images]


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(by=["flush_i", "rst_i"])
async def nothing_is_taken_while_disabled_and_a_flush_drops_all(dut, by: str) -> None:
    """Beats wait while disabled; a flush, or a reset, drops a full buffer, a partial image and the batch's count."""
    tb = TB(dut, SHAPES[1], batch=2)
    await tb.reset()
    images = [tb.image() for _ in range(4)]
    dut.pixel_ready_i.value = 1
    beats = marked(images[0][0], False) + marked(images[1][0], False)[:9]
    dut.enable_i.value = 0
    dut.s_axis_tvalid.value = 1
    for _ in range(5):
        await ReadOnly()
        assert dut.s_axis_tready.value == 0
        await RisingEdge(dut.clk_i)
    dut.enable_i.value = 1
    for index, (data, last) in enumerate(beats):
        dut.s_axis_tdata.value, dut.s_axis_tlast.value = data, last
        await RisingEdge(dut.clk_i)
        # A word is two or four beats: the last whole one waits, with the first beat of the next behind it.
        dut.pixel_ready_i.value = index < len(beats) - 2
    dut.s_axis_tvalid.value = 0
    await ReadOnly()
    assert dut.buffer_full_o.value == 1 and dut.pixel_valid_o.value == 1
    await RisingEdge(dut.clk_i)
    getattr(dut, by).value = 1
    await RisingEdge(dut.clk_i)
    await ReadOnly()
    assert dut.buffer_full_o.value == 0 and dut.pixel_valid_o.value == 0
    assert dut.s_axis_tready.value == (by == "rst_i")
    await RisingEdge(dut.clk_i)
    getattr(dut, by).value = 0
    await tb.run(marked(images[2][0], False) + marked(images[3][0], True), "none", "none", 2)
    assert tb.words == [words for _, words in images[2:]]
    assert (tb.early, tb.late) == (0, 0)
