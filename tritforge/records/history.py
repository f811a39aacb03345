"""What a training logged, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tritforge.errors import ResultFileError
from tritforge.records.json_fields import from_json

Column = tuple[float | None, ...]
"""A value for each epoch; None where it was not logged yet."""


@dataclass(frozen=True)
class History:
    """Columns of a training's log, in their order.

    Attributes:
        epoch: the epochs told of.
        columns: by name, the others; those of a layer are called by figure and layer, ``delta.stem``.
    """

    epoch: tuple[int, ...]
    columns: Mapping[str, Column]

    @property
    def zero_group_fraction(self) -> Column:
        """Part of the grouped layers' PE groups that are zero."""
        return self.columns["zero_group_fraction"]

    @property
    def zero_groups(self) -> dict[str, Column]:
        """By layer, the part of its PE groups that are zero."""
        return self._of_layers("zero_groups.")

    @property
    def thresholds(self) -> dict[str, Column]:
        """By layer, the clipping threshold δ; empty where nothing is clipped."""
        return self._of_layers("delta.")

    def _of_layers(self, prefix: str) -> dict[str, Column]:
        held = self.columns.items()
        return {name.removeprefix(prefix): column for name, column in held if name.startswith(prefix)}

    def to_json(self) -> dict[str, Any]:
        """The columns as a result file holds them."""
        return {"epoch": list(self.epoch), **{name: list(column) for name, column in self.columns.items()}}

    @classmethod
    def from_json(cls, value: Any, file: str, place: str) -> History:
        """The history that a result file holds; for the arguments see :func:`json_fields.from_json`.

        Raises:
            ResultFileError: what holds no columns of numbers, equally long, those of every log among them.
        """
        columns = from_json(Mapping[str, Column], value, file, place)
        for name in ("epoch", "zero_group_fraction"):
            if name not in columns:
                raise ResultFileError(f"{file} lacks the field '{place}.{name}'")
        epoch = from_json(tuple[int, ...], columns.pop("epoch"), file, f"{place}.epoch")
        for name, column in columns.items():
            if len(column) != len(epoch):
                raise ResultFileError(f"{file}: {place}.{name} has {len(column)} values, but {len(epoch)} epochs")
        return cls(epoch, columns)
