from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from network_samples import any_network, tiny_network
from safetensors import safe_open
from safetensors.numpy import save

from tritforge.errors import NetworkError, TritforgeError
from tritforge.network.digest import network_digest
from tritforge.network.file import load_network, save_network
from tritforge.network.trit_order import stored_trit_count


def parts(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with safe_open(path, framework="numpy") as handle:
        return json.loads(handle.metadata()["tritforge"]), {key: handle.get_tensor(key) for key in list(handle.keys())}


def write(path: Path, document: Any, tensors: dict[str, np.ndarray], key: str = "tritforge") -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    path.write_bytes(save(tensors, metadata={key: text}))


@pytest.fixture()
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "network.safetensors"
    save_network(path, tiny_network())
    return path


@pytest.mark.parametrize("seed", range(8))
def test_a_network_comes_back_whole(seed: int, tmp_path: Path) -> None:
    network = replace(any_network(seed), provenance={"recipe": {"epochs": 3}, "accuracy": 91.25, "note": "α"})
    path = tmp_path / "n.safetensors"
    save_network(path, network)
    again = load_network(path)
    assert network_digest(again) == network_digest(network)
    assert again.provenance == network.provenance
    assert again.input == network.input
    for before, after in zip(network.layers, again.layers, strict=True):
        for field in vars(before):
            old, new = getattr(before, field), getattr(after, field)
            assert type(old) is type(new)
            assert np.array_equal(old, new) and getattr(old, "dtype", 0) == getattr(new, "dtype", 0), field
    save_network(tmp_path / "again.safetensors", again)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_several_active_bitmaps_come_back(tmp_path: Path) -> None:
    network = tiny_network()
    layers = {}
    for layer in network.ternary_layers():
        assert layer.stored is not None
        layers[layer.name] = replace(
            layer, active=(layer.stored, layer.stored & (np.arange(layer.outputs) % 2 == 0)[:, None])
        )
    network = network.with_layers(dict(layers))
    save_network(tmp_path / "n", network)
    assert network_digest(load_network(tmp_path / "n")) == network_digest(network)


def test_only_stored_groups_cost_bytes(sample: Path) -> None:
    document, tensors = parts(sample)
    assert document["schema"] == 1 and document["digest"] == network_digest(tiny_network())
    for layer in tiny_network().ternary_layers():
        assert layer.stored is not None and not layer.stored.all()
        count = stored_trit_count(layer.stored, layer.inputs, layer.kernel, 4)
        assert tensors[f"{layer.name}.trits"].shape == (-(-count // 4),)
    assert tensors["stem.weights"].dtype == np.int16 and tensors["stem.weights"].shape == (3, 2, 3, 3)


def test_the_metadata_is_canonical(sample: Path) -> None:
    with safe_open(sample, framework="numpy") as handle:
        text = handle.metadata()["tritforge"]
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def test_every_truncation_is_told(sample: Path, tmp_path: Path) -> None:
    data = sample.read_bytes()
    path = tmp_path / "short.safetensors"
    for length in {*range(0, 64), *range(64, len(data), 37), len(data) - 1}:
        path.write_bytes(data[:length])
        with pytest.raises(NetworkError, match=r"short\.safetensors"):
            load_network(path)
    path.write_bytes(data + b"\0")
    with pytest.raises(NetworkError, match=r"short\.safetensors"):
        load_network(path)


def test_no_flipped_byte_gives_another_network(sample: Path, tmp_path: Path) -> None:
    data = sample.read_bytes()
    digest = network_digest(load_network(sample))
    path = tmp_path / "flipped.safetensors"
    start = 8 + int.from_bytes(data[:8], "little")
    for place in [*range(0, start, 7), *range(start, len(data))]:
        for mask in (0x01, 0x80, 0xFF):
            path.write_bytes(data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :])
            try:
                network = load_network(path)
            except NetworkError:
                continue
            assert network_digest(network) == digest and place < start


def change(*keys: Any, to: Any = None, drop: bool = False) -> Callable[[dict[str, Any]], None]:
    def apply(document: dict[str, Any]) -> None:
        target: Any = document
        for key in keys[:-1]:
            target = target[key]
        if drop:
            del target[keys[-1]]
        else:
            target[keys[-1]] = to

    return apply


def both(*changes: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    def apply(document: dict[str, Any]) -> None:
        for one in changes:
            one(document)

    return apply


REST = (1 << 24) - 54 - 162
"""Weights that the first two layers leave of those that a file may claim."""

WRONG_DOCUMENTS: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (change("schema", to=2), "schema is 2; allowed is 1"),
    (change("schema", to=True), "schema is true"),
    (change("schema", drop=True), "schema is missing"),
    (change("surprise", to=1), "surprise is an unknown key"),
    (change("input", "surprise", to=1), r"input\.surprise is an unknown key"),
    (change("layers", 1, "surprise", to=1), r"layers\[1\]\.surprise is an unknown key"),
    (change("trit_order", to="other"), "trit_order is"),
    (change("digest", to="0" * 64), "digest is 000"),
    (change("digest", to=5), "digest is 5; allowed is a string"),
    (change("layers", to={}), "layers is {}; allowed is a list"),
    (change("layers", 0, to=[]), r"layers\[0\]\. must be an object"),
    (change("layers", 0, "type", to="pool"), r"layers\[0\]\.type is"),
    (change("layers", 1, "kernel", to=5), r"layers\[1\]\.kernel is 5"),
    (change("layers", 1, "kernel", to=True), r"layers\[1\]\.kernel is true"),
    (change("layers", 1, "outputs", to=0), r"layers\[1\]\.outputs is 0"),
    (change("layers", 1, "outputs", to=7), r"'first\.multiplier' is I16\[6\]; expected I16\[7\]"),
    (change("layers", 1, "outputs", to=70), r"'first\.stored' is U8\[1\]; expected U8\[9\]"),
    (change("layers", 1, "outputs", to=1 << 30), "claim more than"),
    (change("layers", 1, "inputs", to=1 << 27), "claim more than"),
    (change("layers", 1, "outputs", to=((1 << 24) - 54) // 27 + 1), "claim more than 16777216 weights"),
    (change("layers", 1, "outputs", to=((1 << 24) - 54) // 27), r"'first\.stored' is U8\[1\]"),
    (
        both(change("layers", 2, "inputs", to=1), change("layers", 2, "outputs", to=REST // 2)),
        r"'second\.stored' is U8",
    ),
    (both(change("layers", 2, "inputs", to=1), change("layers", 2, "outputs", to=REST // 2 + 1)), "claim more than"),
    (change("input", "height", to=1 << 31), r"input\.height is 2147483648; allowed is an integer from 0 to 2147483647"),
    (change("input", "height", to=(1 << 31) - 1), "digest is"),
    (change("layers", 0, "inputs", to=3), r"'stem\.weights' is I16"),
    (change("layers", 1, "active", to=2), r"'first\.active1' is missing"),
    (change("layers", 1, "active", to=256), r"layers\[1\]\.active is 256"),
    (change("layers", 1, "active", to=0), r"'first\.weights' is missing"),
    (change("layers", 1, "shift", to=-1), r"layers\[1\]\.shift is -1"),
    (change("layers", 1, "shift", to=10**30), r"layers\[1\]\.shift is 1000"),
    (change("layers", 1, "shift", to=32), "layer first: shift is 32"),
    (change("layers", 1, "stride", to=1.5), r"layers\[1\]\.stride is 1\.5"),
    (change("layers", 1, "weight_bits", to="2"), r'layers\[1\]\.weight_bits is "2"'),
    (change("layers", 1, "logits", to=0), r"layers\[1\]\.logits is 0"),
    (change("layers", 1, "residual", to=0), r"layers\[1\]\.residual is 0"),
    (change("layers", 1, "name", to=None), r"layers\[1\]\.name is null"),
    (change("layers", 1, "name", to="first\x1b[31m"), r"'first\\x1b\[31m\.stored' is missing"),
    (change("layers", 1, "name", to="stem"), r"'stem\.stored' is missing or used twice"),
    (change("layers", 3, "input", to="nowhere"), r"layers\[3\]\.input is 'nowhere'"),
    (change("layers", 3, "input", to="stem"), r"'pool\.multiplier' is I16\[10\]; expected I16\[3\]"),
    (change("group_channels", to=0), "group_channels is 0"),
    (change("group_channels", to=257), "group_channels is 257"),
    (change("group_channels", to=2), r"'first\.stored'"),
    (change("activation_bits", to=9), "activation_bits is 9"),
    (change("activation_bits", to=16), "digest is"),
    (change("provenance", to=[]), "provenance is"),
    (change("input", to=3), "input is 3; allowed is an object"),
    (change("input", "zero_point", to=[7]), "zero_point"),
    (change("input", "zero_point", to=[7, True]), "zero_point"),
    (change("input", "zero_point", to="77"), "zero_point"),
    (change("input", "bits", to=1 << 40), r"input\.bits is"),
    (change("input", "bits", to=1 << 30), r"input\.bits is"),
    (change("input", "height", to=0), "input shape"),
    (change("layers", 4, drop=True), "exactly the last layer"),
]


@pytest.mark.parametrize(("spoil", "words"), WRONG_DOCUMENTS, ids=[case[1] for case in WRONG_DOCUMENTS])
def test_a_wrong_field_is_named(
    spoil: Callable[[dict[str, Any]], None], words: str, sample: Path, tmp_path: Path
) -> None:
    document, tensors = parts(sample)
    spoil(document)
    path = tmp_path / "wrong.safetensors"
    write(path, document, tensors)
    with pytest.raises(NetworkError, match=words) as caught:
        load_network(path)
    assert str(caught.value).startswith(f"{path}: ") and str(caught.value).count(str(path)) == 1


def padded(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[-1] |= 0x80
    return values


def fourth_code(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[0] = values[0] & 0xFC | 2
    return values


WRONG_TENSORS: list[tuple[str, Callable[[np.ndarray], np.ndarray], str]] = [
    ("first.stored", padded, "'first.stored' holds padding that is not zero"),
    ("first.active0", padded, "'first.active0' holds padding that is not zero"),
    ("second.trits", padded, "'second.trits' holds"),
    ("first.trits", fourth_code, "'first.trits' holds the code 10"),
    ("first.trits", lambda x: x[:-1], r"'first.trits' is U8\["),
    ("first.trits", lambda x: x.astype(np.int8), r"'first.trits' is I8\["),
    ("first.stored", lambda x: np.append(x, x[-1:]), r"'first.stored' is U8\["),
    ("stem.weights", lambda x: x.astype(np.int32), r"'stem.weights' is I32"),
    ("stem.weights", lambda x: x * 10, "layer stem: a weight"),
    ("fc.bias", lambda x: x.astype(np.int32), r"'fc.bias' is I32\[4\]; expected I64\[4\]"),
    ("pool.multiplier", lambda x: x.astype(np.uint16), r"'pool.multiplier' is U16"),
    ("pool.bias", lambda x: x + (1 << 60), "layer pool: bias leaves 48"),
    ("fc.bias", lambda x: x + 1, "digest is"),
]


@pytest.mark.parametrize(("tensor", "spoil", "words"), WRONG_TENSORS)
def test_a_wrong_tensor_is_named(
    tensor: str, spoil: Callable[[np.ndarray], np.ndarray], words: str, sample: Path, tmp_path: Path
) -> None:
    document, tensors = parts(sample)
    path = tmp_path / "wrong.safetensors"
    write(path, document, tensors | {tensor: spoil(tensors[tensor])})
    with pytest.raises(NetworkError, match=words):
        load_network(path)


def test_missing_and_unknown_tensors_are_named(sample: Path, tmp_path: Path) -> None:
    document, tensors = parts(sample)
    path = tmp_path / "wrong.safetensors"
    for name in tensors:
        fewer = {key: value for key, value in tensors.items() if key != name}
        write(path, document, fewer)
        with pytest.raises(NetworkError, match=f"tensor '{name}' is missing"):
            load_network(path)
    write(path, document, tensors | {"first.extra": np.zeros(1)})
    with pytest.raises(NetworkError, match=r"unknown tensor 'first\.extra'"):
        load_network(path)


def test_what_is_no_network_file_is_told_in_one_sentence(sample: Path, tmp_path: Path) -> None:
    document, tensors = parts(sample)
    path = tmp_path / "wrong.safetensors"
    for metadata, key, words in (
        (document, "other", r"metadata keys are \['other'\]"),
        ("{", "tritforge", "is no JSON"),
        ("[" * 100000, "tritforge", "is no JSON"),
        ("[]", "tritforge", "metadata must be an object"),
    ):
        write(path, metadata, tensors, key)
        with pytest.raises(NetworkError, match=words):
            load_network(path)
    path.write_bytes(save(tensors))
    with pytest.raises(NetworkError, match=r"metadata keys are \[\]"):
        load_network(path)
    for data in (b"", b"x", b"\xff" * 64, b"\x00" * 64):
        path.write_bytes(data)
        with pytest.raises(NetworkError, match=r"wrong\.safetensors: not a readable"):
            load_network(path)
    for missing in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(NetworkError, match="no such network file"):
            load_network(missing)


def test_what_cannot_be_written_leaves_the_old_file(sample: Path) -> None:
    before = sample.read_bytes()
    network = tiny_network()
    for provenance in ({"x": float("nan")}, {"x": object()}, {"x": np.float32(1)}):
        with pytest.raises(NetworkError, match="plain JSON"):
            save_network(sample, replace(network, provenance=provenance))
    assert sample.read_bytes() == before
    with pytest.raises(TritforgeError, match="cannot write"):
        save_network(sample / "inside" / "a_file", network)


def test_layer_names_may_hold_dots(tmp_path: Path) -> None:
    network = tiny_network()
    layers = list(copy.copy(network.layers))
    layers[0] = replace(layers[0], name="first.trits")
    layers[1] = replace(layers[1], input="first.trits")
    dotted = replace(network, layers=tuple(layers))
    save_network(tmp_path / "n", dotted)
    assert network_digest(load_network(tmp_path / "n")) == network_digest(dotted)


def test_up_to_255_active_bitmaps_are_read_back(tmp_path: Path) -> None:
    network = tiny_network()
    many = {layer.name: replace(layer, active=layer.active * 255) for layer in network.ternary_layers()}
    path = tmp_path / "many.safetensors"
    save_network(path, network.with_layers(dict(many)))
    assert all(len(layer.active) == 255 for layer in load_network(path).ternary_layers())
