"""Layers of a recorded network: where they stand in it, and what was measured of each."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import NamedTuple

from tritforge.errors import ResultFileError

_OLD_NAME = re.compile(r"stage(\d+)\.block(\d+)\.(\w+)")


class Place(NamedTuple):
    """Where a layer stands: stage from 1, block of the stage from 1, and its role in the block, such as ``conv1``."""

    stage: int
    block: int
    role: str


def place_of_old_name(name: str) -> Place | None:
    """Where a layer stands in a record that holds names alone; None for a name of another form.

    Records had no stages, blocks and roles before these were fields of a layer. All of them are of residual networks,
    whose layers are called ``stage2.block1.conv1``. Nothing else may take a name apart.
    """
    found = _OLD_NAME.fullmatch(name)
    return None if found is None else Place(int(found[1]), int(found[2]), found[3])


@dataclass(frozen=True, kw_only=True)
class LayerFigures:
    """By figure, a value for each grouped layer, in order; None for what was not recorded.

    Attributes:
        name: of the layer.
        stage: in which it stands, with ``block`` and ``role``.
        block: of the stage.
        role: in the block.
        zero_group_fraction: part of its PE groups that are zero.
        zero_fraction: part of its weights that are zero.
    """

    name: tuple[str, ...] = ()
    stage: tuple[int, ...] | None = None
    block: tuple[int, ...] | None = None
    role: tuple[str, ...] | None = None
    zero_group_fraction: tuple[float, ...] | None = None
    zero_fraction: tuple[float, ...] | None = None

    def check(self, file: str, place: str) -> None:
        """Refuse figures that do not have a value for each layer.

        Raises:
            ResultFileError: such figures; ``file`` and ``place`` are told.
        """
        for entry in fields(self):
            values = getattr(self, entry.name)
            if values is not None and len(values) != len(self.name):
                raise ResultFileError(
                    f"{file}: {place}.{entry.name} has {len(values)} values, but {len(self.name)} layers are named"
                )

    def place(self, name: str) -> Place | None:
        """Where a layer stands; None where neither the record nor the layer's name tells."""
        if self.stage is None or self.block is None or self.role is None:
            return place_of_old_name(name)
        places = map(Place, self.stage, self.block, self.role)
        return dict(zip(self.name, places, strict=True)).get(name)
