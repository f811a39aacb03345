"""The persistent copy of the loaded network, which survives a process that dies at any moment.

A folder holds ``network.safetensors`` and, while an update is under way, ``pending.patch``. Both are only ever replaced
whole. The order is: pending patch written, accelerator updated, network replaced, pending patch removed. So after a
crash the folder holds the old network, or the old one with a patch that leads to the new, or the new one; whoever
opens it next finishes what was begun.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tritforge.device.update import PreparedUpdate
from tritforge.errors import NetworkError, PatchError, TritforgeError
from tritforge.files import atomic_write, reason, sweep
from tritforge.network.digest import network_digest
from tritforge.network.file import NETWORK_FILE, load_network, save_network
from tritforge.network.network import Network
from tritforge.patches.file import read_patch_file
from tritforge.patches.patch import apply_to_network, network_version
from tritforge.patches.steps import check_version

PENDING_FILE = "pending.patch"

Outcome = TypeVar("Outcome")


class Journal:
    """The persistent network in ``folder``, which one process at a time owns."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.network_path = Path(folder) / NETWORK_FILE
        self.pending_path = Path(folder) / PENDING_FILE
        self._network: Network | None = None

    def store(self, network: Network) -> None:
        """Begin with ``network``, forgetting what the folder held; a process that dies leaves the old or this one."""
        self._network = None
        self._forget_pending()
        self._save(network)

    def recover(self) -> Network:
        """The network that holds now; an update that was cut off is finished first, a torn patch is forgotten.

        After a crash the accelerator may hold the old network, the new one or neither: load it with this one.

        Raises:
            NetworkError: the network file is missing or damaged.
            PatchError: the pending patch belongs to another network.
        """
        for path in (self.network_path, self.pending_path):
            sweep(path)
        self._network = network = load_network(self.network_path)
        pending = self._read_pending()
        if pending is None:
            return network
        if not _is_torn(pending) and read_patch_file(pending).result_digest != network_digest(network):
            try:
                network = apply_to_network(network, pending)
            except PatchError as error:
                raise PatchError(f"{self.pending_path}: {error}; remove it to keep the stored network") from error
            self._save(network)
        self._forget_pending()
        return network

    def update(self, update: PreparedUpdate, apply: Callable[[], Outcome]) -> Outcome:
        """Follow ``update`` while ``apply`` brings it to the accelerator.

        ``apply`` returns when the accelerator holds the new network; what it returns is returned. If it raises a
        TritforgeError the old network stays.

        Raises:
            PatchError: the update does not start from the stored network or is not newer; nothing was written.
        """
        network = self.recover() if self._network is None else self._network
        if network_digest(network) != network_digest(update.base):
            found = f"{network_digest(update.base)[:16]}; the stored one is {network_digest(network)[:16]}"
            raise PatchError(f"patch: made for network {found}")
        check_version(update.version, network_version(network))
        atomic_write(self.pending_path, update.patch)
        try:
            outcome = apply()
        except TritforgeError:
            self._forget_pending()
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
            self.pending_path.unlink(missing_ok=True)
        except OSError as error:
            raise NetworkError(f"{self.pending_path}: cannot be removed: {reason(error)}") from error


def _is_torn(patch: bytes) -> bool:
    """Whether ``patch`` never reached the disk whole, so that no accelerator has seen it."""
    try:
        read_patch_file(patch)
    except PatchError:
        return True
    return False
