"""An update prepared once: from a network and a patch file to the words that change, before anything is touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tritforge.device.entries import plan_words
from tritforge.network.network import Network
from tritforge.overlay.program import OverlayProgram
from tritforge.overlay.spaces import Entries
from tritforge.patches.patch import apply_to_network, network_version

Lower = Callable[[Network], OverlayProgram]
"""Gives the program of a network for one accelerator."""


@dataclass(frozen=True, eq=False)
class PreparedUpdate:
    """What a patch does to an accelerator that holds its base network.

    Attributes:
        patch: the patch file.
        base: the network that it starts from.
        result: the network that it leads to.
        base_program: program of ``base``.
        result_program: program of ``result``.
        entries: words that differ between the two, sorted by space and address.
    """

    patch: bytes
    base: Network
    result: Network
    base_program: OverlayProgram
    result_program: OverlayProgram
    entries: Entries

    @property
    def version(self) -> int:
        """The version that the result gets."""
        return network_version(self.result)


def prepare_update(base: Network, patch: bytes, lower: Lower, program: OverlayProgram | None = None) -> PreparedUpdate:
    """Check the patch file ``patch`` against ``base`` and plan its words.

    Args:
        base: the network that the accelerator holds.
        patch: a patch file.
        lower: gives the program of a network for the accelerator.
        program: what ``lower`` gave for ``base``, where that is at hand.

    Raises:
        PatchError: the patch is damaged or for another network or version.
        CapacityError: a network does not fit the accelerator.
    """
    result = apply_to_network(base, patch)
    old = lower(base) if program is None else program
    new = lower(result)
    return PreparedUpdate(patch, base, result, old, new, plan_words(old, new))
