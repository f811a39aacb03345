"""The network file: an integer network as a ``.safetensors`` file (layout: docs/file_formats.md).

One metadata key, ``tritforge``, holds canonical JSON: schema, structure, digest, provenance. Tensors are named
``LAYER.FIELD``. Ternary layers carry the trits of stored groups only, two bits each in the order of
:mod:`tritforge.network.trit_order`; multi-bit layers carry plain integers. Loading checks everything before it is used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from tritforge.errors import NetworkError
from tritforge.files import atomic_write
from tritforge.network.digest import canonical_json, network_digest, network_structure
from tritforge.network.network import MAX_GROUP_CHANNELS, AveragePool, Convolution, InputSpec, Layer, Network
from tritforge.network.pe_groups import channels_per_group
from tritforge.network.trit_order import layer_trits, stored_trit_count, weights_from_trits
from tritforge.network.trit_packing import (
    TRITS_PER_BYTE,
    pack_bitmap,
    pack_trits,
    packed_length,
    unpack_bitmap,
    unpack_trits,
)

__all__ = ["NETWORK_FILE", "SCHEMA", "load_network", "network_digest", "save_network"]

NETWORK_FILE = "network.safetensors"
"""What the file is called in a run folder and in a journal's."""
SCHEMA = 1
METADATA_KEY = "tritforge"
TRIT_ORDER = "output channel, stored group, tap, channel lane"
MAX_WEIGHTS = 1 << 26
"""Weights that a file may claim, over all layers: a bound on what loading allocates."""

_MAX_INTEGER = (1 << 31) - 1
_DTYPES: dict[str, np.dtype[Any]] = {"U8": np.dtype("u1"), "I16": np.dtype("<i2"), "I64": np.dtype("<i8")}
Fetch = Callable[[str, str, "tuple[int, ...]"], "NDArray[Any]"]


def save_network(path: str | os.PathLike[str], network: Network) -> None:
    """Write ``network`` to ``path`` in one step; the same network always gives the same bytes.

    Raises:
        NetworkError: a layer's name or the provenance cannot be written as JSON.
        TritforgeError: the file cannot be written.
    """
    document = network_structure(network) | {
        "schema": SCHEMA,
        "trit_order": TRIT_ORDER,
        "digest": network_digest(network),
        "provenance": network.provenance,
    }
    tensors: dict[str, NDArray[Any]] = {}
    for layer in network.layers:
        for field, values in _layer_tensors(layer, network.group_channels).items():
            tensors[f"{layer.name}.{field}"] = np.ascontiguousarray(values)
    try:
        content = safetensors.numpy.save(tensors, metadata={METADATA_KEY: canonical_json(document)})
    except (TypeError, ValueError) as error:
        raise NetworkError(f"{os.fspath(path)}: names and provenance must be plain JSON values: {error}") from error
    atomic_write(path, content)


def load_network(path: str | os.PathLike[str]) -> Network:
    """Read and check the network file at ``path``.

    Raises:
        NetworkError: the file cannot be read, is damaged, or breaks the form or a rule of the network; the sentence
            names file and field.
    """
    name = os.fspath(path)
    if not Path(name).is_file():
        raise NetworkError(f"{name}: there is no such network file")
    try:
        with safetensors.safe_open(name, framework="numpy") as handle:
            document = _Record(name, "", _metadata(name, handle.metadata()))
            expected = set(handle.keys())
            network = _read(document, _fetcher(name, handle, expected))
    except (OSError, safetensors.SafetensorError) as error:
        raise NetworkError(f"{name}: not a readable .safetensors file: {error}") from error
    except NetworkError as error:
        text = str(error)
        raise NetworkError(text if text.startswith(f"{name}: ") else f"{name}: {text}") from error
    if expected:
        raise NetworkError(f"{name}: unknown tensor {min(expected)!r}; only those of its layers are allowed")
    claimed = document.text("digest")
    document.end()
    if claimed != network_digest(network):
        raise NetworkError(f"{name}: digest is {claimed}, but its integers give {network_digest(network)}")
    return network


def _layer_tensors(layer: Layer, group_channels: int) -> dict[str, NDArray[Any]]:
    tensors: dict[str, NDArray[Any]] = {
        "multiplier": layer.multiplier.astype("<i2"),
        "bias": layer.bias.astype("<i8"),
    }
    if isinstance(layer, AveragePool):
        return tensors
    if layer.stored is None:
        return tensors | {"weights": layer.weights.astype("<i2")}
    tensors |= {"trits": pack_trits(layer_trits(layer, group_channels)), "stored": pack_bitmap(layer.stored)}
    return tensors | {f"active{index}": pack_bitmap(bitmap) for index, bitmap in enumerate(layer.active)}


def _metadata(name: str, metadata: dict[str, str] | None) -> Any:
    if not metadata or list(metadata) != [METADATA_KEY]:
        found = sorted(metadata or {})
        raise NetworkError(f"{name}: metadata keys are {found}; a network file has {METADATA_KEY!r} only")
    try:
        return json.loads(metadata[METADATA_KEY])
    except (ValueError, RecursionError) as error:
        raise NetworkError(f"{name}: metadata {METADATA_KEY!r} is no JSON: {error}") from error


