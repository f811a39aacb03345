"""group_scheduler: every active group of every word once, lowest channel first, at the slot of its stored place."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.sim.benches.common import PAUSES, start
from tritforge.sim.benches.handshake import Sink, Source
from tritforge.sim.benches.records import GROUP, unpack_record

WORDS = 150
FIELDS = ("active", "stored", "slot", "index", "shift", "layer", "load", "last")


def groups_of(word: dict[str, int], channels: int) -> list[dict[str, int]]:
    """The groups of a word; one marked empty, of which only the flags count, where none is active."""
    groups = []
    slot = word["slot"]
    for channel in range(channels):
        if word["active"] >> channel & 1:
            place = {"channel": word["index"] * channels + channel, "slot": slot}
            groups.append({"empty": 0, "load": 0, "last": 0, "shift": word["shift"], **place})
        slot += word["stored"] >> channel & 1
    groups = groups or [{"empty": 1, "load": 0, "last": 0}]
    groups[0]["load"] = word["load"]
    groups[-1]["last"] = word["last"]
    for group in groups:
        group["layer"] = word["layer"]
    return groups


class TB:
    """A source of words and a sink of groups."""

    def __init__(self, dut, source: str, sink: str) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.channels = int(dut.GroupChannels.value)
        self.pass_words = int(dut.PassOutputs.value) // self.channels

        def put(word: dict[str, int] | None) -> None:
            values = word or self.word()
            for name in FIELDS:
                getattr(dut, f"word_{name}_i").value = values[name]

        self.words: Source[dict[str, int]] = Source(dut.word_valid_i, dut.word_ready_o, put, source, self.random)
        self.groups = Sink(
            dut.group_valid_o,
            dut.group_ready_i,
            lambda: unpack_record(GROUP, int(dut.group_o.value)),
            sink,
            self.random,
        )

    def word(self) -> dict[str, int]:
        """A word with some, all, one or none of its groups active; none ends a pass."""
        source, full = self.random, (1 << self.channels) - 1
        stored = source.choice((full, source.getrandbits(self.channels)))
        one = 1 << source.randrange(self.channels)
        stored |= one
        active = source.choice((stored, one, stored & source.getrandbits(self.channels), 0))
        values = (
            active,
            stored,
            source.randrange(1 << 15),
            source.randrange(self.pass_words),
            source.randrange(32),
            source.randrange(32),
            int(source.random() < 0.5 and active != 0),
            int(source.random() < 0.3 or active == 0),
        )
        return dict(zip(FIELDS, values, strict=True))

    async def cycle(self) -> None:
        self.words.drive()
        self.groups.drive()
        await ReadOnly()
        self.words.sample()
        self.groups.sample()
        await RisingEdge(self.dut.clk_i)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(source=PAUSES, sink=PAUSES)
async def groups_come_out_in_order(dut, source: str, sink: str) -> None:
    """Random words; a group in every cycle while neither side pauses."""
    tb = TB(dut, source, sink)
    dut.word_valid_i.value = dut.group_ready_i.value = 0
    await start(dut)
    tb.words.items = [tb.word() for _ in range(WORDS)]
    expected = [group for word in tb.words.items for group in groups_of(word, tb.channels)]
    cycles = 0
    while len(tb.groups.items) < len(expected):
        await tb.cycle()
        cycles += 1
    for _ in range(4):
        await tb.cycle()
    assert len(tb.groups.items) == len(expected)
    for number, (got, wanted) in enumerate(zip(tb.groups.items, expected, strict=True)):
        assert {name: got[name] for name in wanted} == wanted, f"group {number}"
    assert cycles <= len(expected) + 2 or (source, sink) != ("none", "none")
