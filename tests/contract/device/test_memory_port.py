from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritforge.device.memory_port import ENTRY, MemoryImagePort, MemoryPort, PortState, read_entries
from tritforge.errors import DeviceError
from tritforge.overlay.spaces import SPACES, space_named

SIZES = {"descriptors": 8, "bitmaps": 9, "affine": 10, "weights": 16}


def images() -> dict[str, np.ndarray]:
    return {space: np.arange(size, dtype=np.uint64) + 100 * SPACES.index(space) for space, size in SIZES.items()}


def entries(*rows: tuple[str, int, int]) -> np.ndarray:
    return np.array([(SPACES.index(space), address, word) for space, address, word in rows], dtype=ENTRY)


class CountingPort(MemoryImagePort):
    """Remembers how words were read."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.reads: list[tuple[str, int, int]] = []

    def read_words(self, space: str, address: int, count: int) -> np.ndarray:
        self.reads.append((space, address, count))
        return super().read_words(space, address, count)


def test_words_are_read_by_space_and_address() -> None:
    original = images()
    port: MemoryPort = MemoryImagePort(original, staging_depth=4, version=6)
    assert port.read_words("affine", 3, 2).tolist() == original["affine"][3:5].tolist()
    assert port.read_words("weights", 0, 16).tolist() == original["weights"].tolist()
    assert port.read_words("weights", 16, 0).size == 0
    assert (port.state(), port.version(), port.staging_depth) == (PortState.VALID, 6, 4)
    for space, address, count in (("affine", 9, 2), ("affine", -1, 1), ("affine", 3, -1), ("bitmaps", 10, 0)):
        with pytest.raises(DeviceError, match=space):
            port.read_words(space, address, count)
    with pytest.raises(DeviceError, match="no memory space 'other'"):
        port.read_words("other", 0, 1)
    port.read_words("affine", 0, 1)[0] = 5
    original["affine"][0] = 5
    assert port.read_words("affine", 0, 1)[0] == 100 * SPACES.index("affine")


@given(st.sets(st.tuples(st.integers(0, 3), st.integers(0, 7)), max_size=20))
def test_scattered_words_are_read_in_runs(places: set[tuple[int, int]]) -> None:
    rows = np.array([(space, address, 0) for space, address in sorted(places)], dtype=ENTRY)
    port = CountingPort(images())
    expected = [int(images()[SPACES[space]][address]) for space, address in sorted(places)]
    assert read_entries(port, rows).tolist() == expected
    runs = sum((space, address - 1) not in places for space, address in places)
    assert len(port.reads) == runs and sum(count for _, _, count in port.reads) == len(places)


def test_staged_words_arrive_with_the_commit() -> None:
    port = MemoryImagePort(images(), staging_depth=3, version=1)
    changes = entries(("descriptors", 7, 1), ("weights", 0, 2**36 - 1), ("affine", 9, 2**32 - 1))
    port.stage(entries(("bitmaps", 0, 9)))
    port.stage(changes)
    assert np.array_equal(port.read_staging(3), changes)
    assert port.read_words("weights", 0, 1)[0] == images()["weights"][0] and port.version() == 1
    assert port.commit(2) == 3
    assert read_entries(port, changes).tolist() == changes["word"].tolist()
    assert port.version() == 2 and port.state() is PortState.VALID
    assert port.read_words("bitmaps", 0, 1)[0] == images()["bitmaps"][0]
    assert port.commit(3) == 0


@pytest.mark.parametrize("space", SPACES)
def test_every_space_has_its_size_and_word_width(space: str) -> None:
    port = MemoryImagePort(images(), staging_depth=3)
    most = (1 << space_named(space).word_bits) - 1
    port.stage(entries((space, SIZES[space] - 1, most)))
    for address, word, words in ((SIZES[space], 0, f"{space} word"), (0, most + 1, f"{space} takes words of")):
        with pytest.raises(DeviceError, match=words):
            port.stage(entries((space, address, word)))
        port.stop()
        with pytest.raises(DeviceError, match=words):
            port.write_words(space, np.array([address]), np.array([word], dtype=np.uint64))
        port.start(1)
    with pytest.raises(DeviceError, match=f"{space} word"):
        port.stop()
        port.write_words(space, np.array([-1]), np.array([0], dtype=np.uint64))


def test_a_new_port_has_nothing_staged() -> None:
    port = MemoryImagePort(images())
    assert (port.staging_depth, port.version()) == (1024, 0)
    assert port.commit(1) == 0
    assert all(np.array_equal(port.images[space], words) for space, words in images().items())


def test_the_staging_memory_has_its_depth() -> None:
    port = MemoryImagePort(images(), staging_depth=2)
    rows = entries(("affine", 0, 0), ("affine", 1, 0), ("affine", 2, 0))
    port.stage(rows[:2])
    with pytest.raises(DeviceError, match="3 entries are staged; the staging memory holds 2"):
        port.stage(rows)
    with pytest.raises(DeviceError, match="3 staged entries"):
        port.read_staging(3)
    rows["space"] = 4
    with pytest.raises(DeviceError, match="space 4"):
        port.stage(rows[:1])


def test_memories_are_written_only_while_stopped() -> None:
    port = MemoryImagePort(images(), version=4)
    word = np.array([7, 8], dtype=np.uint64)
    with pytest.raises(DeviceError, match="state is valid"):
        port.write_words("affine", np.array([0, 5]), word)
    with pytest.raises(DeviceError, match="started while"):
        port.start(5)
    port.stop()
    assert port.state() is PortState.STOPPED and port.version() == 4
    with pytest.raises(DeviceError, match="commit needs the state valid; it is stopped"):
        port.commit(5)
    port.write_words("affine", np.array([0, 5]), word)
    port.write_words("weights", np.array([3]), word[:1])
    assert port.start(5) == 3
    assert (port.state(), port.version()) == (PortState.VALID, 5)
    assert port.read_words("affine", 0, 6)[[0, 5]].tolist() == [7, 8]
    port.stop()
    assert port.start(6) == 0
