"""The persistent copy of the loaded network, which survives a process that dies at any moment.

A folder holds ``network.safetensors`` and, while an update is under way, ``pending.patch``. Both are only ever replaced
whole. The order is: pending patch written, accelerator updated, network replaced, pending patch removed. Each step is
on the disk before the next begins. So after a crash or a power cut the folder holds the old network, or the old one
with a patch that leads to the new, or the new one; whoever opens it next finishes what was begun and is told which.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeVar

from tritforge.device.update import PreparedUpdate
from tritforge.errors import NetworkError, PatchError, TritforgeError
from tritforge.files import atomic_write, reason, remove, sweep
from tritforge.network.digest import network_digest
from tritforge.network.file import NETWORK_FILE, load_network, save_network
from tritforge.network.network import Network
from tritforge.patches.file import read_patch_file
from tritforge.patches.patch import apply_to_network, network_version
from tritforge.patches.steps import check_version

PENDING_FILE = "pending.patch"

Outcome = TypeVar("Outcome")


class Pending(Enum):
    """What became of the update that a recovery found; the value is the second half of a sentence."""

    NONE = "no update was under way"
    FINISHED = "it is the result of an update that was cut off"
    ENDED = "its update had come to an end"
    TORN = "a patch that never reached the disk whole is forgotten"


@dataclass(frozen=True, eq=False)
class Recovery:
    """The network that holds, and what had to be done with the pending patch; as text, one sentence on both."""

    network: Network
    pending: Pending

    def __str__(self) -> str:
        held = f"version {network_version(self.network)}, network {network_digest(self.network)[:16]}"
        return f"{held}: {self.pending.value}"


class Journal:
    """The persistent network in ``folder``, which one process at a time owns."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.network_path = Path(folder) / NETWORK_FILE
        self.pending_path = Path(folder) / PENDING_FILE
        self._network: Network | None = None

    def store(self, network: Network) -> None:
        """Begin with ``network``, forgetting what the folder held.

        A process that dies, or a power cut, leaves this network or the old one, with or without its pending update.
        """
        self._network = None
        self._forget_pending()
        self._save(network)

    def recover(self) -> Recovery:
        """The network that holds now; an update that was cut off is finished first, a torn patch is forgotten.

        After a crash the accelerator may hold the old network, the new one or neither: load it with this one.

        Raises:
            NetworkError: the network file is missing or damaged.
            PatchError: the pending patch belongs to another network.
        """
        for path in (self.network_path, self.pending_path):
            sweep(path)
        self._network = network = load_network(self.network_path)
        patch = self._read_pending()
        if patch is None:
            return Recovery(network, Pending.NONE)
        pending = _what_is_due(patch, network)
        if pending is Pending.FINISHED:
            try:
                network = apply_to_network(network, patch)
            except PatchError as error:
                raise PatchError(f"{self.pending_path}: {error}; remove it to keep the stored network") from error
            self._save(network)
        self._forget_pending()
        return Recovery(network, pending)

    def update(self, update: PreparedUpdate, apply: Callable[[], Outcome]) -> Outcome:
        """Follow ``update`` while ``apply`` brings it to the accelerator.

        ``apply`` returns when the accelerator holds the new network; what it returns is returned. If it raises a
        TritforgeError the old network stays, also after a power cut.

        Raises:
            PatchError: the update does not start from the stored network or is not newer; nothing was written.
        """
        network = self.recover().network if self._network is None else self._network
        if network_digest(network) != network_digest(update.base):
            found = f"{network_digest(update.base)[:16]}; the stored one is {network_digest(network)[:16]}"
            raise PatchError(f"patch: made for network {found}")
        check_version(update.version, network_version(network))
        self._network = None
        try:
            atomic_write(self.pending_path, update.patch)
            outcome = apply()
        except TritforgeError:
            self._forget_pending()
            self._network = network
            raise
        self._save(update.result)
        self._forget_pending()
        return outcome

    def _save(self, network: Network) -> None:
        save_network(self.network_path, network)
        self._network = network

    def _read_pending(self) -> bytes | None:
        try:
            return self.pending_path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise NetworkError(f"{self.pending_path}: cannot be read: {reason(error)}") from error

    def _forget_pending(self) -> None:
        try:
            remove(self.pending_path)
        except OSError as error:
            raise NetworkError(f"{self.pending_path}: cannot be removed: {reason(error)}") from error


def _what_is_due(patch: bytes, network: Network) -> Pending:
    """What a recovery that finds ``network`` does with the pending ``patch``.

    A patch that never reached the disk whole was never seen by an accelerator. One without changes leads to the same
    integers under a new version.
    """
    try:
        found = read_patch_file(patch)
    except PatchError:
        return Pending.TORN
    ended = found.result_digest == network_digest(network) and found.version <= network_version(network)
    return Pending.ENDED if ended else Pending.FINISHED
