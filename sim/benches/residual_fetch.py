"""residual_fetch: residual blocks of every stride and channel offset, claimed and given back at random."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.parameters import TILE_SHAPES
from tritforge.sim.benches.common import PAUSES, pause, settle, start
from tritforge.sim.benches.handshake import Source
from tritforge.sim.benches.map_memory import MapMemory
from tritforge.sim.benches.records import PASS, join, layer_record, pack_record, split

PASSES = 7


@dataclass
class Shape:
    """A residual: blocks, stride, zero half blocks in front; and the output's rows, columns, blocks."""

    blocks: int
    stride: int
    zero_halves: int
    height: int
    width: int
    output_blocks: int


SHAPES = (
    Shape(2, 1, 0, 3, 9, 2),
    Shape(2, 2, 2, 3, 11, 4),
    Shape(1, 2, 1, 4, 8, 2),
    Shape(3, 1, 3, 2, 5, 6),
    Shape(2, 2, 3, 5, 16, 5),
)


class TB:
    """The residual's banks behind a port that is not always free, and a drain that claims and releases."""

    def __init__(self, dut, port: str, drain: str) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.pes = int(dut.Pes.value)
        self.word_bits = int(dut.GroupChannels.value) * int(dut.ActivationBits.value)
        self.pass_words = int(dut.PassOutputs.value) // int(dut.GroupChannels.value)
        self.rows, self.columns = TILE_SHAPES[self.pes]
        self.port, self.claims, self.releases = (pause(p, self.random) for p in (port, drain, drain))
        self.passes: Source[dict[str, int]] = Source(dut.pass_valid_i, dut.pass_ready_o, self._put, "idle", self.random)
        self.reads: deque[list[int] | None] = deque([None, None])
        self.claimed: deque[list[int | None]] = deque()
        self.stalled = 0

    def _put(self, item: dict[str, int] | None) -> None:
        self.dut.pass_i.value = pack_record(PASS, **item) if item else self.random.getrandbits(35)

    def begin(self, shape: Shape) -> None:
        """A new layer, with a new residual map."""
        self.shape, base = shape, self.random.getrandbits(15)
        size = shape.blocks, shape.stride * shape.height, shape.stride * shape.width
        self.map = MapMemory(self.random, self.pes, size, base, self.word_bits)
        self.pass_count = -(-shape.output_blocks // self.pass_words)
        self.last_words = shape.output_blocks - (self.pass_count - 1) * self.pass_words
        self.dut.base_i.value = base
        self.dut.layer_i.value = layer_record(
            residual=1,
            residual_stride_2=int(shape.stride == 2),
            residual_half=shape.zero_halves % 2,
            residual_offset=shape.zero_halves // 2,
            residual_blocks=shape.blocks,
            residual_row_stride=self.map.row_stride,
            last_words=self.last_words,
        )

    def random_passes(self) -> list[dict[str, int]]:
        """All passes of some tiles, the last tile among them."""
        tiles_y, tiles_x = -(-self.shape.height // self.rows), -(-self.shape.width // self.columns)
        passes: list[dict[str, int]] = []
        while len(passes) < PASSES:
            place = {"tile_y": self.random.randrange(tiles_y), "tile_x": self.random.randrange(tiles_x)}
            if not passes:
                place = {"tile_y": tiles_y - 1, "tile_x": tiles_x - 1}
            for index in range(self.pass_count):
                last = index == self.pass_count - 1
                passes.append({"index": index, "last_of_tile": int(last), **place})
        return passes

    def blocks(self, item: dict[str, int]) -> list[list[int | None]]:
        """The blocks of a pass, by pixel; None for pixels beside the map."""
        shape, half_bits = self.shape, self.word_bits // 2
        result = []
        for word in range(self.last_words if item["last_of_tile"] else self.pass_words):
            block: list[int | None] = []
            for pixel in range(self.pes):
                y = item["tile_y"] * self.rows + pixel // self.columns
                x = item["tile_x"] * self.columns + pixel % self.columns
                halves = []
                for half in range(2):
                    source = 2 * (item["index"] * self.pass_words + word) + half - shape.zero_halves
                    value = self.map.pixel(source // 2, y * shape.stride, x * shape.stride) or 0
                    halves.append(value >> half_bits * (source % 2) & ((1 << half_bits) - 1))
                inside = y < shape.height and x < shape.width
                block.append(join(halves, half_bits) if inside else None)
            result.append(block)
        return result

    async def cycle(self, expected: deque[list[int | None]]) -> None:
        """One cycle; a claim takes the next of the expected blocks."""
        dut = self.dut
        self.passes.drive()
        ready = next(self.port)
        dut.read_ready_i.value = ready
        addresses = self.reads[0]
        words = self.map.read(addresses) if addresses else [self.random.getrandbits(self.word_bits)] * self.pes
        dut.read_data_i.value = join(words, self.word_bits)
        await settle(dut)
        claim = bool(dut.block_valid_o.value) and next(self.claims)
        release = bool(self.claimed) and next(self.releases)
        dut.block_claim_i.value, dut.block_release_i.value = claim, release
        await ReadOnly()
        self.passes.sample()
        valid = bool(dut.read_valid_o.value)
        self.stalled += valid and not ready
        self.reads.popleft()
        self.reads.append(split(int(dut.read_addr_o.value), 16, self.pes) if valid and ready else None)
        if self.claimed:
            got = split(int(dut.block_o.value), self.word_bits, self.pes)
            for pixel, wanted in enumerate(self.claimed[0]):
                assert wanted is None or got[pixel] == wanted, (self.shape, pixel)
        if release:
            self.claimed.popleft()
        if claim:
            assert expected, "a block too many"
            self.claimed.append(expected.popleft())
        await RisingEdge(dut.clk_i)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(port=PAUSES, drain=PAUSES)
async def blocks_follow_the_passes(dut, port: str, drain: str) -> None:
    """Blocks come in the order of the drain; a claimed one stays until it is given back."""
    tb = TB(dut, port, drain)
    for name in ("pass_valid", "read_ready", "block_claim", "block_release"):
        getattr(dut, f"{name}_i").value = 0
    await start(dut)
    for shape in tb.random.sample(SHAPES, len(SHAPES)):
        tb.begin(shape)
        tb.passes.items = tb.random_passes()
        expected = deque(block for item in tb.passes.items for block in tb.blocks(item))
        while expected or tb.claimed:
            await tb.cycle(expected)
        for _ in range(8):
            await tb.cycle(expected)
    assert bool(tb.stalled) == (port != "none")
