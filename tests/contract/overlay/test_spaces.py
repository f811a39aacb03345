"""The table of memory spaces: codes, windows, bus words and staged entries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritforge.errors import ProgramError
from tritforge.overlay import register_map as rm
from tritforge.overlay.parameters import DEPTHS, AcceleratorParameters
from tritforge.overlay.spaces import (
    ADDRESS_BITS,
    ENTRY_BUS_WORDS,
    SPACE_BITS,
    SPACES,
    TABLE,
    WORD_BITS,
    Space,
    entry_from_bus,
    entry_to_bus,
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
    assert len(parts) == space.bus_words * len(words) and all(0 <= part < 1 << 32 for part in parts)
    assert space.from_bus(parts) == words


@given(st.sampled_from(TABLE), st.integers(0, (1 << ADDRESS_BITS) - 1), st.data())
def test_entries_come_back_from_the_bus(space: Space, address: int, data: st.DataObject) -> None:
    word = data.draw(st.integers(0, (1 << space.word_bits) - 1))
    parts = entry_to_bus(space.name, address, word)
    assert parts == [word & 0xFFFFFFFF, word >> 32, space.code << 24 | address]
    assert entry_from_bus(parts) == entry_from_bus([*parts, 0]) == (space.name, address, word)


def test_unknown_spaces_are_refused_by_name_and_by_code() -> None:
    with pytest.raises(ProgramError, match="there is no memory space 'other'; there are descriptors, bitmaps"):
        space_named("other")
    for code in (-1, len(TABLE), 255):
        with pytest.raises(ProgramError, match=f"there is no memory space {code}; there are 0 to 3"):
            space_coded(code)
    with pytest.raises(ProgramError, match="there is no memory space 4"):
        entry_from_bus([0, 0, 4 << 24])
