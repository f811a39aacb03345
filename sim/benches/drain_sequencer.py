"""drain_sequencer: the steps of random layers' passes, in order, none before its sums and its residual are there."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.parameters import TILE_SHAPES
from tritforge.sim.benches.common import PAUSES, pause, settle, start
from tritforge.sim.benches.handshake import Source
from tritforge.sim.benches.records import PASS, bits, layer_record, pack_record

STEP = (
    "pair",
    "lane",
    "layer_pair",
    "block_end",
    "buffer_end",
    "layer_end",
    "first_tile",
    "pointer",
    "rows",
    "columns",
)


@dataclass
class Layer:
    """Descriptor fields, and the layer's passes in order."""

    fields: dict[str, int]
    passes: list[dict[str, int]]


def random_layer(source: random.Random, rows: int, columns: int, pass_words: int, residual: bool) -> Layer:
    """A layer of a few tiles and passes, with a ragged map."""
    tiles_y, tiles_x, passes = (source.randint(1, 3) for _ in range(3))
    last_words = source.randint(1, pass_words)
    blocks = (passes - 1) * pass_words + last_words
    fields = {
        "residual": int(residual),
        "output_height": (tiles_y - 1) * rows + source.randint(1, rows),
        "output_width": (tiles_x - 1) * columns + source.randint(1, columns),
        "output_base": source.randrange(1 << 14),
        "output_row_stride": (tiles_x + 1) * blocks,
        "output_blocks": blocks,
        "last_words": last_words,
        "passes": passes,
        "affine_base": 2 * source.randrange(1 << 10),
        "buffer_log2": (min(blocks, pass_words) - 1).bit_length(),
    }
    items = []
    for tile in range(tiles_y * tiles_x):
        for index in range(passes):
            last = index == passes - 1
            flags = {"first_tile": int(tile == 0), "last_of_tile": int(last)}
            flags["last"] = int(last and tile == tiles_y * tiles_x - 1)
            items.append({**flags, "index": index, "tile_y": tile // tiles_x, "tile_x": tile % tiles_x})
    return Layer(fields, items)


class TB:
    """Passes, sums and residual blocks that come at random times, and the steps foretold."""

    def __init__(self, dut, passes: str, sums: str, residuals: str) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.channels, self.outputs = int(dut.GroupChannels.value), int(dut.PassOutputs.value)
        self.rows, self.columns = TILE_SHAPES[int(dut.Pes.value)]
        self.pass_words = self.outputs // self.channels
        self.sums, self.residuals = pause(sums, self.random), pause(residuals, self.random)
        self.passes: Source[dict[str, int]] = Source(dut.pass_valid_i, dut.pass_ready_o, self._put, passes, self.random)

    def _put(self, item: dict[str, int] | None) -> None:
        self.dut.pass_i.value = pack_record(PASS, **item) if item else self.random.getrandbits(35)

    def steps(self, layer: Layer) -> list[list[dict[str, int]]]:
        """Steps of each pass."""
        fields, lanes, result = layer.fields, self.channels // 2, []
        size = lanes << fields["buffer_log2"]
        for number, item in enumerate(layer.passes):
            base = number * size % self.outputs
            words = fields["last_words"] if item["last_of_tile"] else self.pass_words
            chunk = item["tile_y"] * fields["output_row_stride"] + item["tile_x"] * fields["output_blocks"]
            row, column = item["tile_y"] * self.rows, item["tile_x"] * self.columns
            steps = []
            for pair in range(words * lanes):
                block, lane = divmod(pair, lanes)
                last = pair == words * lanes - 1
                values = (
                    base + pair,
                    lane,
                    item["index"] * self.outputs // 2 + pair,
                    int(lane == lanes - 1),
                    int(last),
                    int(last and item["last"]),
                    item["first_tile"],
                    fields["output_base"] + chunk + item["index"] * self.pass_words + block,
                    bits([row + r < fields["output_height"] for r in range(self.rows)]),
                    bits([column + c < fields["output_width"] for c in range(self.columns)]),
                )
                steps.append(dict(zip(STEP, values, strict=True)))
            result.append(steps)
        return result

    async def run(self, layer: Layer) -> int:
        """Drain a layer; returns the cycles from the first step to the last."""
        dut, residual = self.dut, layer.fields["residual"]
        passes = deque(self.steps(layer))
        buffers = self.outputs * 2 // (self.channels << layer.fields["buffer_log2"])
        self.passes.items = list(layer.passes)
        dut.layer_i.value = layer_record(**layer.fields)
        dut.start_i.value = 1
        dut.pass_valid_i.value = dut.pass_done_i.value = dut.residual_valid_i.value = 0
        await RisingEdge(dut.clk_i)
        dut.start_i.value = 0
        summed = drained = claims = blocks = cycles = idle = 0
        affine: deque[int] = deque([0, 0])
        current: list[dict[str, int]] = []
        while passes or current or idle < 6:
            cycles += drained > 0 or bool(current)
            self.passes.drive()
            finished = summed < len(layer.passes) and summed - drained < buffers and next(self.sums)
            dut.pass_done_i.value = finished
            dut.residual_valid_i.value = valid = bool(residual) and next(self.residuals)
            await settle(dut)
            await ReadOnly()
            self.passes.sample()
            claim = bool(dut.residual_claim_o.value)
            assert valid or not claim
            claims += claim
            affine.append(int(dut.affine_addr_o.value))
            ahead = affine.popleft()
            if dut.step_valid_o.value:
                if not current:
                    assert passes and drained < summed, "a step before its sums"
                    current = passes.popleft()
                expected = current.pop(0)
                got = {name: int(getattr(dut, f"step_{name}_o").value) for name in STEP}
                assert got == expected, [name for name in STEP if got[name] != expected[name]]
                assert ahead == layer.fields["affine_base"] // 2 + expected["layer_pair"]
                blocks += expected["lane"] == 0
                assert not residual or blocks <= claims
                drained += expected["buffer_end"]
                in_block = expected["lane"] != self.channels // 2 - 1
            else:
                assert not any(getattr(dut, f"step_{name}_o").value for name in STEP if name.endswith("_end"))
                assert not (current and in_block), "a block that stops"
                idle += not (passes or current)
            summed += finished
            await RisingEdge(dut.clk_i)
        assert claims == blocks * residual
        return cycles - idle


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(passes=PAUSES, sums=PAUSES, residuals=PAUSES)
async def passes_drain_in_order(dut, passes: str, sums: str, residuals: str) -> None:
    """Layers with and without residual; pair after pair without a stop where nothing is late."""
    tb = TB(dut, passes, sums, residuals)
    for name in ("start", "pass_valid", "pass_done", "residual_valid"):
        getattr(dut, f"{name}_i").value = 0
    await start(dut)
    for residual in (True, False, True):
        layer = random_layer(tb.random, tb.rows, tb.columns, tb.pass_words, residual)
        steps = sum(len(steps) for steps in tb.steps(layer))
        cycles = await tb.run(layer)
        assert cycles <= steps + 2 or (passes, sums, residuals) != ("none",) * 3
