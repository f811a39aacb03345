"""When each event happens in the compute core: the recurrences behind :mod:`tritforge.cost.cycle_model`.

Layers follow each other without a barrier, so that one object carries the state of every unit from layer to layer and
from image to image. An event that writes a register in cycle ``t`` is seen by others from ``t + 1``; constants below
are the register stages between two events, with the module of ``rtl/hdl`` they come from. Nothing depends on data, so
that event times follow from the bitmaps in order:

* ``sequencer`` lets a layer enter when the one before the last has ended;
* ``bitmap_scanner`` reads a word a cycle while its FIFOs have room; a word with active groups becomes an entry;
* ``window_loader`` fetches the windows of each channel group that has one, into shadow registers, once the rows of the
  map that they lie in are written;
* ``group_scheduler`` finds a group a cycle, ``group_issue`` issues one; only the first group of an entry can have to
  wait there, first for an accumulator buffer, then for its windows, while up to four more come up behind it;
* ``drain_sequencer`` takes finished passes out, a quad of channels of a tile a cycle; ``residual_fetch`` reads the
  words that it needs in cycles in which no tile is written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

DESCRIPTOR_FETCH = 19
"""sequencer: from a layer's entry until the next one's descriptor is there."""
TO_ENTRY = 1
"""sequencer: from the cycle in which all that a layer waits for is there to its entry."""
ENTRY_TO_SCAN = 1
"""sequencer: from a layer's entry to the scanner's start; the first word is read one cycle later."""
SCAN_TO_ARRIVAL = 2
"""bitmap_scanner: from the read of a word to the word."""
WORD_DEPTH, LOAD_DEPTH, IN_FLIGHT = 16, 8, 4
"""bitmap_scanner: entries of its FIFOs, and what it leaves free in them for reads under way."""
ROOM_TO_SCAN = 1
"""bitmap_scanner: from the cycle in which its FIFOs have room to the read of a word."""
PASS_DEPTH = 16
"""compute_core: entries of the FIFO that carries passes to the drain."""
PREPARE = 3
"""window_loader: from a request to its address."""
ROWS_TO_LOAD = 1
"""window_loader: from the cycle in which rows are shown as written to the load that waited for them."""
ROWS_TO_DRAIN = 1
"""residual_fetch: from the cycle in which rows are shown as written to the pass whose residual waited for them."""
LOAD_STAGES = 5
"""window_loader: moves of its pipeline from a step to the router before the window registers."""
PE_LATENCY = 10
"""pe: from a group's weights to its partial sum, ``PeLatency`` of ``tritforge_pkg``."""
ISSUE_TO_DONE = 4 + PE_LATENCY
"""group_issue, pe_array: from a pass's last group until the drain may begin with it."""
STEP_TO_RELEASE = 2
"""drain_sequencer: from a pass's last step to the blocks that group_issue sees free."""
STEP_TO_TILE = 8
"""drain: from the last step of a block to the write of its tile, which also shows in the rows that are written."""
STEP_TO_SUMS = 7
"""drain: from a layer's last step to its end, without the levels of the pool's adder tree."""


@dataclass(frozen=True)
class Word:
    """A bitmap word in the order of the walk over a tile.

    Attributes:
        active: groups to issue.
        group: channel group along the input.
        starts_group, starts_pass, ends_pass: its place.
        index: pass, of those of a tile.
        blocks: channel blocks of the pass.
    """

    active: int
    group: int
    starts_group: bool
    starts_pass: bool
    ends_pass: bool
    index: int
    blocks: int


