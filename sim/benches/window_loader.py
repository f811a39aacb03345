"""window_loader: the windows of every kernel, stride and ragged map, read from banks, in registers as the array has."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.overlay.descriptor import USED_WORDS
from tritforge.overlay.parameters import TILE_SHAPES
from tritforge.sim.benches.common import PAUSES, pause, settle, start
from tritforge.sim.benches.handshake import Source
from tritforge.sim.benches.map_memory import MapMemory, window_addresses
from tritforge.sim.benches.records import LOAD, join, layer_record, pack_record, split

LOADS = 8
TAPS = 9
LAYER_BITS = 32 * USED_WORDS


@dataclass
class Shape:
    """A layer's reading: kernel, stride, and blocks, rows and columns of its input."""

    pointwise: bool
    stride: int
    blocks: int
    height: int
    width: int

    def outputs(self) -> tuple[int, int]:
        return -(-self.height // self.stride), -(-self.width // self.stride)


SHAPES = (
    Shape(False, 1, 2, 5, 11),
    Shape(False, 1, 1, 8, 16),
    Shape(False, 2, 1, 9, 19),
    Shape(False, 2, 3, 8, 32),
    Shape(True, 1, 3, 5, 9),
    Shape(True, 1, 11, 4, 8),
    Shape(True, 2, 10, 7, 17),
)


class TB:
    """The map's banks, the window registers behind the loader, and the array that takes windows at random."""

    def __init__(self, dut, source: str, taker: str) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.pes, self.channels = int(dut.Pes.value), int(dut.GroupChannels.value)
        self.bits = int(dut.ActivationBits.value)
        self.word_bits = self.channels * self.bits
        self.rows, self.columns = TILE_SHAPES[self.pes]
        self.takes = pause(taker, self.random)
        self.loads: Source[dict[str, int]] = Source(dut.load_valid_i, dut.load_ready_o, self._put, source, self.random)
        self.shadow: list[int | None] = [None] * (self.pes * TAPS)
        self.data: deque[list[int]] = deque([[0] * self.pes] * 2)  # in the memory's output register, in the memory
        self.slot = self.rows_written = self.cycles = 0

    def _put(self, load: dict[str, int] | None) -> None:
        self.dut.load_i.value = pack_record(LOAD, slot=self.slot, **load) if load else self.random.getrandbits(33)

    def begin(self, shape: Shape) -> None:
        """A new layer in the other slot, with a new map and new padding; its map is written meanwhile, or is there."""
        self.shape, base = shape, self.random.getrandbits(16)
        self.map = MapMemory(self.random, self.pes, (shape.blocks, shape.height, shape.width), base, self.word_bits)
        pads = [self.random.getrandbits(self.bits) for _ in range(4)]
        self.pad = join((pads[lane % 4] for lane in range(self.channels)), self.bits)
        height, width = shape.outputs()
        self.slot ^= 1
        self.waits, self.rows_written = self.random.random() < 0.5, 0
        self.map.written = 0 if self.waits else shape.height
        layer = layer_record(
            input_base=base,
            output_height=height,
            output_width=width,
            tiles_y=-(-height // self.rows),
            tiles_x=-(-width // self.columns),
            pointwise=int(shape.pointwise),
            stride_2=int(shape.stride == 2),
            input_blocks=shape.blocks,
            input_height=shape.height,
            input_width=shape.width,
            input_row_stride=self.map.row_stride,
            **{f"pad_{lane}": pad for lane, pad in enumerate(pads)},
        )
        others = self.random.getrandbits(LAYER_BITS)
        self.dut.layers_i.value = join((others, layer) if self.slot else (layer, others), LAYER_BITS)

    def random_loads(self) -> list[dict[str, int]]:
        """Loads of random groups and tiles, the last tile among them."""
        height, width = self.shape.outputs()
        tiles_y, tiles_x = -(-height // self.rows), -(-width // self.columns)
        groups = -(-self.shape.blocks // TAPS) if self.shape.pointwise else self.shape.blocks
        places = [(groups - 1, tiles_y - 1, tiles_x - 1), (0, 0, 0)]
        while len(places) < LOADS:
            choose = self.random.randrange
            places.append((choose(groups), choose(tiles_y), choose(tiles_x)))
        self.random.shuffle(places)
        if self.waits:  # in the order in which the rows come, as a layer reads them
            places.sort(key=lambda place: place[1])
        return [dict(zip(("group", "tile_y", "tile_x"), place, strict=True)) for place in places]

    def windows(self, load: dict[str, int]) -> list[int | None]:
        """What each tap of each PE reads; None for what a 1x1 group does not have: taps, and pixels off the map."""
        words: list[int | None] = []
        shape, group = self.shape, load["group"]
        height, width = shape.outputs()
        for pixel in range(self.pes):
            y = (load["tile_y"] * self.rows + pixel // self.columns) * shape.stride
            x = (load["tile_x"] * self.columns + pixel % self.columns) * shape.stride
            for tap in range(TAPS):
                if shape.pointwise:
                    block, at = TAPS * group + tap, (y, x)
                else:
                    block, at = group, (y + tap // 3 - 1, x + tap % 3 - 1)
                off = y >= height * shape.stride or x >= width * shape.stride
                if block >= shape.blocks or (shape.pointwise and off):
                    words.append(None)
                else:
                    word = self.map.pixel(block, *at)
                    words.append(self.pad if word is None else word)
        return words

    async def cycle(self) -> bool:
        """One cycle; says whether the windows were taken in it."""
        dut = self.dut
        self.loads.drive()
        if self.waits and self.map.written < self.shape.height and self.random.random() < 0.06:
            self.rows_written += 1
        dut.input_waits_i.value = (self.waits and self.map.written < self.shape.height) << self.slot
        dut.rows_written_i.value = self.rows_written
        dut.read_data_i.value = join(self.data[0], self.word_bits)
        await settle(dut)
        takes = bool(dut.windows_full_o.value) and next(self.takes)
        dut.windows_take_i.value = takes
        await ReadOnly()
        self.loads.sample()
        if dut.read_en_o.value:
            self.data.popleft()
            addresses = window_addresses(int(dut.read_addr_o.value), self.pes)
            nothing = [self.random.getrandbits(self.word_bits) for _ in addresses]
            self.data.append(self.map.read(addresses) if not dut.read_idle_o.value else nothing)
        if self.waits:
            self.map.written = self.rows_written * self.rows
        self._registers(int(dut.take_o.value), int(dut.lane_o.value))
        self.cycles += 1
        await RisingEdge(dut.clk_i)
        return takes

    def _registers(self, take: int, lanes: int) -> None:
        """Each register listens to the bank of its coordinate."""
        words = split(lanes, self.word_bits, self.pes) if take else []
        while take:
            index = (take & -take).bit_length() - 1
            take &= take - 1
            pixel, tap = divmod(index, TAPS)
            row, column = pixel // self.columns + tap // 3, pixel % self.columns + tap % 3
            self.shadow[index] = words[row % self.rows * self.columns + column % self.columns]


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(source=PAUSES, taker=PAUSES)
async def windows_are_complete_when_full(dut, source: str, taker: str) -> None:
    """Every load of every shape; full windows stay as they are until they have moved, a cycle after they are taken."""
    tb = TB(dut, source, taker)
    dut.load_valid_i.value = dut.windows_take_i.value = dut.input_waits_i.value = 0
    await start(dut)
    for shape in tb.random.sample(SHAPES, len(SHAPES)):
        tb.begin(shape)
        loads = tb.random_loads()
        tb.loads.items, tb.cycles = list(loads), 0
        for load in loads:
            while not await tb.cycle():
                pass
            for index, (got, wanted) in enumerate(zip(tb.shadow, tb.windows(load), strict=True)):
                assert wanted is None or got == wanted, (shape, load, divmod(index, TAPS))
        if (source, taker) == ("none", "none") and not shape.pointwise and not tb.waits:
            steps = 2 * (1 + -(-2 // tb.rows)) if shape.stride == 1 else 6 * max(3, tb.rows)
            assert tb.cycles <= LOADS * steps + 12
        for _ in range(8):
            assert not await tb.cycle()
