"""Every pixel block of a map has a word of its own, inside the words that the map was given."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tritforge.overlay.map_layout import MapAllocator, map_layout
from tritforge.overlay.parameters import TILE_SHAPES, AcceleratorParameters


@given(
    st.sampled_from(sorted(TILE_SHAPES)), st.integers(1, 4), st.integers(1, 20), st.integers(1, 20), st.integers(0, 15)
)
def test_words_are_distinct_and_inside(pes: int, blocks: int, height: int, width: int, ragged: int) -> None:
    parameters = AcceleratorParameters(pes=pes)
    layout = map_layout(parameters, (16 * blocks - ragged, height, width))
    assert layout.blocks == blocks
    rows, columns = TILE_SHAPES[pes]
    places = set()
    for y in range(1, height + 1):
        for x in range(1, width + 1):
            for block in range(blocks):
                word = y // rows * layout.row_stride + x // columns * blocks + block
                assert word < layout.words
                places.add((y % rows, x % columns, word))
    assert len(places) == height * width * blocks


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=30))
def test_the_allocator_never_gives_a_word_twice(requests: list[tuple[int, bool]]) -> None:
    allocator, held = MapAllocator(), {}
    for words, give_back in requests:
        if give_back and held:
            allocator.free(first := sorted(held)[words % len(held)])
            del held[first]
        start = allocator.allocate(words)
        taken = {word for first, size in held.items() for word in range(first, first + size)}
        assert not taken & set(range(start, start + words))
        assert start + words <= allocator.high_water
        held[start] = words


def test_the_allocator_takes_the_first_gap_that_is_wide_enough() -> None:
    allocator = MapAllocator()
    assert [allocator.allocate(words) for words in (4, 5, 2, 3)] == [0, 4, 9, 11]
    allocator.free(4)
    allocator.free(0)
    assert allocator.allocate(4) == 0
    assert allocator.allocate(6) == 14
    assert allocator.allocate(5) == 4
    assert allocator.high_water == 20