@dataclass(frozen=True)
class LayerShape:
    """What the recurrences need of a layer.

    Attributes:
        words: bitmap words of a tile.
        passes: passes over a tile.
        tiles_y, tiles_x: tiles of the output map.
        load_steps: cycles that the windows of each channel group take to read, by row and column of tiles: interior
            tiles first, then tiles of the last column, the last row, and the last of both.
        buffer_blocks: channel blocks of an accumulator buffer.
        quads: drain steps of a channel block.
        writes: results go to the feature map.
        end_delay: cycles from the layer's last drain step to its end.
        input_rows, residual_rows: rows of tiles that must be written before row ``t`` of tiles is read, as
            ``(factor, offset)`` of ``factor * t + offset``, where the layer before writes the map; else None.
        quad_reads: for each pass, by quad: reads of the residual that it waits for.
        waits_for_end: the drain begins when the layer before has ended, as a pool's does.
    """

    words: tuple[Word, ...]
    passes: int
    tiles_y: int
    tiles_x: int
    load_steps: tuple[tuple[int, int, int, int], ...]
    buffer_blocks: int
    quads: int
    end_delay: int
    writes: bool = True
    input_rows: tuple[int, int] | None = None
    residual_rows: tuple[int, int] | None = None
    quad_reads: tuple[tuple[int, ...], ...] = ()
    waits_for_end: bool = False


@dataclass
class LayerTimes:
    """What came of a layer, in absolute cycles: when it entered, when it ended; groups and stalls.

    Attributes:
        rows: by row of tiles, the cycle from which it counts as written.
    """

    enters: int
    done: int = 0
    issued: int = 0
    stall_windows: int = 0
    stall_accumulators: int = 0
    rows: list[int] = field(default_factory=list)