def _fetcher(name: str, handle: Any, expected: set[str]) -> Fetch:
    def fetch(tensor: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        if tensor not in expected:
            raise NetworkError(f"{name}: tensor {tensor!r} is missing or used twice")
        expected.remove(tensor)
        view = handle.get_slice(tensor)
        if view.get_dtype() != dtype or tuple(view.get_shape()) != shape:
            found = f"{view.get_dtype()}{list(view.get_shape())}"
            raise NetworkError(f"{name}: tensor {tensor!r} is {found}; expected {dtype}{list(shape)}")
        return np.asarray(handle.get_tensor(tensor)).astype(_DTYPES[dtype], copy=False)

    return fetch


class _Record:
    """A JSON object read key by key; what is missing, of the wrong kind or left over is named."""

    def __init__(self, file: str, path: str, value: Any) -> None:
        self.file, self.path = file, path
        if not isinstance(value, dict):
            raise NetworkError(f"{file}: {path or 'metadata'} must be an object")
        self.rest = dict(value)

    def take(self, key: str, allowed: str, holds: Callable[[Any], bool]) -> Any:
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

    def record(self, key: str) -> _Record:
        return _Record(self.file, f"{self.path}{key}.", self.take(key, "an object", lambda x: isinstance(x, dict)))

    def end(self) -> None:
        if self.rest:
            raise NetworkError(f"{self.file}: {self.path}{min(self.rest)} is an unknown key")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _read(document: _Record, fetch: Fetch) -> Network:
    document.take("schema", str(SCHEMA), lambda x: type(x) is int and x == SCHEMA)
    document.take("trit_order", repr(TRIT_ORDER), lambda x: x == TRIT_ORDER)
    group_channels = document.integer("group_channels", 1, MAX_GROUP_CHANNELS)
    spec = document.record("input")
    is_integers = lambda x: isinstance(x, list) and all(type(z) is int for z in x)  # noqa: E731
    image = InputSpec(
        channels=spec.integer("channels"),
        height=spec.integer("height"),
        width=spec.integer("width"),
        bits=spec.integer("bits"),
        zero_point=tuple(spec.take("zero_point", "a list of integers", is_integers)),
    )
    spec.end()
    layers: list[Layer] = []
    channels = {"input": image.channels}
    budget = MAX_WEIGHTS
    for index, value in enumerate(document.take("layers", "a list", lambda x: isinstance(x, list))):
        record = _Record(document.file, f"layers[{index}].", value)
        kind = record.take("type", "'convolution' or 'average_pool'", lambda x: x in ("convolution", "average_pool"))
        if kind == "average_pool":
            layers.append(_read_pool(record, fetch, channels))
        else:
            layer = _read_convolution(record, fetch, group_channels, budget)
            channels[layer.name] = layer.outputs
            budget -= layer.weights.size
            layers.append(layer)
        record.end()
    activation_bits = document.integer("activation_bits")
    provenance = document.take("provenance", "an object", lambda x: isinstance(x, dict))
    return Network(image, tuple(layers), activation_bits, group_channels, provenance)


def _read_pool(record: _Record, fetch: Fetch, channels: dict[str, int]) -> AveragePool:
    name, source = record.text("name"), record.text("input")
    if source not in channels:
        raise NetworkError(f"{record.file}: {record.path}input is {source!r}, which no earlier layer gives")
    count = channels[name] = channels[source]
    return AveragePool(
        name=name,
        input=source,
        multiplier=fetch(f"{name}.multiplier", "I16", (count,)).astype(np.int64),
        bias=fetch(f"{name}.bias", "I64", (count,)).astype(np.int64),
        shift=record.integer("shift"),
    )


def _read_convolution(record: _Record, fetch: Fetch, group_channels: int, budget: int) -> Convolution:
    name, file = record.text("name"), record.file
    outputs, inputs = record.integer("outputs", 1), record.integer("inputs", 1)
    kernel = record.take("kernel", "1 or 3", lambda x: type(x) is int and x in (1, 3))
    if outputs * inputs * kernel * kernel > budget:
        raise NetworkError(f"{file}: {record.path}outputs and inputs claim more than {MAX_WEIGHTS} weights in all")
    weight_bits, active_count = record.integer("weight_bits"), record.integer("active", 0, 255)
    stored: NDArray[np.bool_] | None = None
    active: list[NDArray[np.bool_]] = []
    if active_count:
        shape = (outputs, -(-inputs // channels_per_group(kernel, group_channels)))

        def bitmap(field: str) -> NDArray[np.bool_]:
            packed = fetch(f"{name}.{field}", "U8", (packed_length(shape[0] * shape[1], 8),))
            return _unpacked(file, f"{name}.{field}", unpack_bitmap, packed, shape)

        stored = bitmap("stored")
        active = [bitmap(f"active{index}") for index in range(active_count)]
        count = stored_trit_count(stored, inputs, kernel, group_channels)
        packed = fetch(f"{name}.trits", "U8", (packed_length(count, TRITS_PER_BYTE),))
        trits = _unpacked(file, f"{name}.trits", unpack_trits, packed, count)
        weights = weights_from_trits(trits, stored, inputs, kernel, group_channels)
    else:
        weights = fetch(f"{name}.weights", "I16", (outputs, inputs, kernel, kernel)).astype(np.int16)
    return Convolution(
        name=name,
        input=record.text("input"),
        weights=weights,
        weight_bits=weight_bits,
        stride=record.integer("stride"),
        multiplier=fetch(f"{name}.multiplier", "I16", (outputs,)).astype(np.int64),
        bias=fetch(f"{name}.bias", "I64", (outputs,)).astype(np.int64),
        shift=record.integer("shift"),
        residual=record.take("residual", "a string or null", lambda x: x is None or isinstance(x, str)),
        residual_multiplier=record.integer("residual_multiplier"),
        logits=record.take("logits", "true or false", lambda x: isinstance(x, bool)),
        stored=stored,
        active=tuple(active),
    )


def _unpacked(file: str, tensor: str, unpack: Callable[..., Any], packed: NDArray[np.uint8], size: Any) -> Any:
    try:
        return unpack(packed, size)
    except ValueError as error:
        raise NetworkError(f"{file}: tensor {tensor!r} {error}") from error
