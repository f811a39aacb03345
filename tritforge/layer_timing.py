"""When each event of one layer happens in the accelerator: the recurrences behind :mod:`tritforge.cycle_model`.

Cycles are counted from the one in which the layer's start pulse is high. An event that writes a register in cycle
``t`` is seen by others from ``t + 1``; constants below are the register stages between two events, with the module of
``rtl/hdl`` they come from. Nothing depends on data, so that event times follow from the bitmaps in order:

* ``bitmap_scanner`` reads a word a cycle while its FIFOs have room; a word with active groups becomes an entry;
* ``window_loader`` fetches the windows of each channel group that has one, into shadow registers;
* ``group_scheduler`` and ``group_issue`` issue a group a cycle; only the first group of an entry can have to wait, for
  its windows or for an accumulator buffer;
* ``residual_fetch`` and ``drain_sequencer`` take finished passes out, block by block, two channels of a tile a cycle.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

SCAN_TO_ARRIVAL = 2
"""bitmap_scanner: from the read of a word to the word."""
WORD_DEPTH, LOAD_DEPTH, IN_FLIGHT = 16, 8, 4
"""bitmap_scanner: entries of its FIFOs, and what it leaves free in them for reads under way."""
PASS_DEPTH = 16
"""compute_core: entries of the FIFOs that carry passes to drain and residual fetch."""
PREPARE = 3
"""window_loader, drain_sequencer, residual_fetch: from a request to its address."""
LOAD_STAGES = 4
"""window_loader: moves of its pipeline from a step to the router before the window registers."""
ISSUE_TO_DONE = 13
"""group_issue, pe_array: from a pass's last group to the drain's count of finished passes: 4 + PeLatency."""
STEP_TO_RELEASE = 3
"""drain_sequencer: from a pass's last step to the buffer that group_issue sees free."""
STEP_TO_TILE = 8
"""drain: from the last step of a block to the write of its tile."""
STEP_TO_ENTRY = 3
"""drain_sequencer, residual_fetch: from the last step of a block to the free residual entry."""
READ_TO_BLOCK = 3
"""residual_fetch: from the last read of a block to the block that the drain sees."""
STEP_TO_DONE = 7
"""drain: from the layer's last step to its end, without the tree of the pool sums."""
RESIDUAL_ENTRIES = 2
"""residual_fetch: blocks fetched ahead of the drain."""


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
        tiles: tiles of the output map.
        load_steps: cycles that the windows of each channel group take to read.
        buffers: accumulator buffers.
        pairs: drain steps of a channel block.
        residual_reads: for each block of a pass, by pass: one flag a residual step, whether it reads the feature map;
            None without residual.
        end_delay: cycles from the layer's last drain step to its end.
    """

    words: tuple[Word, ...]
    tiles: int
    load_steps: tuple[int, ...]
    buffers: int
    pairs: int
    residual_reads: tuple[tuple[tuple[bool, ...], ...], ...] | None
    end_delay: int


class Pipeline:
    """Stages under one enable: in a cycle all of them move, or none does."""

    def __init__(self) -> None:
        self._stalls: deque[tuple[int, int]] = deque(maxlen=2 * LOAD_STAGES)

    def stall(self, first: int, end: int) -> None:
        """It stands still in the cycles ``first`` to ``end - 1``; stalls are told in order."""
        if end > first:
            self._stalls.append((first, end))

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


class LayerTiming:
    """Runs the recurrences of one layer; :meth:`run` gives the cycle of its end.

    Attributes:
        issued: groups issued.
        stall_windows, stall_accumulators: cycles in which a group waited, as the hardware's counters count them.
        port_cycles: cycles in which results and residuals keep the feature map's second port from the image input.
    """

    def __init__(self, shape: LayerShape) -> None:
        self.shape = shape
        self.issued = self.stall_windows = self.stall_accumulators = self.port_cycles = 0
        self._words = Queue(WORD_DEPTH - IN_FLIGHT - 1)
        self._loads = Queue(LOAD_DEPTH - IN_FLIGHT)
        self._pass_starts: list[int] = []
        # Window loader.
        self._loader = Pipeline()
        self._load_begun = self._step_free = self._windows_ready = 0
        self._windows_taken = -1
        # Scheduler and issue.
        self._scheduler = Pipeline()
        self._word_register_free = 0
        self._starts_pass = True
        self._passes_begun = 0
        # Drain and residual, by pass: pops of their FIFOs, last steps; by block: last steps.
        self._drain_pops: list[int] = []
        self._residual_pops: list[int] = []
        self._last_steps: list[int] = []
        self._drain_begun = self._residual_free = 0
        self._block_ends: list[int] = []

    def run(self) -> int:
        """The cycle in which the layer is done."""
        held: Word | None = None
        held_loads = False
        loaded = False
        cycle = 0
        for _ in range(self.shape.tiles):
            for word in self.shape.words:
                cycle = self._scan(word, cycle + 1)
                arrival = cycle + SCAN_TO_ARRIVAL
                loads = word.active > 0 and (word.starts_group or not loaded)
                loaded = word.active > 0 or (loaded and not word.starts_group)
                if held is not None and (word.active or word.ends_pass):
                    # One entry is held back until it is known whether it ends its pass.
                    self._entry(held.active, held_loads, arrival, None if word.active else word)
                    if not word.active:
                        held = None
                        continue
                    held = None
                if loads:
                    self._load(self.shape.load_steps[word.group], arrival)
                if word.ends_pass:
                    self._entry(word.active, loads, arrival + 1, word)
                elif word.active:
                    held, held_loads = word, loads
        return self._last_steps[-1] + self.shape.end_delay

    def _scan(self, word: Word, cycle: int) -> int:
        """Cycle in which a word is read, from ``cycle`` on."""
        if word.starts_pass and len(self._pass_starts) >= PASS_DEPTH:
            before = len(self._pass_starts) - PASS_DEPTH
            cycle = max(cycle, self._drain_pops[before] + 1)
            if self.shape.residual_reads is not None:
                cycle = max(cycle, self._residual_pops[before] + 1)
        while True:
            free = self._loads.room(self._words.room(cycle))
            if free == cycle:
                break
            cycle = free
        if word.starts_pass:
            self._pass_starts.append(cycle)
        return cycle

    def _load(self, steps: int, pushed: int) -> None:
        """Windows of a channel group: from the request to the complete shadow registers."""
        self._loads.push(pushed)
        popped = max(pushed, self._load_begun) + 1
        self._loads.pop(popped)
        self._load_begun = max(popped + PREPARE, self._step_free)
        first = self._loader.move(self._load_begun + 1)
        arrives = self._loader.move(first, LOAD_STAGES - 1) + 1
        moves_on = max(arrives, self._windows_taken + 1)
        self._loader.stall(arrives, moves_on)
        self._step_free = self._loader.move(first, steps - 1)
        self._windows_ready = moves_on + steps

    def _entry(self, active: int, loads: bool, pushed: int, ends: Word | None) -> None:
        """A word's groups, or the empty one that ends a pass without any, through scheduler and issue."""
        self._words.push(pushed)
        popped = max(pushed + 1, self._word_register_free)
        self._words.pop(popped)
        taken = self._scheduler.move(popped + 1)
        offered = self._scheduler.move(taken, 1) + 1
        has_buffer = offered
        if self._starts_pass:
            if self._passes_begun >= self.shape.buffers:
                release = self._last_steps[self._passes_begun - self.shape.buffers] + STEP_TO_RELEASE
                has_buffer = max(offered, release)
            self._passes_begun += 1
        fires = max(has_buffer, self._windows_ready) if loads else has_buffer
        self._scheduler.stall(offered, fires)
        if loads:
            self._windows_taken = fires
        self.stall_accumulators += has_buffer - offered
        self.stall_windows += fires - has_buffer
        self.issued += active
        # The scheduler finds a word's channels two groups ahead of the issue.
        self._word_register_free = taken if active < 2 else offered - 1 if active == 2 else fires + active - 3
        self._starts_pass = ends is not None
        if ends is not None:
            self._drain(ends, fires + max(active, 1) - 1 + ISSUE_TO_DONE)

    def _drain(self, word: Word, done: int) -> None:
        """A pass, whose sums are complete in cycle ``done``, leaves block by block."""
        number = len(self._last_steps)
        start = self._pass_starts[number]
        popped = max(start, self._drain_begun) + 1
        self._drain_pops.append(popped)
        self._drain_begun = max(popped + PREPARE, done, self._last_steps[-1] if number else 0)
        reads = None if self.shape.residual_reads is None else self.shape.residual_reads[word.index]
        clears = max(start + 1, self._residual_free) + PREPARE
        if reads is not None:
            self._residual_pops.append(clears - PREPARE)
        step = self._drain_begun + 1
        for block in range(word.blocks):
            if reads is not None:
                last_read = self._residual(reads[block], clears)
                clears = last_read + 1
                step = max(step, last_read + READ_TO_BLOCK)
            step += self.shape.pairs
            self._block_ends.append(step - 1)
            self.port_cycles += 1
        self._residual_free = clears
        self._last_steps.append(step - 1)

    def _residual(self, reads: tuple[bool, ...], clears: int) -> int:
        """Cycle of the last step that fetches a block's residual; tiles that are written come first."""
        if len(self._block_ends) >= RESIDUAL_ENTRIES:
            clears = max(clears, self._block_ends[-RESIDUAL_ENTRIES] + STEP_TO_ENTRY)
        writes = [end + STEP_TO_TILE for end in self._block_ends[-4:]]
        cycle = clears
        for reading in reads:
            cycle += 1
            if reading:
                self.port_cycles += 1
                while cycle in writes:
                    cycle += 1
        return cycle