class Pipeline:
    """Stages under one enable: in a cycle all of them move, or none does."""

    def __init__(self) -> None:
        self._stalls: deque[tuple[int, int]] = deque(maxlen=4 * LOAD_STAGES)

    def stall(self, first: int, end: int) -> None:
        """It stands still in the cycles ``first`` to ``end - 1``; stalls are told in order."""
        if end > first:
            self._stalls.append((first, end))

    def moves(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Stretches ``(begin, end)``, without ``end``, of the cycles ``first`` to ``last`` in which it moves."""
        for begin, end in self._stalls:
            if first < end and begin <= last:
                if first < begin:
                    yield first, begin
                first = end
        yield first, last + 1

    def move(self, cycle: int, further: int = 0) -> int:
        """The first cycle from ``cycle`` on in which it moves, or the one ``further`` moves later."""
        result = cycle + further
        for first, end in self._stalls:
            if end > cycle and first <= result:
                result += end - max(first, cycle)
        return result


class Queue:
    """A FIFO's level by times of pushes and pops, which are told in order but may lie ahead of the asking cycle."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pushes: list[int] = []
        self._pops: list[int] = []
        self._pushed = 0

    def push(self, cycle: int) -> None:
        self._pushes.append(cycle)

    def pop(self, cycle: int) -> None:
        self._pops.append(cycle)

    def room(self, cycle: int) -> int:
        """The first cycle from ``cycle`` on that sees at most ``limit`` entries; cycles asked for never go back."""
        while True:
            while self._pushed < len(self._pushes) and self._pushes[self._pushed] < cycle:
                self._pushed += 1
            excess = self._pushed - self._limit
            if excess <= 0 or self._pops[excess - 1] < cycle:
                return cycle
            cycle = self._pops[excess - 1] + 1


class Ring:
    """The accumulators: passes take blocks in order, aligned to their size, and give them back in order."""

    def __init__(self, blocks: int) -> None:
        self._blocks = blocks
        self._position = 0
        self._taken: deque[tuple[int, int]] = deque()  # blocks and the cycle in which they are free again
        self._held = 0

    def take(self, size: int, cycle: int) -> tuple[int, int]:
        """Blocks that the next pass takes, and the first cycle from ``cycle`` on in which they are free."""
        needed = -self._position % size + size
        while self._held + needed > self._blocks:
            blocks, free = self._taken.popleft()
            self._held -= blocks
            cycle = max(cycle, free)
        self._position = (self._position + needed) % self._blocks
        return needed, cycle

    def restart(self) -> None:
        """Begin anew, as the ring does while no layer is in the core."""
        self._position = 0

    def give(self, blocks: int, cycle: int) -> None:
        """A pass is told to have these blocks; they are free from ``cycle`` on."""
        self._taken.append((blocks, cycle))
        self._held += blocks


class CoreTiming:
    """Runs the recurrences layer by layer; a layer may enter before the one before it has ended.

    Args:
        ring_blocks: channel blocks of the accumulator ring.

    Attributes:
        window_reads: cycles in which windows are read from the feature maps, as stretches ``(begin, end)`` in order.
    """

    def __init__(self, ring_blocks: int) -> None:
        self.window_reads: deque[tuple[int, int]] = deque()
        self._ring = Ring(ring_blocks)
        self._words = Queue(WORD_DEPTH - IN_FLIGHT - 1)
        self._loads = Queue(LOAD_DEPTH - IN_FLIGHT)
        # Sequencer and scanner; the first image finds a descriptor that has been there long.
        self._descriptor_ready = self._offer_taken = -TO_ENTRY
        self._scanned = 0
        self._layers: list[LayerTimes] = []
        # Window loader.
        self._loader = Pipeline()
        self._load_begun = self._step_free = self._windows_ready = 0
        self._windows_taken = -1
        # Scheduler and issue: when the last group was found, went into the FIFO between them, and was issued; when it
        # and the one before it left the FIFO.
        self._found = self._pushed = self._issued = 0
        self._left = (0, 0)
        self._starts_pass = True
        self._taken_blocks = 0
        # Drain: by pass, when it was scanned and when it left its FIFO; when tiles were written.
        self._pass_starts: list[int] = []
        self._drain_pops: list[int] = []
        self._drain_prepared = self._drain_begun = self._last_step = 0
        self._writes: deque[int] = deque(maxlen=8)
        self._shape: LayerShape
        self._times: LayerTimes

    def layer(self, shape: LayerShape, image_ready: int | None = None) -> LayerTimes:
        """Run a layer; the first one of an image may enter from cycle ``image_ready`` on."""
        waits = [self._descriptor_ready, self._offer_taken]
        if len(self._layers) >= 2:
            waits.append(self._layers[-2].done + 1)
        enters = max(image_ready or 0, TO_ENTRY + max(waits))
        if image_ready is not None and self._layers and enters > self._layers[-1].done:
            self._ring.restart()
        self._descriptor_ready = enters + DESCRIPTOR_FETCH
        cycle = max(enters + ENTRY_TO_SCAN, self._scanned)
        self._offer_taken = cycle + 1
        self._shape, self._times = shape, LayerTimes(enters)
        held: tuple[Word, bool] | None = None
        loaded = False
        for tile_y in range(shape.tiles_y):
            for tile_x in range(shape.tiles_x):
                edge = 2 * (tile_y + 1 == shape.tiles_y) + (tile_x + 1 == shape.tiles_x)
                for word in shape.words:
                    cycle = self._scan(word, cycle + 1)
                    arrival = cycle + SCAN_TO_ARRIVAL
                    loads = word.active > 0 and (word.starts_group or not loaded)
                    loaded = word.active > 0 or (loaded and not word.starts_group)
                    if held is not None and (word.active or word.ends_pass):
                        # One entry is held back until it is known whether it ends its pass.
                        ends = None if word.active else word
                        self._entry(held[0].active, held[1], arrival, ends, tile_y, tile_x)
                        held = None
                        if ends:
                            continue
                    if loads:
                        self._load(shape.load_steps[word.group][edge], arrival, self._rows(shape.input_rows, tile_y))
                    if word.ends_pass:
                        self._entry(word.active, loads, arrival + 1, word, tile_y, tile_x)
                    elif word.active:
                        held = word, loads
        self._scanned = cycle
        self._times.done = self._last_step + shape.end_delay
        self._layers.append(self._times)
        return self._times

    def _rows(self, needs: tuple[int, int] | None, tile_y: int) -> int:
        """The cycle that shows the rows of the layer before that row ``tile_y`` of tiles reads."""
        if needs is None or not self._layers:
            return 0
        before, count = self._layers[-1], needs[0] * tile_y + needs[1]
        return min(before.done + 1, before.rows[count - 1] if count <= len(before.rows) else before.done + 1)

    def _scan(self, word: Word, cycle: int) -> int:
        """Cycle in which a word is read, from ``cycle`` on."""
        if word.starts_pass:
            before = len(self._pass_starts) - PASS_DEPTH
            if before >= 0:
                cycle = max(cycle, self._drain_pops[before] + 1)
        while True:
            free = self._loads.room(self._words.room(cycle - ROOM_TO_SCAN)) + ROOM_TO_SCAN
            if free == cycle:
                break
            cycle = free
        if word.starts_pass:
            self._pass_starts.append(cycle)
        return cycle

    def _load(self, steps: int, pushed: int, rows_written: int) -> None:
        """Windows of a channel group: from the request to the complete shadow registers."""
        self._loads.push(pushed)
        popped = max(pushed, self._load_begun) + 1
        self._loads.pop(popped)
        self._load_begun = max(popped + PREPARE, self._step_free, rows_written + ROWS_TO_LOAD)
        first = self._loader.move(self._load_begun + 1)
        arrives = self._loader.move(first, LOAD_STAGES - 1) + 1
        moves_on = max(arrives, self._windows_taken + 1)
        self._loader.stall(arrives, moves_on)
        self._step_free = self._loader.move(first, steps - 1)
        self._windows_ready = moves_on + steps - 1
        # A step reads in the move after the one that gives its address.
        self.window_reads.extend(self._loader.moves(self._loader.move(first, 1), self._loader.move(first, steps)))

    def _entry(self, active: int, loads: bool, pushed: int, ends: Word | None, tile_y: int, tile_x: int) -> None:
        """A word's groups, or the empty one that ends a pass without any, through scheduler and issue."""
        self._words.push(pushed)
        popped = max(pushed + 1, self._found)
        self._words.pop(popped)
        found = max(popped + 1, self._pushed)
        pushed = max(found, self._left[0]) + 1
        offered = max(pushed + 1, self._issued)
        leaves = offered
        if self._starts_pass:
            self._taken_blocks, leaves = self._ring.take(self._shape.buffer_blocks, offered)
        fires = max(leaves + 1, self._windows_ready) if loads else leaves + 1
        if loads:
            self._windows_taken = fires
        self._times.stall_accumulators += leaves - offered
        self._times.stall_windows += fires - leaves - 1
        self._times.issued += active
        self._left, self._issued = (self._left[1], leaves), fires
        for _ in range(active - 1):
            # Each further group is issued a cycle after the one before it, and left the FIFO when that one was.
            found, pushed = pushed, max(pushed, self._left[0]) + 1
            self._left, self._issued = (self._left[1], self._issued), self._issued + 1
        self._found, self._pushed = found, pushed
        self._starts_pass = ends is not None
        if ends is not None:
            self._drain(ends, self._issued + ISSUE_TO_DONE, tile_y, tile_x)

    def _drain(self, word: Word, done: int, tile_y: int, tile_x: int) -> None:
        """A pass, whose sums are complete in cycle ``done``, leaves quad by quad."""
        shape, number = self._shape, len(self._drain_pops)
        # A pass lies in the FIFO, is prepared, and begins: one of each at a time.
        popped = max(self._pass_starts[number], self._drain_prepared) + 1
        self._drain_pops.append(popped)
        self._drain_prepared = max(popped, self._drain_begun) + 1
        rows_written = self._rows(shape.residual_rows, tile_y)
        begun = max(self._drain_prepared + 1, done, self._last_step, rows_written + ROWS_TO_DRAIN)
        if shape.waits_for_end:
            begun = max(begun, self._last_step + 1, self._layers[-1].done + 1 if self._layers else 0)
        self._drain_begun = step = begun
        reads = shape.quad_reads[word.index] if shape.quad_reads else (0,) * (word.blocks * shape.quads)
        for quad, count in enumerate(reads):
            step += 1
            for read in range(count):
                step += read > 0
                while step in self._writes:
                    step += 1
            if (quad + 1) % shape.quads == 0 and shape.writes:
                self._writes.append(step + STEP_TO_TILE)
        self._last_step = step
        self._ring.give(self._taken_blocks, step + STEP_TO_RELEASE)
        if tile_x + 1 == shape.tiles_x and word.index + 1 == shape.passes:
            self._times.rows.append(step + STEP_TO_TILE)
