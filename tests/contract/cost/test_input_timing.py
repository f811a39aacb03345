"""When pixels come in, against a cycle-by-cycle account of beats and words."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritforge.cost.input_timing import InputTiming


def cycle_by_cycle(words: int, beats: int, busy: set[int]) -> tuple[int, int]:
    """First beat and last write of an image behind another one, whose last word is written in cycle 1."""
    waits, collected, come, cycle, first = True, 0, 0, 0, 0
    while waits or come < words:
        cycle += 1
        written = waits and cycle not in busy
        completes = collected == beats - 1
        beat = come < words and (not completes or not waits or written)
        waits = (waits and not written) or (beat and completes)
        first = first or cycle * beat
        collected = (collected + beat) % beats
        come += beat and completes
    return first, cycle


@given(
    st.integers(1, 9),
    st.sampled_from([1, 2, 4]),
    st.lists(st.tuples(st.integers(0, 12), st.integers(1, 9)), max_size=12),
)
def test_words_are_written_in_cycles_without_reads(words: int, beats: int, gaps: list[tuple[int, int]]) -> None:
    reads, end = [], 2
    for gap, length in gaps:
        reads.append((end + gap, end + gap + length))
        end += gap + length
    busy = {cycle for begin, end in reads for cycle in range(begin, end)}
    timing = InputTiming(words, beats, deque(reads))
    assert timing.image(free=0) == cycle_by_cycle(words, beats, busy)
    far = end + 100
    assert timing.image(free=far) == (far, far + words * beats)


@pytest.mark.parametrize(("beats", "written"), [(1, 10), (4, 10)])
def test_beats_that_do_not_complete_a_word_need_not_wait(beats: int, written: int) -> None:
    """Two words: one completes before the reads of cycles 2 to 8 and waits for them, the next right after it."""
    timing = InputTiming(2, beats, deque([(2, 9)]))
    assert timing.image(free=0) == (1, written)
