"""The memory port: how a network update reaches an accelerator, whatever carries it (simulation, board, a file).

The accelerator holds four memories of words (``overlay.spaces``); a port reads and writes them by space and word
address. Changes are staged in a small memory while the array runs and copied by one commit, or, when there are too
many, written while the array is stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import DeviceError
from tritforge.overlay.spaces import SPACES, space_named

Words = NDArray[np.uint64]

ENTRY = np.dtype([("space", "u1"), ("address", "<u4"), ("word", "<u8")])
"""A word and its place: code of the space, word address, and up to 36 bits of content."""

Entries = np.ndarray
"""One row of ``ENTRY``."""


class PortState(Enum):
    """What the accelerator's memories hold, as its STATE register tells."""

    EMPTY = "empty"
    """No network since power came on; inference is refused."""
    VALID = "valid"
    """A whole network, which the VERSION register numbers."""
    STOPPED = "stopped"
    """The array stands still and memories may be half written; inference is refused."""


class MemoryPort(Protocol):
    """Access to an accelerator's memories. Every method returns when the access has happened.

    All methods raise DeviceError when the accelerator refuses: an address outside a space, more entries than
    ``staging_depth``, a write or a start in a state that does not allow it.
    """

    @property
    def staging_depth(self) -> int:
        """Entries that the staging memory holds."""
        ...

    def state(self) -> PortState:
        """The STATE register."""
        ...

    def version(self) -> int:
        """The VERSION register: of the network that images started now would see."""
        ...

    def read_words(self, space: str, address: int, count: int) -> Words:
        """``count`` consecutive words of ``space`` from ``address``, uint64; allowed in every state."""
        ...

    def write_words(self, space: str, addresses: NDArray[np.int64], words: Words) -> None:
        """Write ``words`` to ``addresses`` of ``space``; allowed when STOPPED or EMPTY."""
        ...

    def stage(self, entries: Entries) -> None:
        """Replace the content of the staging memory by ``entries``; the array runs on."""
        ...

    def read_staging(self, count: int) -> Entries:
        """The first ``count`` entries of the staging memory."""
        ...

    def commit(self, version: int) -> int:
        """Copy the staged entries between two images, number the network ``version``, return the cycles of pause."""
        ...

    def stop(self) -> None:
        """Let the image in flight end, then refuse inference: the state becomes STOPPED."""
        ...

    def start(self, version: int) -> int:
        """Declare the memories whole and number them ``version``; returns the cycles since ``stop``."""
        ...


def read_entries(port: MemoryPort, places: Entries) -> Words:
    """Words that ``port`` holds at the places of ``places``, in their order; neighbours are read together."""
    words = np.zeros(places.size, dtype=np.uint64)
    if places.size == 0:
        return words
    joined = (np.diff(places["space"].astype(np.int64)) == 0) & (np.diff(places["address"].astype(np.int64)) == 1)
    starts = np.flatnonzero(np.concatenate([[True], ~joined]))
    for start, end in zip(starts, [*starts[1:], places.size], strict=True):
        first = places[start]
        words[start:end] = port.read_words(SPACES[first["space"]], int(first["address"]), int(end - start))
    return words


class MemoryImagePort:
    """A port to images in memory, with the rules and the one-word-a-cycle commit of an accelerator.

    Args:
        images: words by space; they are copied.
        staging_depth: entries of the staging memory.
        version: of the network in ``images``.
    """

    def __init__(self, images: Mapping[str, Words], staging_depth: int = 1024, version: int = 0) -> None:
        self.images = {space: np.array(images[space], dtype=np.uint64) for space in SPACES}
        self._staging = np.zeros(staging_depth, dtype=ENTRY)
        self._staged = 0
        self._state = PortState.VALID
        self._version = version
        self._cycles = 0

    @property
    def staging_depth(self) -> int:
        return int(self._staging.size)

    def state(self) -> PortState:
        return self._state

    def version(self) -> int:
        return self._version

    def read_words(self, space: str, address: int, count: int) -> Words:
        memory = self._memory(space)
        if not 0 <= address <= address + count <= memory.size:
            raise DeviceError(f"{space} words {address} to {address + count - 1} are read; it has {memory.size}")
        return memory[address : address + count].copy()

    def write_words(self, space: str, addresses: NDArray[np.int64], words: Words) -> None:
        if self._state is PortState.VALID:
            raise DeviceError(f"{space} is written while the state is valid; stop the array or stage the words")
        places = np.asarray(addresses, dtype=np.int64)
        self._check(space, places, words)
        self._memory(space)[places] = words
        self._cycles += places.size

    def stage(self, entries: Entries) -> None:
        if entries.size > self.staging_depth:
            raise DeviceError(f"{entries.size} entries are staged; the staging memory holds {self.staging_depth}")
        for index, space in enumerate(SPACES):
            chosen = entries[entries["space"] == index]
            self._check(space, chosen["address"].astype(np.int64), chosen["word"])
        if np.any(entries["space"] >= len(SPACES)):
            raise DeviceError(f"an entry names space {int(entries['space'].max())}; there are {len(SPACES)}")
        self._staging[: entries.size] = entries
        self._staged = int(entries.size)

    def read_staging(self, count: int) -> Entries:
        if count > self.staging_depth:
            raise DeviceError(f"{count} staged entries are read; the staging memory holds {self.staging_depth}")
        return self._staging[:count].copy()

    def commit(self, version: int) -> int:
        if self._state is not PortState.VALID:
            raise DeviceError(f"a commit needs the state valid; it is {self._state.value}")
        entries = self._staging[: self._staged]
        for index, space in enumerate(SPACES):
            chosen = entries[entries["space"] == index]
            self.images[space][chosen["address"]] = chosen["word"]
        self._version, self._staged = version, 0
        return int(entries.size)

    def stop(self) -> None:
        self._state, self._cycles = PortState.STOPPED, 0

    def start(self, version: int) -> int:
        if self._state is PortState.VALID:
            raise DeviceError("the array is started while the state is valid")
        self._state, self._version = PortState.VALID, version
        return self._cycles

    def _memory(self, space: str) -> Words:
        if space not in self.images:
            raise DeviceError(f"there is no memory space {space!r}; there are {', '.join(SPACES)}")
        return self.images[space]

    def _check(self, space: str, addresses: NDArray[np.int64], words: Words) -> None:
        size = self._memory(space).size
        if addresses.size and not 0 <= addresses.min() <= addresses.max() < size:
            raise DeviceError(f"{space} word {int(addresses.max())} is written; it has {size} words")
        bits = space_named(space).word_bits
        if words.size and int(words.max()) >> bits:
            raise DeviceError(f"{space} takes words of {bits} bits; one is {int(words.max()):#x}")
