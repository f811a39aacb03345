"""drain: random layers from accumulators to feature-map words, pool sums and logits, one after the other."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.overlay.descriptor import AVERAGE_POOL, CONVOLUTION
from tritforge.overlay.parameters import TILE_SHAPES
from tritforge.sim.benches.common import PAUSES, pause, reset_again, settle, start
from tritforge.sim.benches.drain_sequencer import Layer, Ring, random_layer
from tritforge.sim.benches.handshake import Source
from tritforge.sim.benches.map_memory import bank_addresses
from tritforge.sim.benches.records import PASS, join, layer_record, pack_record, signed, split
from tritforge.sim.benches.residual_fetch import Port, Residual, random_residual


@dataclass
class Pass:
    """A pass: its sums ``[channel][pixel]``, its place in the accumulators, in blocks, and how many it takes."""

    item: dict[str, int]
    sums: list[list[int]]
    base: int
    taken: int


@dataclass
class Work:
    """A layer with all that it needs, and what it gives: words by bank and address, logits."""

    layer: Layer
    passes: list[Pass]
    residual: Residual | None
    affine: list[tuple[int, int]]
    words: dict[tuple[int, int], int]
    logits: list[int]

    def reads(self) -> int:
        """Reads of the residual."""
        tiles = self.layer.fields["tiles_y"] * self.layer.fields["tiles_x"]
        return self.residual.reads(tiles) if self.residual else 0


class TB:
    """Accumulators, affine table and feature map beside the drain; its writes and logits."""

    def __init__(self, dut, pattern: str) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.pes, self.channels = int(dut.Pes.value), int(dut.GroupChannels.value)
        self.bits, self.outputs = int(dut.ActivationBits.value), int(dut.PassOutputs.value)
        self.acc_bits = len(dut.acc_i) // (4 * self.pes)
        self.rows, self.columns = TILE_SHAPES[self.pes]
        self.pass_words = self.outputs // self.channels
        self.sums = pause(pattern, self.random)
        self.source: Source[dict[str, int]] = Source(
            dut.pass_valid_i, dut.pass_ready_o, self._put, pattern, self.random
        )
        self.ring = Ring(2 * self.pass_words)
        self.pool: dict[int, int] = {}
        self.work: list[Work] = []

    def _put(self, item: dict[str, int] | None) -> None:
        self.dut.pass_i.value = pack_record(PASS, **item) if item else self.random.getrandbits(36)

    # ---- Layers and what they give. ----

    def add(self, single: int = 0, residual: bool = False, **fields: int) -> int:
        """A random layer, of one pixel in so many blocks if ``single``; returns its blocks."""
        source = self.random
        layer = random_layer(source, self.rows, self.columns, self.pass_words, len(self.work) % 2)
        if single:
            self._single_tile(layer, single)
        layer.fields |= {"kind": CONVOLUTION.code, "shift": source.randrange(32), "pool_outputs": 0, "logits": 0}
        layer.fields |= {"residual_multiplier": source.getrandbits(16), "outputs": 0} | fields
        blocks, height, width = (layer.fields[f"output_{name}"] for name in ("blocks", "height", "width"))
        found = None
        if residual:
            found, more = random_residual(source, self.pes, (blocks, height, width), self.channels, self.bits)
            layer.fields |= more
        work = Work(layer, self._passes(layer), found, self._affine(layer), {}, [])
        self._expect(work)
        self.work.append(work)
        return layer.fields["output_blocks"]

    def _single_tile(self, layer: Layer, blocks: int) -> None:
        passes = -(-blocks // self.pass_words)
        layer.fields |= {"output_height": 1, "output_width": 1, "output_blocks": blocks, "passes": passes}
        layer.fields |= {"tiles_y": 1, "tiles_x": 1, "output_row_stride": blocks}
        layer.fields |= {"last_words": blocks - (passes - 1) * self.pass_words}
        layer.fields["buffer_log2"] = (min(blocks, self.pass_words) - 1).bit_length()
        flags = {"slot": layer.passes[0]["slot"], "first_tile": 1}
        ends = [int(index == passes - 1) for index in range(passes)]
        layer.passes = [{**flags, "index": i, "last_of_tile": end, "last": end} for i, end in enumerate(ends)]

    def _passes(self, layer: Layer) -> list[Pass]:
        source, result = self.random, []
        for item in layer.passes:
            words = layer.fields["last_words"] if item["last_of_tile"] else self.pass_words
            magnitude = source.choice((8, 16, self.acc_bits))
            sums = [
                [signed(source.getrandbits(magnitude), magnitude) * (channel % 5 != 2) for _ in range(self.pes)]
                for channel in range(words * self.channels)
            ]
            result.append(Pass(item, sums, *self.ring.take(1 << layer.fields["buffer_log2"])))
        return result

    def _affine(self, layer: Layer) -> list[tuple[int, int]]:
        """``(M, B)`` of every channel, of all magnitudes, so that some results lie between the ends of the range."""
        entries = []
        for _ in range(layer.fields["output_blocks"] * self.channels):
            multiplier = signed(self.random.getrandbits(16), 16) >> self.random.randrange(16)
            bias = self.random.randrange(-(1 << 45), 1 << 45) >> self.random.randrange(45)
            entries.append((multiplier, bias))
        return entries

    def _expect(self, work: Work) -> None:
        """Words of the layer's map by bank and address, its pool sums and its logits."""
        fields, top = work.layer.fields, (1 << self.bits) - 1
        half, pool = (1 << fields["shift"]) >> 1, dict(self.pool)
        if fields["pool_outputs"]:
            self.pool = {}
        for part in work.passes:
            row, column = part.item.get("tile_y", 0) * self.rows, part.item.get("tile_x", 0) * self.columns
            for pixel in range(self.pes):
                y, x = row + pixel // self.columns, column + pixel % self.columns
                inside = y < fields["output_height"] and x < fields["output_width"]
                values = []
                for number, sums in enumerate(part.sums):
                    channel = part.item["index"] * self.outputs + number
                    multiplier, total = work.affine[channel]
                    total += multiplier * (pool[channel] if fields["kind"] == AVERAGE_POOL.code else sums[pixel])
                    if pixel == 0 and fields["logits"] and channel < -(-fields["outputs"] // 4) * 4:
                        work.logits.append(signed(total, 48))
                    if work.residual:
                        total += fields["residual_multiplier"] * work.residual.value(channel, y, x, self.bits)
                    values.append(min(max(total + half >> fields["shift"], 0), top))
                    if fields["pool_outputs"] and inside:
                        self.pool[channel] = self.pool.get(channel, 0) + values[-1]
                if not inside or fields["logits"]:
                    continue
                at = (y + 1) // self.rows * fields["output_row_stride"]
                at += (x + 1) // self.columns * fields["output_blocks"]
                at += fields["output_base"] + part.item["index"] * self.pass_words
                bank = (y + 1) % self.rows * self.columns + (x + 1) % self.columns
                for block in range(len(values) // self.channels):
                    word = join(values[block * self.channels : (block + 1) * self.channels], self.bits)
                    work.words[bank, (at + block) % (1 << 16)] = word

    # ---- The run. ----

    async def run(self, cut: int | None = None) -> int:
        """Drain all layers, and compare each when it is done; or what comes of them in ``cut`` cycles.

        Returns the cycles without a step between the first and the last.
        """
        dut, count = self.dut, len(self.work)
        memory: dict[int, list[list[int]]] = {}
        passes = deque(part for work in self.work for part in work.passes)
        takings = deque(part.taken for part in passes)
        port = Port(self.random, self.pes, self.channels * self.bits)
        free, slots = 2 * self.pass_words, [0, 0]
        table: dict[int, int] = {}
        reads: deque[int] = deque([0, 0])
        released: deque[int] = deque([0, 0, 0])
        maps = deque(work.residual for work in self.work for _ in range(work.reads()))
        entered = done = steps = gaps = since = cycles = 0
        written: dict[tuple[int, int], int] = {}
        logits: list[int] = []
        expected: list[int] = []
        tiles = 0
        read = [[0] * self.pes] * 4
        while done < count:
            if cycles == cut:
                return gaps
            cycles += 1
            if entered < min(count, done + 2):
                self.enter(entered, slots, table)
                entered += 1
            self.source.drive()
            # Blocks come back a cycle before their last quad is read: no sum reaches them that soon.
            free += released.popleft()
            released.append(0)
            finished = bool(passes) and passes[0].taken <= free and next(self.sums)
            if finished:
                part = passes.popleft()
                free -= part.taken
                first = part.base * self.channels // 4
                memory |= {first + quad: part.sums[4 * quad : 4 * quad + 4] for quad in range(len(part.sums) // 4)}
            dut.pass_done_i.value = finished
            dut.affine_i.value = table.get(reads.popleft(), 0)
            dut.residual_data_i.value = port.data()
            await settle(dut)
            # Sums come a cycle after their address; where no group has been, anything may stand for zero.
            touched = [any(read[k]) for k in range(4)]
            shown = (read[k][p] if touched[k] else p + 1 for p in range(self.pes) for k in range(4))
            dut.acc_i.value, dut.acc_touched_i.value = join(shown, self.acc_bits), join(touched, 1)
            if dut.acc_valid_o.value:
                read = memory.pop(int(dut.acc_quad_o.value))
                steps, gaps, since = steps + 1, gaps + since, 0
            else:
                since += steps > 0
            await ReadOnly()
            self.source.sample()
            reads.append(int(dut.affine_addr_o.value))
            if dut.residual_valid_o.value:
                assert not dut.tile_valid_o.value
                port.clock(maps.popleft(), int(dut.residual_addr_o.value))
            else:
                port.clock(None, None)
            if dut.acc_release_o.value:
                assert dut.acc_release_o.value == takings[0]
                released[1] += takings.popleft()
            if dut.logits_valid_o.value:
                logits += [signed(value, 48) for value in split(int(dut.logits_o.value), 48, 4)]
            work = self.work[done]
            fields = work.layer.fields
            if dut.tile_valid_o.value:
                self.take_tile(written)
                tiles += 1
            if not fields["logits"]:
                row = fields["tiles_x"] * fields["output_blocks"]
                assert dut.rows_written_o.value == tiles // row
            if dut.layer_done_o.value:
                assert written == work.words, done
                expected += work.logits
                assert logits[: len(expected)] == expected, done
                written, tiles = {}, 0
                done += 1
            await RisingEdge(dut.clk_i)
        assert logits == expected and not memory and not takings and not maps
        assert free + sum(released) == 2 * self.pass_words
        return gaps

    def enter(self, number: int, slots: list[int], table: dict[int, int]) -> None:
        """A layer takes its slot, its passes come, its affine entries are there."""
        work = self.work[number]
        fields = work.layer.fields
        fields["affine_base"] = (number % 2 << 12) + 16 * self.random.randrange(8)
        slots[number % 2] = layer_record(**fields)
        self.dut.layers_i.value = join(slots, 512)
        self.source.items += work.layer.passes
        entries = [(m & 0xFFFF) << 48 | b & (1 << 48) - 1 for m, b in work.affine]
        for quad in range(len(entries) // 4):
            table[fields["affine_base"] // 4 + quad] = join(entries[4 * quad : 4 * quad + 4], 64)

    def take_tile(self, written: dict[tuple[int, int], int]) -> None:
        dut, width = self.dut, self.channels * self.bits
        addresses = bank_addresses(int(dut.tile_addr_o.value), self.pes)
        for bank, word in enumerate(split(int(dut.tile_data_o.value), width, self.pes)):
            if int(dut.tile_mask_o.value) >> bank & 1:
                assert (bank, addresses[bank]) not in written
                written[bank, addresses[bank]] = word


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(pattern=PAUSES)
async def layers_leave_the_accumulators(dut, pattern: str) -> None:
    """With and without residual; a pool of the layer before, to a map and to logits; logits of a convolution."""
    tb = TB(dut, pattern)
    for name in ("pass_valid", "pass_done", "residual_waits"):
        getattr(dut, f"{name}_i").value = 0
    dut.idle_i.value = 0
    await start(dut)
    for number in range(6):
        tb.add(residual=number % 3 < 2)
    for logits in (0, 1):
        blocks = tb.add(residual=bool(logits), pool_outputs=1)
        outputs = logits * (blocks * tb.channels - 2)
        shift = 0 if logits else tb.random.randrange(32)
        tb.add(single=blocks, kind=AVERAGE_POOL.code, logits=logits, shift=shift, outputs=outputs)
        tb.add()
    tb.add(single=2, logits=1, shift=0, outputs=2 * tb.channels - 5)
    tb.add(residual=True)
    await tb.run()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def layers_follow_each_other_without_a_gap(dut) -> None:
    """Without late sums a quad leaves in every cycle, also from layer to layer, and while residuals are read once."""
    tb = TB(dut, "none")
    for name in ("pass_valid", "pass_done", "residual_waits"):
        getattr(dut, f"{name}_i").value = 0
    dut.idle_i.value = 0
    await start(dut)
    for _ in range(6):
        tb.add()
    assert await tb.run() <= 4


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(pool=[False, True])
async def logits_come_in_as_many_quads_as_the_classes_fill(dut, pool: bool) -> None:
    """Every number of classes that fits a pass, of a convolution and of a pool."""
    tb = TB(dut, "none")
    for name in ("pass_valid", "pass_done", "residual_waits"):
        getattr(dut, f"{name}_i").value = 0
    dut.idle_i.value = 0
    await start(dut)
    blocks = tb.add(pool_outputs=1) if pool else 0
    for outputs in range(1, min(tb.outputs, blocks * tb.channels or tb.outputs) + 1):
        kind = AVERAGE_POOL if pool else CONVOLUTION
        single = blocks or -(-outputs // tb.channels)
        tb.add(single=single, kind=kind.code, logits=1, shift=0, outputs=outputs)
    await tb.run()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_reset_leaves_nothing_of_what_drained(dut) -> None:
    """In every stage of logits, and anywhere in other layers; what comes then is right from its first quad on."""
    for name in ("pass_valid", "pass_done", "residual_waits", "idle"):
        getattr(dut, f"{name}_i").value = 0
    await start(dut)
    numbers = random.Random(cocotb.RANDOM_SEED)
    cuts = [(True, cycle) for cycle in range(4, 34)] + [(False, numbers.randint(5, 300)) for _ in range(30)]
    for logits, cut in cuts:
        for until in (cut, None):
            tb = TB(dut, "none" if logits else "idle")
            tb.random.seed(numbers.random())
            if logits and until:
                tb.add(single=2, logits=1, shift=0, outputs=2 * tb.channels)
            else:
                tb.add(residual=True)
                tb.add(single=tb.add(residual=True, pool_outputs=1), kind=AVERAGE_POOL.code)
            await tb.run(until)
            await reset_again(dut, "pass_valid", "pass_done")
            for _ in range(20):
                await ReadOnly()
                for name in ("acc_valid", "residual_valid", "tile_valid", "logits_valid", "layer_done"):
                    assert getattr(dut, f"{name}_o").value == 0, name
                assert dut.acc_release_o.value == 0 and dut.rows_written_o.value == 0
                await RisingEdge(dut.clk_i)
