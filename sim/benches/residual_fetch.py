"""residual_fetch: quads of residuals of every stride and channel offset, as a drain takes them, pass after pass."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.overlay.parameters import TILE_SHAPES
from tritforge.sim.benches.common import PAUSES, pause, reset_again, settle, start
from tritforge.sim.benches.map_memory import MapMemory, bank_addresses
from tritforge.sim.benches.records import PASS, join, layer_record, pack_record, split

DELAY = 3
"""Cycles from the quad that leaves to its residual."""

Quad = list[list[int] | None]
"""Values of a quad of channels by pixel; None beside the map."""


@dataclass
class Residual:
    """A residual map between zero half blocks, read at a stride."""

    map: MapMemory
    quads: int  # of a word
    stride: int
    zero_halves: int

    def fields(self, base: int) -> dict[str, int]:
        """Descriptor fields."""
        return {
            "residual": 1,
            "residual_stride_2": int(self.stride == 2),
            "residual_half": self.zero_halves % 2,
            "residual_offset": self.zero_halves // 2,
            "residual_blocks": self.map.blocks,
            "residual_base": base,
            "residual_row_stride": self.map.row_stride,
        }

    def value(self, channel: int, y: int, x: int, bits: int) -> int:
        """Residual of an output; 0 between the zero channels."""
        channels = self.map.word_bits // bits
        block, lane = divmod(channel - self.zero_halves * channels // 2, channels)
        word = self.map.pixel(block, y * self.stride, x * self.stride)
        return 0 if word is None else word >> bits * lane & (1 << bits) - 1

    def reads(self, tiles: int) -> int:
        """Stride 1: a word for each block of a tile; stride 2: each quad of channels in as many parts as it has."""
        parts = (2 if self.map.rows == 1 else 4) * self.quads if self.stride == 2 else 1
        return self.map.blocks * tiles * parts


def random_residual(
    source: random.Random, pes: int, shape: tuple[int, int, int], channels: int, bits: int
) -> tuple[Residual, dict[str, int]]:
    """A residual for an output of these blocks, rows and columns; and its descriptor fields."""
    blocks, height, width = shape
    stride, zeros = source.choice((1, 2)), source.choice((0, source.randrange(blocks)))
    base = source.getrandbits(16)
    size = blocks - zeros, stride * height - source.randrange(stride), stride * width - source.randrange(stride)
    residual = Residual(MapMemory(source, pes, size, base, channels * bits), channels // 4, stride, zeros)
    return residual, residual.fields(base)


class Port:
    """The feature map's port B: a word of every bank, two cycles after its read, until a cycle after the next one."""

    def __init__(self, numbers: random.Random, pes: int, word_bits: int) -> None:
        self.pes, self.word_bits = pes, word_bits
        self.register = self.output = [numbers.getrandbits(word_bits) for _ in range(pes)]

    def data(self) -> int:
        return join(self.output, self.word_bits)

    def clock(self, residual: Residual | None, addresses: int | None) -> None:
        """The end of a cycle, with the addresses of a read if there is one."""
        self.output = self.register
        if addresses is not None:
            assert residual is not None, "a read without a residual"
            self.register = residual.map.read(bank_addresses(addresses, self.pes))


