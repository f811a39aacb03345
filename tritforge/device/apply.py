"""Applying a patch to an accelerator: verify, lower, stage, read back, commit, verify.

Nothing is written before the patch has been checked against the network and the accelerator has been found to hold
that network. A patch that fits the staging memory pauses the array for one commit; a larger one stops the array while
it is written, and the mode is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from tritforge.device.memory_port import ENTRY, Entries, MemoryPort, PortState, Words, read_entries
from tritforge.errors import DeviceError, PatchError
from tritforge.network.network import Network
from tritforge.overlay.spaces import SPACES
from tritforge.patches.file import read_patch_file
from tritforge.patches.patch import apply_to_network

Mode = Literal["staged", "stopped"]


class HasImages(Protocol):
    """An overlay program, of which applying needs the memory images alone."""

    @property
    def images(self) -> Mapping[str, Words]:
        """Words by memory space."""
        ...


@dataclass(frozen=True)
class AppliedPatch:
    """What applying did.

    Attributes:
        network: the network that the accelerator now holds.
        version: its version.
        words_written: words that differed and were written.
        pause_cycles: cycles in which the array could not run, by the accelerator's own counter.
        mode: ``staged`` (one commit between two images) or ``stopped`` (declared stop of the array).
    """

    network: Network
    version: int
    words_written: int
    pause_cycles: int
    mode: Mode


def plan_words(old: HasImages, new: HasImages) -> Entries:
    """Words of ``new`` that differ from ``old``, sorted by space and address (dtype ``memory_port.ENTRY``).

    Raises:
        PatchError: an image has another length: the two networks do not share their layout.
    """
    parts = []
    for index, space in enumerate(SPACES):
        before, after = old.images[space], new.images[space]
        if before.shape != after.shape:
            raise PatchError(f"{space}: the patched network takes {after.size} words, the loaded one {before.size}")
        addresses = np.flatnonzero(before != after)
        entries = np.zeros(addresses.size, dtype=ENTRY)
        entries["space"], entries["address"], entries["word"] = index, addresses, after[addresses]
        parts.append(entries)
    return np.concatenate(parts)


def apply_patch(
    port: MemoryPort, network: Network, patch: bytes, lower: Callable[[Network], HasImages]
) -> AppliedPatch:
    """Bring the accelerator behind ``port`` from ``network`` to what the patch file ``patch`` makes of it.

    Args:
        port: the accelerator.
        network: the network that it holds.
        patch: a patch file.
        lower: gives the memory images of a network for this accelerator.

    Raises:
        PatchError: the patch is damaged or for another network or version; the accelerator is untouched.
        DeviceError: the accelerator does not hold ``network`` (untouched), or what it wrote reads back otherwise.
    """
    result = apply_to_network(network, patch)
    version = read_patch_file(patch).version
    state, present = port.state(), port.version()
    if state is not PortState.VALID:
        raise DeviceError(f"the accelerator's state is {state.value}; a patch needs a valid network to change")
    if version <= present:
        raise PatchError(f"patch: version is {version}; it must be higher than the accelerator's {present}")
    old_program = lower(network)
    entries = plan_words(old_program, lower(result))
    if not np.array_equal(read_entries(port, entries), _words_of(old_program, entries)):
        raise DeviceError("the accelerator does not hold the network that the patch starts from; load it again")
    mode: Mode = "staged" if entries.size <= port.staging_depth else "stopped"
    pause = _commit_staged(port, entries, version) if mode == "staged" else _write_stopped(port, entries, version)
    if not np.array_equal(read_entries(port, entries), entries["word"]):
        port.stop()
        raise DeviceError("words read back after the commit differ from the patched network; the array is stopped")
    if port.state() is not PortState.VALID or port.version() != version:
        raise DeviceError(
            f"after the commit the accelerator tells version {port.version()}, state {port.state().value}; "
            f"expected {version}, {PortState.VALID.value}"
        )
    return AppliedPatch(result, version, int(entries.size), pause, mode)


def _commit_staged(port: MemoryPort, entries: Entries, version: int) -> int:
    port.stage(entries)
    if not np.array_equal(port.read_staging(entries.size), entries):
        raise DeviceError("staged words read back differ from the patch; nothing was committed")
    return port.commit(version)


def _write_stopped(port: MemoryPort, entries: Entries, version: int) -> int:
    """Write while the array stands still; what does not read back leaves it stopped, so that it refuses inference."""
    port.stop()
    for index, space in enumerate(SPACES):
        chosen = entries[entries["space"] == index]
        if chosen.size:
            port.write_words(space, chosen["address"].astype(np.int64), chosen["word"])
    if not np.array_equal(read_entries(port, entries), entries["word"]):
        raise DeviceError("words read back while stopped differ from the patched network; the array stays stopped")
    return port.start(version)


def _words_of(program: HasImages, places: Entries) -> Words:
    words = np.zeros(places.size, dtype=np.uint64)
    for index, space in enumerate(SPACES):
        chosen = places["space"] == index
        words[chosen] = program.images[space][places["address"][chosen]]
    return words
