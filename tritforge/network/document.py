"""The JSON part of a network file, read key by key, and what a kind reads a layer from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import NetworkError
from tritforge.network.weight_limit import VARIABLE

Fetch = Callable[[str, str, "tuple[int, ...]"], "NDArray[Any]"]
"""A tensor by name, type (``U8``, ``I16`` or ``I64``) and shape; raises NetworkError where the file has another."""

_MAX_INTEGER = (1 << 31) - 1


class Record:
    """A JSON object read key by key; what is missing, of the wrong kind or left over is named."""

    def __init__(self, file: str, path: str, value: Any) -> None:
        self.file, self.path = file, path
        if not isinstance(value, dict):
            raise NetworkError(f"{file}: {path or 'metadata'} must be an object")
        self.rest = dict(value)

    def take(self, key: str, allowed: str, holds: Callable[[Any], bool]) -> Any:
        """The value of ``key``, for which ``holds`` must be true; ``allowed`` says in words when it is."""
        if key not in self.rest:
            raise NetworkError(f"{self.file}: {self.path}{key} is missing")
        value = self.rest.pop(key)
        if not holds(value):
            raise NetworkError(f"{self.file}: {self.path}{key} is {_short(value)}; allowed is {allowed}")
        return value

    def integer(self, key: str, low: int = 0, high: int = _MAX_INTEGER) -> int:
        value = self.take(key, f"an integer from {low} to {high}", lambda x: type(x) is int and low <= x <= high)
        return int(value)

    def text(self, key: str) -> str:
        return str(self.take(key, "a string", lambda x: isinstance(x, str)))

    def record(self, key: str) -> Record:
        return Record(self.file, f"{self.path}{key}.", self.take(key, "an object", lambda x: isinstance(x, dict)))

    def end(self) -> None:
        """Refuse what was not taken."""
        if self.rest:
            raise NetworkError(f"{self.file}: {self.path}{min(self.rest)} is an unknown key")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


class Budget:
    """Weights that the layers of a file may still claim; a bit of a bitmap counts like a weight where it has more."""

    def __init__(self, limit: int) -> None:
        self._limit = self._left = limit

    def claim(self, record: Record, count: int) -> None:
        """Take ``count`` weights off; raises NetworkError where there are not so many left."""
        if count > self._left:
            raise NetworkError(
                f"{record.file}: {record.path}outputs and inputs claim more than {self._limit} weights in all; "
                f"{VARIABLE} sets another limit"
            )
        self._left -= count


@dataclass(frozen=True)
class LayerReader:
    """What a kind reads a layer from.

    Attributes:
        record: the layer's object in the file's JSON; its key ``type`` has been taken.
        fetch: the file's tensors.
        group_channels: ``C_g``.
        channels: of the maps of earlier layers and the input, by name.
        budget: to be asked before weights are fetched.
    """

    record: Record
    fetch: Fetch
    group_channels: int
    channels: Mapping[str, int]
    budget: Budget

    def source_channels(self, source: str) -> int:
        """Channels of an earlier map; raises NetworkError where there is none of this name."""
        if source not in self.channels:
            raise NetworkError(
                f"{self.record.file}: {self.record.path}input is {source!r}, which no earlier layer gives"
            )
        return self.channels[source]

    def affine(self, name: str, channels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """``M`` and ``B`` of the layer ``name``."""
        return (
            self.fetch(f"{name}.multiplier", "I16", (channels,)).astype(np.int64),
            self.fetch(f"{name}.bias", "I64", (channels,)).astype(np.int64, copy=False),
        )

    def unpacked(self, tensor: str, unpack: Callable[..., Any], packed: NDArray[np.uint8], size: Any) -> Any:
        """``unpack(packed, size)``; raises NetworkError naming the tensor where it refuses."""
        try:
            return unpack(packed, size)
        except ValueError as error:
            raise NetworkError(f"{self.record.file}: tensor {tensor!r} {error}") from error
