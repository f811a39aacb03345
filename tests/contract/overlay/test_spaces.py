"""The table of memory spaces: codes, windows, bus words and staged entries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritforge.errors import ProgramError
from tritforge.overlay import register_map as rm
from tritforge.overlay.parameters import DEPTHS, AcceleratorParameters
from tritforge.overlay.spaces import (
    ADDRESS_BITS,
    ENTRY,
    ENTRY_BUS_WORDS,
    SPACE_BITS,
    SPACES,
    TABLE,
    WORD_BITS,
    Space,
    entries_from_bus,
    entries_to_bus,
    space_coded,
    space_named,
)

LARGEST = AcceleratorParameters(group_channels=16, **DEPTHS)


@pytest.mark.parametrize("space", TABLE, ids=SPACES)
def test_a_space_has_its_place_its_code_and_a_window_that_just_holds_the_largest_memory(space: Space) -> None:
    assert TABLE[space.code] is space and SPACES[space.code] == space.name
    assert space_named(space.name) is space_coded(space.code) is space
    assert space.window == getattr(rm, space.name.upper())
    assert space.window.words == space.bus_words * space.words(LARGEST)
    assert space.words(LARGEST) <= 1 << ADDRESS_BITS and space.word_bits <= WORD_BITS
    assert space.offset(3) - space.offset(0) == 12 * space.bus_words and space.offset(0) == space.window.base


def test_staging_holds_the_most_entries_and_every_code_fits_its_field() -> None:
    assert rm.STAGING.words == ENTRY_BUS_WORDS * DEPTHS["staging"]
    assert len(TABLE) <= 1 << SPACE_BITS


@given(st.sampled_from(TABLE), st.data())
def test_words_come_back_from_the_bus(space: Space, data: st.DataObject) -> None:
    words = data.draw(st.lists(st.integers(0, (1 << space.word_bits) - 1), max_size=5))
    parts = space.to_bus(words)
    assert parts.dtype == np.uint32
    assert parts.tolist() == [word >> 32 * part & 0xFFFFFFFF for word in words for part in range(space.bus_words)]
    assert space.from_bus(parts).tolist() == words


ENTRIES = st.tuples(
    st.integers(0, (1 << SPACE_BITS) - 1), st.integers(0, (1 << ADDRESS_BITS) - 1), st.integers(0, (1 << WORD_BITS) - 1)
)


@given(st.lists(ENTRIES, max_size=5))
def test_entries_come_back_from_the_bus(rows: list[tuple[int, int, int]]) -> None:
    entries = np.array(rows, dtype=ENTRY)
    parts = entries_to_bus(entries)
    assert parts.tolist() == [[word & 0xFFFFFFFF, word >> 32, code << 24 | address] for code, address, word in rows]
    assert np.array_equal(entries_from_bus(parts), entries)
    assert np.array_equal(entries_from_bus(np.pad(parts, ((0, 0), (0, 1)))), entries)


def test_unknown_spaces_are_refused_by_name_and_by_code() -> None:
    with pytest.raises(ProgramError, match="there is no memory space 'other'; there are descriptors, bitmaps"):
        space_named("other")
    for code in (-1, len(TABLE), 255):
        with pytest.raises(ProgramError, match=f"there is no memory space {code}; there are 0 to 3"):
            space_coded(code)
