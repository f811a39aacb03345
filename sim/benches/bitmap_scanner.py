"""bitmap_scanner: passes, loads and words of random layers, in the loops' own order, whatever the three takers do."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.sim.benches.common import PAUSES, start
from tritforge.sim.benches.handshake import Sink
from tritforge.sim.benches.records import LOAD, PASS, layer_record, unpack_record

LAYERS = 4
WORD = ("active", "stored", "slot", "index", "shift", "load", "last")


@dataclass
class Work:
    """What a layer comes to."""

    passes: list[dict[str, int]] = field(default_factory=list)
    loads: list[dict[str, int]] = field(default_factory=list)
    words: list[dict[str, int]] = field(default_factory=list)
    scanned: int = 0


@dataclass
class Layer:
    """A random layer: its descriptor fields and its bitmap words ``(stored, active)`` by address."""

    fields: dict[str, int]
    bitmap: dict[int, tuple[int, int]]


def random_layer(source: random.Random, channels: int, pass_words: int, tight: bool = False) -> Layer:
    """A layer of up to 3 of everything, with words from empty to full; a tight one has a last pass of one word."""
    tiles_y, tiles_x, passes, groups, planes = (source.randint(1, 3) for _ in range(5))
    if tight:
        passes, groups, planes = 2, 1, 1
    fields = {
        "tiles_y": tiles_y,
        "tiles_x": tiles_x,
        "passes": passes,
        "groups": groups,
        "planes": planes,
        "plane_step": source.choice((1, 2, 4)),
        "last_words": 1 if tight else source.randint(1, pass_words),
        "bitmap_base": source.randrange(1 << 12),
        "slot_base": source.randrange(1 << 12),
    }
    density = 0.5 if tight else source.choice((0.0, 0.1, 0.5, 1.0))
    bitmap = {}
    words = ((passes - 1) * pass_words + fields["last_words"]) * groups * planes
    for address in range(fields["bitmap_base"], fields["bitmap_base"] + words):
        stored = source.getrandbits(channels)
        active = stored & source.getrandbits(channels) if source.random() < density else 0
        bitmap[address] = stored, active
    return Layer(fields, bitmap)


def expected_work(layer: Layer, pass_words: int) -> Work:
    """Walk tiles, passes, groups, planes and words."""
    work, fields = Work(), layer.fields
    for tile_y in range(fields["tiles_y"]):
        for tile_x in range(fields["tiles_x"]):
            address, slot = fields["bitmap_base"], fields["slot_base"]
            for index in range(fields["passes"]):
                last_pass = index == fields["passes"] - 1
                end = (tile_y, tile_x) == (fields["tiles_y"] - 1, fields["tiles_x"] - 1)
                place = {"tile_y": tile_y, "tile_x": tile_x}
                first_tile = int(tile_y == tile_x == 0)
                flags = {"last": int(last_pass and end), "first_tile": first_tile, "last_of_tile": int(last_pass)}
                work.passes.append({**flags, "index": index, **place})
                entries: list[dict[str, int]] = []
                for group in range(fields["groups"]):
                    loaded = False
                    for plane in range(fields["planes"]):
                        for word in range(fields["last_words"] if last_pass else pass_words):
                            stored, active = layer.bitmap[address]
                            if active:
                                shift = plane * fields["plane_step"]
                                entry = (active, stored, slot, word, shift, int(not loaded), 0)
                                entries.append(dict(zip(WORD, entry, strict=True)))
                                if not loaded:
                                    work.loads.append({"group": group, **place})
                                loaded = True
                            slot += stored.bit_count()
                            address += 1
                            work.scanned += 1
                if not entries:
                    entries.append({"active": 0, "load": 0})
                entries[-1]["last"] = 1
                work.words += entries
    return work


class TB:
    """The bitmap memory, and the takers of passes, loads and words."""

    def __init__(self, dut, patterns: tuple[str, str, str]) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.channels = int(dut.GroupChannels.value)
        self.pass_words = int(dut.PassOutputs.value) // self.channels
        self.reading: list[int] = [0, 0]
        self.layer = random_layer(self.random, self.channels, self.pass_words)

        def get_word() -> dict[str, int]:
            return {name: int(getattr(dut, f"word_{name}_o").value) for name in WORD}

        self.passes = Sink(
            dut.pass_valid_o,
            dut.pass_ready_i,
            lambda: unpack_record(PASS, int(dut.pass_o.value)),
            patterns[0],
            self.random,
        )
        self.loads = Sink(
            dut.load_valid_o,
            dut.load_ready_i,
            lambda: unpack_record(LOAD, int(dut.load_o.value)),
            patterns[1],
            self.random,
        )
        self.words = Sink(dut.word_valid_o, dut.word_ready_i, get_word, patterns[2], self.random)
        self.sinks = (self.passes, self.loads, self.words)

    async def cycle(self, begins: bool = False) -> None:
        """One cycle; the memory answers with the word of two cycles ago, and with noise outside the layer's words."""
        dut = self.dut
        dut.start_i.value = begins
        stored, active = self.layer.bitmap.get(self.reading.pop(0), (self.random.getrandbits(self.channels), 0))
        noise = self.random.getrandbits(32) >> 2 * self.channels << 2 * self.channels
        dut.bitmap_rdata_i.value = noise | stored << self.channels | active
        for sink in self.sinks:
            sink.drive()
        await ReadOnly()
        self.reading.append(int(dut.bitmap_addr_o.value))
        for sink in self.sinks:
            sink.sample()
        await RisingEdge(dut.clk_i)

    async def run(self, layer: Layer) -> None:
        """Run a layer and compare all that it gives."""
        self.layer = layer
        self.dut.layer_i.value = layer_record(**layer.fields)
        expected = expected_work(layer, self.pass_words)
        await self.cycle(begins=True)
        cycles = 0
        while len(self.words.items) < len(expected.words) or len(self.loads.items) < len(expected.loads):
            await self.cycle()
            cycles += 1
        self.cycles_beyond = cycles - expected.scanned
        for _ in range(8):
            await self.cycle()
        assert self.passes.items == expected.passes
        assert self.loads.items == expected.loads
        assert len(self.words.items) == len(expected.words)
        for number, (got, wanted) in enumerate(zip(self.words.items, expected.words, strict=True)):
            assert {name: got[name] for name in wanted} == wanted, f"word {number}"
        for sink in self.sinks:
            sink.items.clear()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(passes=PAUSES, loads=PAUSES, words=PAUSES)
async def layers_become_work(dut, passes: str, loads: str, words: str) -> None:
    """Layers one after the other; a bitmap word a cycle when nobody pauses."""
    tb = TB(dut, (passes, loads, words))
    dut.start_i.value = 0
    await start(dut)
    for number in range(LAYERS):
        await tb.run(random_layer(tb.random, tb.channels, tb.pass_words, tight=number % 2 == 1))
        assert tb.cycles_beyond <= 6 or (passes, loads, words) != ("none",) * 3
