"""drain: random layers from accumulators to feature-map words, pool sums and logits."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.parameters import TILE_SHAPES
from tritforge.sim.benches.common import PAUSES, pause, settle, start
from tritforge.sim.benches.drain_sequencer import Layer, random_layer
from tritforge.sim.benches.handshake import Source
from tritforge.sim.benches.records import PASS, join, layer_record, pack_record, signed, split

KIND_POOL = 1


@dataclass
class Pass:
    """A pass: its sums ``[pair][even or odd][pixel]``, and residual blocks ``[block][channel][pixel]``."""

    item: dict[str, int]
    base: int
    sums: list[list[list[int]]]
    residual: list[list[list[int]]]


class TB:
    """Accumulators, affine table and residual blocks beside the drain; its writes and logits."""

    def __init__(self, dut, pattern: str) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.pes, self.channels = int(dut.Pes.value), int(dut.GroupChannels.value)
        self.bits, self.outputs = int(dut.ActivationBits.value), int(dut.PassOutputs.value)
        self.rows, self.columns = TILE_SHAPES[self.pes]
        self.sums, self.residuals = pause(pattern, self.random), pause(pattern, self.random)
        self.source: Source[dict[str, int]] = Source(
            dut.pass_valid_i, dut.pass_ready_o, self._put, pattern, self.random
        )
        self.pool: dict[int, int] = {}

    def _put(self, item: dict[str, int] | None) -> None:
        self.dut.pass_i.value = pack_record(PASS, **item) if item else self.random.getrandbits(35)

    def layer(self, kind: int, **fields: int) -> Layer:
        """A random layer with its requantisation."""
        words = self.outputs // self.channels
        layer = random_layer(self.random, self.rows, self.columns, words, bool(fields.get("residual")))
        shift = self.random.randrange(32)
        layer.fields |= {"kind": kind, "shift": shift, "residual_multiplier": self.random.getrandbits(16)}
        layer.fields |= fields
        return layer

    def single_tile(self, layer: Layer, blocks: int) -> None:
        """Make the layer's map one pixel of so many blocks."""
        words = self.outputs // self.channels
        passes = -(-blocks // words)
        layer.fields |= {"output_height": 1, "output_width": 1, "output_blocks": blocks, "passes": passes}
        layer.fields |= {"last_words": blocks - (passes - 1) * words, "output_row_stride": blocks}
        layer.fields["buffer_log2"] = (min(blocks, words) - 1).bit_length()
        ends = [int(index == passes - 1) for index in range(passes)]
        layer.passes = [{"index": i, "last_of_tile": end, "last": end, "first_tile": 1} for i, end in enumerate(ends)]

    def random_passes(self, layer: Layer) -> list[Pass]:
        source, size, passes = self.random, self.channels // 2 << layer.fields["buffer_log2"], []
        for number, item in enumerate(layer.passes):
            words = layer.fields["last_words"] if item["last_of_tile"] else self.outputs // self.channels
            pairs = range(words * self.channels // 2)
            sums = [[[signed(source.getrandbits(32), 32) for _ in range(self.pes)] for _ in range(2)] for _ in pairs]
            residual = [
                [[source.getrandbits(self.bits) for _ in range(self.pes)] for _ in range(self.channels)]
                for _ in range(words)
            ]
            passes.append(Pass(item, number * size % self.outputs, sums, residual))
        return passes

    def affine(self, layer: Layer) -> list[tuple[int, int]]:
        """``(M, B)`` of every channel, of all magnitudes, so that some results lie between the ends of the range."""
        entries = []
        for _ in range(layer.fields["output_blocks"] * self.channels):
            multiplier = signed(self.random.getrandbits(16), 16) >> self.random.randrange(16)
            bias = self.random.randrange(-(1 << 46), 1 << 46) >> self.random.randrange(46)
            entries.append((multiplier, bias))
        return entries

    def expect(self, layer: Layer, passes: list[Pass], affine: list[tuple[int, int]]) -> None:
        """Words of the layer's map by bank and address, its pool sums and its logits."""
        fields, top = layer.fields, (1 << self.bits) - 1
        half, pool = (1 << fields["shift"]) >> 1, dict(self.pool)
        self.expected: dict[tuple[int, int], int] = {}
        self.logits: list[int] = []
        if fields["pool_outputs"]:
            self.pool = {}
        for work in passes:
            row, column = work.item.get("tile_y", 0) * self.rows, work.item.get("tile_x", 0) * self.columns
            for block in range(len(work.residual)):
                for pixel in range(self.pes):
                    y, x = row + pixel // self.columns, column + pixel % self.columns
                    values = []
                    for lane in range(self.channels):
                        channel = work.item["index"] * self.outputs + block * self.channels + lane
                        total = work.sums[(block * self.channels + lane) // 2][lane % 2][pixel]
                        if fields["kind"] == KIND_POOL:
                            total = pool[channel]
                        total = affine[channel][0] * total + affine[channel][1]
                        if pixel == 0 and fields["logits"] and channel < fields["outputs"] + fields["outputs"] % 2:
                            self.logits.append(signed(total, 48))
                        if fields["residual"]:
                            total += fields["residual_multiplier"] * work.residual[block][lane][pixel]
                        values.append(min(max(total + half >> fields["shift"], 0), top))
                        if fields["pool_outputs"] and y < fields["output_height"] and x < fields["output_width"]:
                            self.pool[channel] = self.pool.get(channel, 0) + values[-1]
                    if y < fields["output_height"] and x < fields["output_width"] and not fields["logits"]:
                        at = (y + 1) // self.rows * fields["output_row_stride"]
                        at += (x + 1) // self.columns * fields["output_blocks"]
                        at += fields["output_base"] + work.item["index"] * (self.outputs // self.channels) + block
                        bank = (y + 1) % self.rows * self.columns + (x + 1) % self.columns
                        self.expected[bank, at % (1 << 16)] = join(values, self.bits)

    async def run(self, layer: Layer) -> None:
        """Drain the layer, and compare when it says that it is done."""
        dut, fields = self.dut, {"residual": 0, "pool_outputs": 0, "logits": 0, "outputs": 0} | layer.fields
        layer.fields = fields
        passes = self.random_passes(layer)
        affine = self.affine(layer)
        self.expect(layer, passes, affine)
        buffers = 2 * self.outputs // (self.channels << fields["buffer_log2"])
        dut.layer_i.value = layer_record(**fields)
        dut.start_i.value = 1
        dut.pass_valid_i.value = dut.pass_done_i.value = dut.residual_valid_i.value = 0
        await RisingEdge(dut.clk_i)
        dut.start_i.value = 0
        self.source.items = list(layer.passes)
        blocks = deque(block for work in passes for block in work.residual)
        claimed: deque[list[list[int]]] = deque()
        table: deque[int] = deque([0, 0])
        written: dict[tuple[int, int], int] = {}
        logits: list[int] = []
        memory: dict[int, list[list[int]]] = {}
        summed = freed = 0
        done = False
        while not done:
            self.source.drive()
            finished = summed < len(passes) and summed - freed < buffers and next(self.sums)
            if finished:
                memory |= {passes[summed].base + pair: sums for pair, sums in enumerate(passes[summed].sums)}
                summed += 1
            dut.pass_done_i.value = finished
            dut.residual_valid_i.value = fields["residual"] and bool(blocks) and next(self.residuals)
            first = 2 * table.popleft() - fields["affine_base"]
            entries = [affine[n] if 0 <= n < len(affine) else (0, 0) for n in (first, first + 1)]
            dut.affine_i.value = join(((m & 0xFFFF) << 48 | b & (1 << 48) - 1 for m, b in entries), 64)
            if claimed:
                by_pixel = zip(*claimed[0], strict=True)
                width = self.channels * self.bits
                dut.residual_i.value = join((join(word, self.bits) for word in by_pixel), width)
            await settle(dut)
            sums = memory.get(int(dut.acc_pair_o.value))
            if sums:
                dut.acc_i.value = join((sums[k][p] for p in range(self.pes) for k in range(2)), 32)
            await ReadOnly()
            self.source.sample()
            table.append(int(dut.affine_addr_o.value))
            if dut.residual_release_o.value:
                claimed.popleft()
            if dut.residual_claim_o.value:
                claimed.append(blocks.popleft())
            freed += int(dut.acc_release_o.value)
            if dut.logits_valid_o.value:
                logits += [signed(value, 48) for value in split(int(dut.logits_o.value), 48, 2)]
            if dut.tile_valid_o.value:
                self.take_tile(written)
            done = bool(dut.layer_done_o.value)
            await RisingEdge(dut.clk_i)
        assert written == self.expected
        assert logits == self.logits
        assert freed == summed == len(passes) and not claimed

    def take_tile(self, written: dict[tuple[int, int], int]) -> None:
        dut, width = self.dut, self.channels * self.bits
        addresses = split(int(dut.tile_addr_o.value), 16, self.pes)
        for bank, word in enumerate(split(int(dut.tile_data_o.value), width, self.pes)):
            if int(dut.tile_mask_o.value) >> bank & 1:
                assert (bank, addresses[bank]) not in written
                written[bank, addresses[bank]] = word


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(pattern=PAUSES)
async def layers_leave_the_accumulators(dut, pattern: str) -> None:
    """With and without residual; a pool of the layer before, to a map and to logits; logits of a convolution."""
    tb = TB(dut, pattern)
    for name in ("start", "pass_valid", "pass_done", "residual_valid"):
        getattr(dut, f"{name}_i").value = 0
    await start(dut)
    await tb.run(tb.layer(0, residual=1))
    await tb.run(tb.layer(0))
    for logits in (0, 1):
        summed = tb.layer(0, residual=1, pool_outputs=1)
        blocks = summed.fields["output_blocks"]
        await tb.run(summed)
        if logits:
            blocks = min(blocks, tb.outputs // tb.channels)
        fields = {"logits": 1, "shift": 0, "outputs": blocks * tb.channels - 2} if logits else {}
        pooled = tb.layer(KIND_POOL, **fields)
        tb.single_tile(pooled, blocks)
        await tb.run(pooled)
    classes = tb.layer(0, logits=1, shift=0, outputs=2 * tb.channels - 5)
    tb.single_tile(classes, 2)
    await tb.run(classes)