class TB:
    """A drain that takes quads, pass by pass, and a port that is not always free."""

    def __init__(self, dut, port: str, drain: str) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.pes, self.bits = int(dut.Pes.value), int(dut.ActivationBits.value)
        self.channels = int(dut.GroupChannels.value)
        self.word_bits = self.channels * self.bits
        self.rows, self.columns = TILE_SHAPES[self.pes]
        self.free, self.wants = pause(port, self.random), pause(drain, self.random)
        self.port = Port(self.random, self.pes, self.word_bits)
        self.due: deque[Quad | None] = deque([None] * DELAY)
        self.slots = [0, 0]
        self.reads = 0

    def layer(self, slot: int, plain: bool) -> None:
        """Begin a layer of a few tiles, in passes of two blocks, with or without a residual."""
        source, dut = self.random, self.dut
        tiles_y, tiles_x = source.randint(1, 3), source.randint(1, 3)
        height, width = self.rows * tiles_y - source.randrange(self.rows), self.columns * tiles_x - source.randint(0, 3)
        self.shape = source.randint(1, 5), height, width
        self.residual: Residual | None = None
        fields: dict[str, int] = {}
        if not plain:
            self.residual, fields = random_residual(source, self.pes, self.shape, self.channels, self.bits)
        self.slot, self.slots[slot] = slot, layer_record(**fields)
        dut.layers_i.value = join(self.slots, 512)
        self.tiles = [(y, x) for y in range(tiles_y) for x in range(tiles_x)]

    def passes(self) -> list[tuple[int, list[Quad]]]:
        """Records of the layer's passes, and their quads."""
        result, blocks = [], self.shape[0]
        for number, (y, x) in enumerate(self.tiles):
            for index in range(-(-blocks // 2)):
                place = {"slot": self.slot, "index": index, "first_tile": number == 0, "tile_y": y, "tile_x": x}
                channels = range(2 * index * self.channels, min(2 * index + 2, blocks) * self.channels, 4)
                result.append((pack_record(PASS, **place), [self.quad(y, x, channel) for channel in channels]))
        return result

    def quad(self, tile_y: int, tile_x: int, channel: int) -> Quad:
        result: Quad = []
        for pixel in range(self.pes):
            y, x = tile_y * self.rows + pixel // self.columns, tile_x * self.columns + pixel % self.columns
            values = [self.residual.value(channel + k, y, x, self.bits) if self.residual else 0 for k in range(4)]
            result.append(values if y < self.shape[1] and x < self.shape[2] else None)
        return result

    async def reset(self) -> None:
        """One cycle of reset, in which nothing is asked for."""
        await reset_again(self.dut, "want", "prepare", "begin")
        self.port.clock(None, None)
        self.due = deque([None] * DELAY)

    async def run(self, waits: bool, cut: int | None = None) -> int:
        """All passes of the layer, or what comes of them in ``cut`` cycles; its residual may still be being written.

        Returns the cycles it took beyond those in which a quad was wanted.
        """
        dut, passes = self.dut, deque(self.passes())
        current: deque[Quad] = deque()
        prepared: list[Quad] | None = None
        cycles = wanted = 0
        total_rows = rows_written = -(-self.residual.map.height // self.rows) if self.residual else 0
        if waits:
            rows_written = 0
        lane = 0
        while cycles != cut and (passes or prepared or current or any(quad is not None for quad in self.due)):
            cycles += 1
            if waits and self.random.random() < 0.1:
                # The layer before is done some time after its last row.
                waits, rows_written = rows_written < total_rows, rows_written + 1
            if self.residual:
                self.residual.map.written = rows_written * self.rows if waits else self.residual.map.height
            dut.waits_i.value = waits << self.slot
            dut.rows_written_i.value = rows_written if waits else self.random.getrandbits(12)
            want = bool(current) and next(self.wants)
            wanted += want
            dut.want_i.value, dut.lane_i.value = want, lane
            dut.next_i.value = passes[0][0] if passes else self.random.getrandbits(36)
            dut.read_ready_i.value = next(self.free)
            dut.read_data_i.value = self.port.data()
            await settle(dut)
            step = bool(dut.step_o.value)
            assert want or not step
            ready = prepared is not None and bool(dut.prepared_ready_o.value)
            begin = ready and len(current) == step and next(self.wants)
            prepare = bool(passes) and (begin or prepared is None) and next(self.wants)
            dut.begin_i.value, dut.prepare_i.value = begin, prepare
            await ReadOnly()
            self.compare(self.due.popleft())
            self.due.append(current.popleft() if step else None)
            lane = (lane + step) % (self.channels // 4)
            reads = bool(dut.read_valid_o.value)
            assert not reads or (want and dut.read_ready_i.value)
            self.reads += reads
            self.port.clock(self.residual, int(dut.read_addr_o.value) if reads else None)
            if begin and prepared:
                current.extend(prepared)
                prepared = None
            if prepare:
                prepared = passes.popleft()[1]
            await RisingEdge(dut.clk_i)
        return cycles - wanted

    def compare(self, quad: Quad | None) -> None:
        if quad is None:
            return
        straight, gathered = (
            split(int(port.value), self.bits, 4 * self.pes) for port in (self.dut.straight_o, self.dut.gathered_o)
        )
        for pixel, values in enumerate(quad):
            for k, value in enumerate(values or ()):
                parts = straight[4 * pixel + k], gathered[4 * pixel + k]
                assert sum(parts) == value and 0 in parts, (self.residual, pixel, k)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(port=PAUSES, drain=PAUSES)
async def quads_follow_the_passes(dut, port: str, drain: str) -> None:
    """Layers with and without residual in turn; none is read before it is written, or more often than needed."""
    tb = TB(dut, port, drain)
    for name in ("want", "prepare", "begin"):
        getattr(dut, f"{name}_i").value = 0
    await start(dut)
    for number in range(10):
        tb.layer(number % 2, plain=number % 5 == 4)
        before = tb.reads
        late = await tb.run(waits=number % 5 in (1, 2))
        assert tb.reads - before == (tb.residual.reads(len(tb.tiles)) if tb.residual else 0)
        assert late <= 8 or (port, drain) != ("none", "none") or number % 5 in (1, 2)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_reset_between_the_parts_of_a_quad_leaves_nothing(dut) -> None:
    """Layers are cut off at any moment; the next one begins with the first part of its first quad."""
    tb = TB(dut, "idle", "idle")
    await start(dut)
    moments = set()
    for number in range(40):
        await tb.reset()
        tb.layer(number % 2, plain=False)
        await tb.run(waits=False, cut=tb.random.randint(5, 90))
        moments.add((int(dut.half_row_q.value), int(dut.half_column_q.value)))
        await tb.reset()
        tb.layer(number // 2 % 2, plain=number % 5 == 4)
        before = tb.reads
        await tb.run(waits=False)
        assert tb.reads - before == (tb.residual.reads(len(tb.tiles)) if tb.residual else 0)
    assert moments == {(row, column) for row in range(tb.rows == 1, 2) for column in range(2)}
