"""The network file: an integer network as a ``.safetensors`` file (layout: docs/file_formats.md).

One metadata key, ``tritforge``, holds canonical JSON: schema, structure, digest, provenance. Tensors are named
``LAYER.FIELD``. Ternary layers carry the trits of stored groups only, two bits each in the order of
:mod:`tritforge.network.trit_order`; multi-bit layers carry plain integers. Loading checks everything before it is used.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from tritforge.errors import NetworkError
from tritforge.files import atomic_write
from tritforge.network.digest import canonical_json, network_digest, network_structure
from tritforge.network.document import Budget, Fetch, LayerReader, Record
from tritforge.network.kinds.table import KINDS
from tritforge.network.layer import INPUT, InputSpec, Layer
from tritforge.network.network import MAX_GROUP_CHANNELS, Network
from tritforge.network.weight_limit import weight_limit
from tritforge.strict_json import read_json

NETWORK_FILE = "network.safetensors"
"""What the file is called in a run folder and in a journal's."""
SCHEMA = 1
METADATA_KEY = "tritforge"
MAX_HEADER_BYTES = 1 << 21
"""Of the JSON that tells names, types, structure and provenance."""
TRIT_ORDER = "output channel, stored group, tap, channel lane"

_DTYPES: dict[str, np.dtype[Any]] = {"U8": np.dtype("u1"), "I16": np.dtype("<i2"), "I64": np.dtype("<i8")}


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
        for field, values in layer.tensors(network.group_channels).items():
            tensors[f"{layer.name}.{field}"] = np.ascontiguousarray(values)
    try:
        content = safetensors.numpy.save(tensors, metadata={METADATA_KEY: canonical_json(document)})
    except (TypeError, ValueError) as error:
        raise NetworkError(f"{os.fspath(path)}: names and provenance must be plain JSON values: {error}") from error
    atomic_write(path, content)


def load_network(path: str | os.PathLike[str], max_weights: int | None = None) -> Network:
    """Read and check the network file at ``path``.

    Args:
        path: of the file.
        max_weights: that it may claim over all layers; by default those of :func:`weight_limit`.

    Raises:
        NetworkError: the file cannot be read, is damaged, or breaks the form or a rule of the network; the sentence
            names file and field.
    """
    name = os.fspath(path)
    if not Path(name).is_file():
        raise NetworkError(f"{name}: there is no such network file")
    limit = weight_limit() if max_weights is None else max_weights
    try:
        _check_header(name)
        with safetensors.safe_open(name, framework="numpy") as handle:
            document = Record(name, "", _metadata(name, handle.metadata()))
            expected = set(handle.keys())
            network = _read(document, _fetcher(name, handle, expected), Budget(limit))
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


def _check_header(name: str) -> None:
    """Refuse a header that would take many times its bytes once it is read, whatever it holds."""
    with open(name, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
    if MAX_HEADER_BYTES < size <= os.path.getsize(name):
        raise NetworkError(f"{name}: its header takes {size} bytes; allowed are {MAX_HEADER_BYTES}")


def _metadata(name: str, metadata: dict[str, str] | None) -> Any:
    if not metadata or list(metadata) != [METADATA_KEY]:
        found = sorted(metadata or {})
        raise NetworkError(f"{name}: metadata keys are {found}; a network file has {METADATA_KEY!r} only")
    try:
        return read_json(metadata[METADATA_KEY])
    except ValueError as error:
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


def _read(document: Record, fetch: Fetch, budget: Budget) -> Network:
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
    channels = {INPUT: image.channels}
    kinds = " or ".join(map(repr, KINDS))
    for index, value in enumerate(document.take("layers", "a list", lambda x: isinstance(x, list))):
        record = Record(document.file, f"layers[{index}].", value)
        kind = KINDS[record.take("type", kinds, lambda x: isinstance(x, str) and x in KINDS)]
        layer = kind.read(LayerReader(record, fetch, group_channels, channels, budget))
        record.end()
        channels[layer.name] = layer.multiplier.size
        layers.append(layer)
    activation_bits = document.integer("activation_bits")
    provenance = document.take("provenance", "an object", lambda x: isinstance(x, dict))
    return Network(image, tuple(layers), activation_bits, group_channels, provenance)
