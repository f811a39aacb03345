"""Words and their places: what of a program's memories an update changes, and in what form it is staged."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tritforge.errors import PatchError
from tritforge.overlay.program import SPACES, OverlayProgram

Words = NDArray[np.uint64]

ENTRY = np.dtype([("space", "u1"), ("address", "<u4"), ("word", "<u8")])
"""A word and its place: index into ``SPACES``, word address, and up to 36 bits of content."""

Entries = np.ndarray
"""One row of ``ENTRY``."""


def entries_of(space: str, addresses: ArrayLike, words: ArrayLike) -> Entries:
    """Entries of one memory space."""
    places = np.asarray(addresses)
    entries = np.zeros(places.size, dtype=ENTRY)
    entries["space"], entries["address"], entries["word"] = SPACES.index(space), places, words
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
    for index, space in enumerate(SPACES):
        chosen = places["space"] == index
        words[chosen] = program.images[space][places["address"][chosen]]
    return words


def of_spaces(entries: Entries) -> Iterator[tuple[str, Entries]]:
    """The entries of each space that has any, with its name."""
    for index, space in enumerate(SPACES):
        chosen = entries[entries["space"] == index]
        if chosen.size:
            yield space, chosen


def runs(addresses: ArrayLike) -> Iterator[tuple[int, slice]]:
    """Stretches of neighbouring addresses: the first address of each, and where the stretch lies in ``addresses``."""
    places = np.asarray(addresses, dtype=np.int64)
    bounds = [0, *(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), places.size]
    for start, end in pairwise(bounds):
        if end > start:
            yield int(places[start]), slice(start, end)
