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

from tritforge.errors import NetworkError, PatchError, TritforgeError
from tritforge.files import atomic_write, reason
from tritforge.network.digest import network_digest
from tritforge.network.file import NETWORK_FILE, load_network, save_network
from tritforge.network.network import Network
from tritforge.patches.file import read_patch_file
from tritforge.patches.patch import apply_to_network

PENDING_FILE = "pending.patch"

Outcome = TypeVar("Outcome")


class Journal:
    """The persistent network in ``folder``."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.network_path = Path(folder) / NETWORK_FILE
        self.pending_path = Path(folder) / PENDING_FILE

    def store(self, network: Network) -> None:
        """Begin with ``network``, forgetting what the folder held; a process that dies leaves the old or this one."""
        self._forget_pending()
        save_network(self.network_path, network)

    def recover(self) -> Network:
        """The network that holds now; an update that was cut off is finished first, a torn patch is forgotten.

        After a crash the accelerator may hold the old network, the new one or neither: load it with this one.

        Raises:
            NetworkError: the network file is missing or damaged.
            PatchError: the pending patch belongs to another network.
        """
        self._sweep()
        network = load_network(self.network_path)
        pending = self._read_pending()
        if pending is None:
            return network
        if not _is_torn(pending) and read_patch_file(pending).result_digest != network_digest(network):
            try:
                network = apply_to_network(network, pending)
            except PatchError as error:
                raise PatchError(f"{self.pending_path}: {error}; remove it to keep the stored network") from error
            save_network(self.network_path, network)
        self._forget_pending()
        return network

    def update(self, patch: bytes, apply: Callable[[Network], Outcome]) -> Outcome:
        """Update the stored network by the patch file ``patch`` while ``apply`` updates the accelerator.

        ``apply`` gets the stored network and returns when the accelerator holds the new one; what it returns is
        returned. If it raises a TritforgeError the old network stays.

        Raises:
            PatchError: the patch does not fit the stored network; nothing was written.
        """
        network = self.recover()
        result = apply_to_network(network, patch)
        atomic_write(self.pending_path, patch)
        try:
            outcome = apply(network)
        except TritforgeError:
            self._forget_pending()
            raise
        save_network(self.network_path, result)
        self._forget_pending()
        return outcome

    def _read_pending(self) -> bytes | None:
        try:
            return self.pending_path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise NetworkError(f"{self.pending_path}: cannot be read: {reason(error)}") from error

    def _sweep(self) -> None:
        """Remove what a process that died while writing left behind."""
        for path in (self.network_path, self.pending_path):
            for part in path.parent.glob(f".{path.name}.*.part"):
                part.unlink(missing_ok=True)

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
