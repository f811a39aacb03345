"""drain_sequencer: the steps of random layers' passes, in order, none before its sums and its residual are there."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.overlay.descriptor import AVERAGE_POOL
from tritforge.overlay.parameters import TILE_SHAPES
from tritforge.sim.benches.common import PAUSES, pause, reset_again, settle, start
from tritforge.sim.benches.handshake import Source
from tritforge.sim.benches.records import PASS, join, layer_record, pack_record

STEP = ("quad", "lane", "layer_quad", "slot", "row_end", "layer_end", "row_start", "first_tile", "lower", "right")
INPUTS = ("pass_valid", "pass_done", "layer_done", "prepared_ready", "step", "idle")


@dataclass
class Layer:
    """Descriptor fields, and the layer's passes in order."""

    fields: dict[str, int]
    passes: list[dict[str, int]]


class Ring:
    """Where passes lie in the accumulators, in blocks."""

    def __init__(self, blocks: int) -> None:
        self.blocks, self.position = blocks, 0

    def take(self, size: int) -> tuple[int, int]:
        """First block of the next pass, and how many it takes with those it skips."""
        base = -(-self.position // size) * size
        taken = base + size - self.position
        self.position = (base + size) % self.blocks
        return base % self.blocks, taken


def random_layer(source: random.Random, rows: int, columns: int, pass_words: int, slot: int) -> Layer:
    """A layer of a few tiles and passes, with a ragged map."""
    tiles_y, tiles_x, passes = (source.randint(1, 3) for _ in range(3))
    last_words = source.randint(1, pass_words)
    blocks = (passes - 1) * pass_words + last_words
    fields = {
        "output_height": (tiles_y - 1) * rows + source.randint(1, rows),
        "output_width": (tiles_x - 1) * columns + source.randint(1, columns),
        "tiles_y": tiles_y,
        "tiles_x": tiles_x,
        "output_base": source.randrange(1 << 14),
        "output_row_stride": (tiles_x + 1) * blocks,
        "output_blocks": blocks,
        "last_words": last_words,
        "passes": passes,
        "affine_base": 16 * source.randrange(1 << 10),
        "buffer_log2": (min(blocks, pass_words) - 1).bit_length(),
    }
    items = []
    for tile in range(tiles_y * tiles_x):
        for index in range(passes):
            last = index == passes - 1
            flags = {"slot": slot, "first_tile": int(tile == 0), "last_of_tile": int(last)}
            flags["last"] = int(last and tile == tiles_y * tiles_x - 1)
            items.append({**flags, "index": index, "tile_y": tile // tiles_x, "tile_x": tile % tiles_x})
    return Layer(fields, items)


class TB:
    """Passes, sums and residuals that come at random times, layers that are done some time after their last step."""

    def __init__(self, dut, passes: str, sums: str, residuals: str) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.channels, self.outputs = int(dut.GroupChannels.value), int(dut.PassOutputs.value)
        self.rows, self.columns = TILE_SHAPES[int(dut.Pes.value)]
        self.pass_words, self.lanes = self.outputs // self.channels, self.channels // 4
        self.sums, self.residuals = pause(sums, self.random), pause(residuals, self.random)
        self.passes: Source[dict[str, int]] = Source(dut.pass_valid_i, dut.pass_ready_o, self._put, passes, self.random)
        self.ring = Ring(2 * self.pass_words)
        self.prompt = 0  # passes that began in the cycle in which their sums were complete

    def _put(self, item: dict[str, int] | None) -> None:
        self.dut.pass_i.value = pack_record(PASS, **item) if item else self.random.getrandbits(36)

    def steps(self, layer: Layer) -> list[tuple[int, list[dict[str, int]]]]:
        """Blocks that each pass takes of the ring, and its steps."""
        fields, result = layer.fields, []
        for item in layer.passes:
            base, taken = self.ring.take(1 << fields["buffer_log2"])
            words = fields["last_words"] if item["last_of_tile"] else self.pass_words
            lower = (item["tile_y"] + 1) * self.rows > fields["output_height"]
            right = (item["tile_x"] + 1) * self.columns > fields["output_width"]
            row_end = item["last_of_tile"] and item["tile_x"] == fields["tiles_x"] - 1
            steps = []
            for quad in range(words * self.lanes):
                last = quad == words * self.lanes - 1
                row_start = item["tile_x"] == item["index"] == 0 and quad < self.lanes
                place = base * self.lanes + quad, quad % self.lanes, item["index"] * self.outputs // 4 + quad
                flags = item["slot"], last and row_end, last and item["last"], row_start, item["first_tile"]
                values = (*place, *map(int, (*flags, lower, right)))
                steps.append(dict(zip(STEP, values, strict=True)))
            result.append((taken, steps))
        return result

    async def run(self, count: int, cut: int | None = None) -> int:
        """Drain so many layers, or what comes of them in ``cut`` cycles.

        Returns the cycles in which a pass could have drained and none did.
        """
        dut, source = self.dut, self.random
        layers = [random_layer(source, self.rows, self.columns, self.pass_words, n % 2) for n in range(count)]
        for layer in layers[1::3]:
            layer.fields["kind"] = AVERAGE_POOL.code
        work = deque((layer, taken, steps) for layer in layers for taken, steps in self.steps(layer))
        to_sum = deque(taken for _, taken, _ in work)
        free, slots = 2 * self.pass_words, [0, 0]
        entered = done = complete = begun = cycles = 0
        ended: deque[int] = deque()
        current: list[dict[str, int]] = []
        stepped: dict[str, int] | None = None
        affine: deque[int] = deque()
        late = taken = due = tail = 0
        while done < count or tail < 6:
            if cycles == cut:
                return late
            cycles += 1
            tail += done == count
            if entered < min(count, done + 2):
                self.passes.items += layers[entered].passes
                slots[entered % 2] = layer_record(**layers[entered].fields)
                dut.layers_i.value = join(slots, 512)
                entered += 1
            self.passes.drive()
            finished = bool(to_sum) and to_sum[0] <= free and next(self.sums)
            if finished:
                free -= to_sum.popleft()
            dut.pass_done_i.value = finished
            complete += finished
            layer_done = bool(ended) and ended[0] <= cycles
            dut.layer_done_i.value = layer_done
            dut.prepared_ready_i.value = may_begin = next(self.residuals)
            await settle(dut)
            dut.step_i.value = step = bool(dut.want_o.value) and next(self.residuals)
            await ReadOnly()
            self.passes.sample()
            # What left in the cycle before.
            assert dut.step_valid_o.value == (stepped is not None)
            release = int(dut.release_o.value)
            if stepped:
                got = {name: int(getattr(dut, f"step_{name}_o").value) for name in STEP}
                assert got == stepped, [name for name in STEP if got[name] != stepped[name]]
            assert release == due
            free += release
            # What leaves in this cycle.
            assert dut.want_o.value == bool(current)
            waiting = begun < complete - finished and work[0][0].fields.get("kind") != AVERAGE_POOL.code
            late += waiting and not current
            stepped, due = None, 0
            if step:
                stepped = current.pop(0)
                assert dut.lane_o.value == stepped["lane"]
                assert dut.affine_addr_o.value == affine[0] + stepped["layer_quad"]
                due = 0 if current else taken
                if stepped["layer_end"]:
                    affine.popleft()
                    ended.append(cycles + source.randint(1, 12))
            if dut.begin_o.value:
                assert work and not current and may_begin, "a pass that should not begin"
                assert begun < complete, "a pass before its sums"
                self.prompt += finished and begun == complete - 1
                layer, taken, current = work.popleft()
                if layer.fields.get("kind") == AVERAGE_POOL.code:
                    assert layers.index(layer) == done, "a pool before the layer before is done"
                if current[0]["layer_quad"] == 0 and current[0]["first_tile"]:
                    affine.append(layer.fields["affine_base"] // 4)
                begun += 1
            if layer_done:
                ended.popleft()
                done += 1
            await RisingEdge(dut.clk_i)
        assert not work and free == 2 * self.pass_words
        return late


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(passes=PAUSES, sums=PAUSES, residuals=PAUSES)
async def passes_drain_in_order(dut, passes: str, sums: str, residuals: str) -> None:
    """Layers follow each other quad by quad without a stop where nothing is late; a pool waits for its input."""
    tb = TB(dut, passes, sums, residuals)
    for name in INPUTS:
        getattr(dut, f"{name}_i").value = 0
    await start(dut)
    for _ in range(2):
        late = await tb.run(5)
        assert late <= 4 or (passes, sums, residuals) != ("none",) * 3
        # Between images the ring begins anew.
        dut.idle_i.value = 1
        await RisingEdge(dut.clk_i)
        dut.idle_i.value = 0
        tb.ring.position = 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_reset_forgets_what_drains_and_what_is_prepared(dut) -> None:
    """At any cycle: nothing leaves afterwards, and the next layers drain from the ring's first block on."""
    await start(dut)
    await reset_again(dut, *INPUTS)
    for cycles in range(1, 60):
        for cut in (cycles, None):
            tb = TB(dut, *(["none"] * 3 if cycles % 2 else ["idle"] * 3))
            tb.random.seed(cycles)
            await tb.run(2, cut)
            await reset_again(dut, *(name for name in INPUTS if name != "step"))  # a quad may leave in its cycle
            for _ in range(4):
                await ReadOnly()
                for name in ("want", "begin", "step_valid", "release"):
                    assert getattr(dut, f"{name}_o").value == 0, name
                await RisingEdge(dut.clk_i)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_pass_that_waited_begins_in_the_cycle_that_completes_its_sums(dut) -> None:
    """Sums come in bursts, everything else is there."""
    for name in INPUTS:
        getattr(dut, f"{name}_i").value = 0
    await start(dut)
    tb = TB(dut, "none", "bursts", "none")
    await tb.run(20)
    assert tb.prompt
