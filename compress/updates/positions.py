"""What of a deployed network may change, and the one row in which its stored trits are ranked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tritforge.compress.export.deployed import stored_weights
from tritforge.network.network import Network
from tritforge.network.trit_order import trit_places
from tritforge.overlay.trit_words import trit_words

Masks = Mapping[str, Tensor]
"""Bool tensors by layer."""


@dataclass(frozen=True, eq=False)
class Positions:
    """What of a network may change.

    Attributes:
        trits: by ternary layer, its free trits ``(N, C, K, K)``; of a layer that is not named none is free.
        affine: by convolution, the channels ``(N,)`` whose ``M`` and ``B`` are free; likewise.
        bitmaps: groups that are not stored may become stored ones, so that trits in them can be free.
        head: weights and affine entries of the classifier are free.
    """

    trits: Masks = field(default_factory=dict)
    affine: Masks = field(default_factory=dict)
    bitmaps: bool = False
    head: bool = False

    @classmethod
    def everything(cls, network: Network) -> Positions:
        """All that a patch can carry: every trit in a stored group, and every affine entry that can be trained."""
        affine = {layer.name: torch.ones(layer.outputs, dtype=torch.bool) for layer in network.convolutions()}
        return cls(stored_weights(network), affine)


class StoredTrits:
    """All trits in stored groups as one row: layer by layer, each as its weights ``(N, C, K, K)`` lie.

    Attributes:
        masks: by ternary layer, its weights in stored groups.
        places: of each trit of the row in the order of :mod:`tritforge.network.trit_order`.
        words: for each trit of the row, the weight word that holds it.
    """

    def __init__(self, network: Network) -> None:
        self.masks: Masks = stored_weights(network)
        self.places = self.row({name: torch.from_numpy(places) for name, places in trit_places(network).items()})
        self.words = self.row({name: torch.from_numpy(words) for name, words in trit_words(network).items()})

    def __len__(self) -> int:
        return len(self.places)

    def row(self, by_layer: Mapping[str, Tensor]) -> Tensor:
        """Values of the stored trits, of tensors ``(N, C, K, K)`` by layer."""
        return torch.cat([by_layer[name][mask] for name, mask in self.masks.items()])

    def by_layer(self, row: Tensor) -> dict[str, Tensor]:
        """Inverse of :meth:`row` for a bool row: masks ``(N, C, K, K)``, false outside the stored groups."""
        masks = {}
        parts = row.split([int(mask.sum()) for mask in self.masks.values()])
        for (name, mask), part in zip(self.masks.items(), parts, strict=True):
            masks[name] = torch.zeros_like(mask)
            masks[name][mask] = part
        return masks
