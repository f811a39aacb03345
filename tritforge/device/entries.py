"""Words and their places: what of a program's memories an update changes, and in what form it is staged."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from tritforge.errors import PatchError
from tritforge.overlay.program import OverlayProgram
from tritforge.overlay.spaces import ENTRY, SPACES, TABLE, Entries, Words, space_named


def entries_of(space: str, addresses: ArrayLike, words: ArrayLike) -> Entries:
    """Entries of one memory space."""
    places = np.asarray(addresses)
    entries = np.zeros(places.size, dtype=ENTRY)
    entries["space"], entries["address"], entries["word"] = space_named(space).code, places, words
    return entries


def plan_words(old: OverlayProgram, new: OverlayProgram) -> Entries:
    """Words of ``new`` that differ from ``old``, sorted by space and address.

    Raises:
        PatchError: an image has another length: the two networks do not share their layout.
    """
    parts = []
    for space in SPACES:
        before, after = old.images[space], new.images[space]
        if before.shape != after.shape:
            raise PatchError(f"{space}: the patched network takes {after.size} words, the loaded one {before.size}")
        addresses = np.flatnonzero(before != after)
        parts.append(entries_of(space, addresses, after[addresses]))
    return np.concatenate(parts)


def words_of(program: OverlayProgram, places: Entries) -> Words:
    """Words of ``program`` at the places of ``places``, in their order."""
    words = np.zeros(places.size, dtype=np.uint64)
    for space in TABLE:
        chosen = places["space"] == space.code
        words[chosen] = program.images[space.name][places["address"][chosen]]
    return words


def of_spaces(entries: Entries) -> Iterator[tuple[str, Entries]]:
    """The entries of each space that has any, with its name."""
    for space in TABLE:
        chosen = entries[entries["space"] == space.code]
        if chosen.size:
            yield space.name, chosen


def runs(addresses: ArrayLike) -> Iterator[tuple[int, slice]]:
    """Stretches of neighbouring addresses: the first address of each, and where the stretch lies in ``addresses``."""
    places = np.asarray(addresses, dtype=np.int64)
    bounds = [0, *(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), places.size]
    for start, end in pairwise(bounds):
        if end > start:
            yield int(places[start]), slice(start, end)
