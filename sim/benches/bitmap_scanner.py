"""bitmap_scanner: passes, loads and words of random layers, in the loops' own order, whatever the three takers do."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.overlay.descriptor import USED_WORDS
from tritforge.sim.benches.common import PAUSES, start
from tritforge.sim.benches.handshake import Sink
from tritforge.sim.benches.records import (
    GROUP_LAYER,
    LOAD,
    PASS,
    WALK,
    join,
    layer_record,
    pack_record,
    unpack_record,
    walk_record,
)

LAYERS = 4
WORD = ("active", "stored", "slot", "index", "shift", "layer", "load", "last")
LAYER_BITS = 32 * USED_WORDS


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


def random_layer(source: random.Random, channels: int, pass_words: int, place: int, tight: bool = False) -> Layer:
    """A layer of up to 3 of everything, with words from empty to full; a tight one has a last pass of one word.

    Its bitmaps lie from ``place`` on.
    """
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
        "bitmap_base": place,
        "slot_base": source.randrange(1 << 12),
        "quad_shift": source.getrandbits(1),
        "buffer_log2": source.randrange(4),
    }
    density = 0.5 if tight else source.choice((0.0, 0.1, 0.5, 1.0))
    bitmap = {}
    words = ((passes - 1) * pass_words + fields["last_words"]) * groups * planes
    for address in range(fields["bitmap_base"], fields["bitmap_base"] + words):
        stored = source.getrandbits(channels)
        active = stored & source.getrandbits(channels) if source.random() < density else 0
        bitmap[address] = stored, active
    return Layer(fields, bitmap)


def expected_work(layer: Layer, pass_words: int, layer_slot: int) -> Work:
    """Walk tiles, passes, groups, planes and words."""
    work, fields = Work(), layer.fields
    of_layer = {name: fields[name] for name in ("quad_shift", "buffer_log2")}
    of_layer_word = pack_record(GROUP_LAYER, slot=layer_slot, **of_layer)
    for tile_y in range(fields["tiles_y"]):
        for tile_x in range(fields["tiles_x"]):
            address, slot = fields["bitmap_base"], fields["slot_base"]
            for index in range(fields["passes"]):
                last_pass = index == fields["passes"] - 1
                end = (tile_y, tile_x) == (fields["tiles_y"] - 1, fields["tiles_x"] - 1)
                place = {"tile_y": tile_y, "tile_x": tile_x}
                first_tile = int(tile_y == tile_x == 0)
                flags = {"last": int(last_pass and end), "first_tile": first_tile, "last_of_tile": int(last_pass)}
                work.passes.append({"slot": layer_slot, **flags, "index": index, **place})
                entries: list[dict[str, int]] = []
                for group in range(fields["groups"]):
                    loaded = False
                    for plane in range(fields["planes"]):
                        for word in range(fields["last_words"] if last_pass else pass_words):
                            stored, active = layer.bitmap[address]
                            if active:
                                shift = plane * fields["plane_step"]
                                entry = (active, stored, slot, word, shift, of_layer_word, int(not loaded), 0)
                                entries.append(dict(zip(WORD, entry, strict=True)))
                                if not loaded:
                                    work.loads.append({"slot": layer_slot, "group": group, **place})
                                loaded = True
                            slot += stored.bit_count()
                            address += 1
                            work.scanned += 1
                if not entries:
                    entries.append({"active": 0, "load": 0, "layer": of_layer_word})
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
        self.layers: list[Layer] = []
        self.bitmap: dict[int, tuple[int, int]] = {}
        self.slots = [self.random.getrandbits(LAYER_BITS) for _ in range(2)]
        self.slot = self.under_way = 0
        dut.walk_valid_i.value = 0

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

    async def cycle(self) -> None:
        """One cycle; the memory answers with the word of two cycles ago, and with noise outside the layers' words."""
        dut = self.dut
        dut.walk_valid_i.value = offered = bool(self.layers) and self.under_way == 0
        stored, active = self.bitmap.get(self.reading.pop(0), (self.random.getrandbits(self.channels), 0))
        noise = self.random.getrandbits(32) >> 2 * self.channels << 2 * self.channels
        dut.bitmap_rdata_i.value = noise | stored << self.channels | active
        for sink in self.sinks:
            sink.drive()
        await ReadOnly()
        self.reading.append(int(dut.bitmap_addr_o.value))
        for sink in self.sinks:
            sink.sample()
        self.under_way = max(0, self.under_way - 1)
        if offered and dut.walk_ready_o.value:
            self.layers.pop(0)
            self.slot ^= 1
            self.under_way = 3
        await RisingEdge(dut.clk_i)
        self.offer()

    def offer(self) -> None:
        """Put the next layer into its slot, not before the words of the one that had it have arrived."""
        self.dut.walk_i.value = self.random.getrandbits(sum(width for _, width in WALK))
        if self.layers and self.under_way == 0:
            self.slots[self.slot] = layer_record(**self.layers[0].fields)
            self.dut.walk_i.value = walk_record(self.layers[0].fields)
        self.dut.walk_slot_i.value = self.slot
        self.dut.layers_i.value = join(self.slots, LAYER_BITS)

    async def run(self, layers: list[Layer]) -> None:
        """Run layers without a gap and compare all that they give."""
        self.bitmap = {address: word for layer in layers for address, word in layer.bitmap.items()}
        works = [expected_work(layer, self.pass_words, self.slot ^ number & 1) for number, layer in enumerate(layers)]
        words = [word for work in works for word in work.words]
        loads = [load for work in works for load in work.loads]
        self.layers = list(layers)
        self.offer()
        cycles = 0
        while len(self.words.items) < len(words) or len(self.loads.items) < len(loads):
            await self.cycle()
            cycles += 1
        self.cycles_beyond = cycles - sum(work.scanned for work in works)
        for _ in range(8):
            await self.cycle()
        assert self.passes.items == [item for work in works for item in work.passes]
        assert self.loads.items == loads
        assert len(self.words.items) == len(words)
        for number, (got, wanted) in enumerate(zip(self.words.items, words, strict=True)):
            assert {name: got[name] for name in wanted} == wanted, f"word {number}"
        for sink in self.sinks:
            sink.items.clear()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(passes=PAUSES, loads=PAUSES, words=PAUSES)
async def layers_become_work(dut, passes: str, loads: str, words: str) -> None:
    """Layers one after the other and back to back; a word a cycle, over their borders too, when nobody pauses."""
    tb = TB(dut, (passes, loads, words))
    await start(dut)
    for count in (1, 1, LAYERS):
        place, layers = 0, []
        for number in range(count):
            layers.append(random_layer(tb.random, tb.channels, tb.pass_words, place, tight=number % 2 == 1))
            place += len(layers[-1].bitmap)
        await tb.run(layers)
        assert tb.cycles_beyond <= 6 + 3 * count or (passes, loads, words) != ("none",) * 3
