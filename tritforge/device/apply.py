"""Applying a prepared update to an accelerator: stage, read back, commit, verify.

Nothing is written before the accelerator has been found to hold the update's base network. An update that fits the
staging memory pauses the array for one commit; a larger one stops the array while it is written, and the mode is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tritforge.device import protocol
from tritforge.device.entries import of_spaces, words_of
from tritforge.device.protocol import Steps
from tritforge.device.update import PreparedUpdate
from tritforge.errors import DeviceError, PatchError
from tritforge.overlay.register_map import State
from tritforge.overlay.spaces import Entries

Mode = Literal["staged", "stopped"]


@dataclass(frozen=True)
class AppliedUpdate:
    """What applying did.

    Attributes:
        version: network version that the accelerator now holds.
        words_written: words that differed and were written.
        pause_cycles: cycles in which the array could not run, by the accelerator's own counter.
        mode: ``staged`` (one commit between two images) or ``stopped`` (declared stop of the array).
    """

    version: int
    words_written: int
    pause_cycles: int
    mode: Mode


def apply_update(update: PreparedUpdate) -> Steps[AppliedUpdate]:
    """Bring an accelerator from the base network of ``update`` to its result.

    Raises:
        PatchError: the accelerator's version is not lower than the update's; it is untouched.
        DeviceError: the accelerator does not hold the base network (untouched), or what was written reads back
            otherwise.
    """
    entries, version = update.entries, update.version
    state = yield from protocol.state()
    present = yield from protocol.version()
    if state is not State.VALID:
        raise DeviceError(f"the accelerator's state is {_name(state)}; a patch needs a valid network to change")
    if version <= present:
        raise PatchError(f"patch: version is {version}; it must be higher than the accelerator's {present}")
    held = yield from protocol.read_entries(entries)
    if not np.array_equal(held, words_of(update.base_program, entries)):
        raise DeviceError("the accelerator does not hold the network that the patch starts from; load it again")
    depth = yield from protocol.staging_depth()
    mode: Mode = "staged" if entries.size <= depth else "stopped"
    pause = yield from (_commit_staged if mode == "staged" else _write_stopped)(entries, version)
    held = yield from protocol.read_entries(entries)
    if not np.array_equal(held, entries["word"]):
        yield from protocol.open_memories()
        raise DeviceError("words read back after the commit differ from the patched network; the array is stopped")
    state = yield from protocol.state()
    present = yield from protocol.version()
    if state is not State.VALID or present != version:
        raise DeviceError(
            f"after the commit the accelerator tells version {present}, state {_name(state)}; "
            f"expected {version}, {_name(State.VALID)}"
        )
    return AppliedUpdate(version, int(entries.size), pause, mode)


def _commit_staged(entries: Entries, version: int) -> Steps[int]:
    yield from protocol.stage(entries)
    staged = yield from protocol.read_staging(entries.size)
    if not np.array_equal(staged, entries):
        raise DeviceError("staged words read back differ from the patch; nothing was committed")
    return (yield from protocol.commit(version))


def _write_stopped(entries: Entries, version: int) -> Steps[int]:
    """Write while the array stands still; what does not read back leaves it stopped, so that it refuses inference."""
    yield from protocol.open_memories()
    stopped = yield from protocol.counters()
    for space, chosen in of_spaces(entries):
        yield from protocol.write_words(space, chosen["address"], chosen["word"])
    held = yield from protocol.read_entries(entries)
    if not np.array_equal(held, entries["word"]):
        raise DeviceError("words read back while stopped differ from the patched network; the array stays stopped")
    yield from protocol.activate(version)
    started = yield from protocol.counters()
    return protocol.counted(stopped["cycles"], started["cycles"])


def _name(state: State) -> str:
    return state.name.lower()
