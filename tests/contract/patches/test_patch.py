from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_samples import any_network, changed, grouped_network, tiny_network

from tritforge.errors import NetworkError, PatchError
from tritforge.network.digest import network_digest
from tritforge.network.network import Network
from tritforge.network.trit_order import network_trits, trit_count
from tritforge.patches.codec import entropy_bound_bytes
from tritforge.patches.file import HEADER_BYTES
from tritforge.patches.patch import apply_to_network, diff, full_update_bytes, inspect, network_version, verify
from tritforge.patches.steps import compose, read_patch, reverse, write_patch


def same(one: Network, other: Network) -> bool:
    return network_digest(one) == network_digest(other)


ratios = st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 40), ratios, ratios)
def test_a_patch_makes_the_new_network_of_the_base(seed: int, trits: float, affine: float) -> None:
    base = tiny_network(seed) if seed % 2 else any_network(seed % 8)
    new = changed(base, seed, trits, affine)
    data = diff(base, new, 1)
    result = apply_to_network(base, data)
    assert same(result, new) and network_version(result) == 1
    assert result.provenance == base.provenance | {"version": 1}
    verify(data, base)
    patch = read_patch(data)
    assert np.array_equal(patch.positions, np.flatnonzero(network_trits(base) != network_trits(new)))
    assert write_patch(patch) == data
    before = [(m, b) for layer in base.layers for m, b in zip(layer.multiplier, layer.bias, strict=True)]
    after = [(m, b) for layer in new.layers for m, b in zip(layer.multiplier, layer.bias, strict=True)]
    assert patch.entries.tolist() == [i for i, pair in enumerate(before) if pair != after[i]]
    assert patch.affine_channels == len(before)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40), ratios, ratios, ratios)
def test_composing_and_reversing_give_the_one_file(seed: int, first: float, second: float, affine: float) -> None:
    a = tiny_network(seed)
    b = changed(a, seed + 1, first, affine)
    c = changed(b, seed + 2, second, affine)
    ab, bc = diff(a, b, 1), diff(b, c, 2)
    assert compose(ab, bc) == diff(a, c, 2)
    assert reverse(ab, 3) == diff(b, a, 3)
    assert same(apply_to_network(apply_to_network(a, ab), reverse(ab, 2)), a)
    nothing = compose(ab, reverse(ab, 5))
    assert nothing == diff(a, a, 5)
    assert inspect(nothing)["changed_trits"] == inspect(nothing)["changed_affine_entries"] == 0


def test_extreme_affine_values_wrap_and_come_back() -> None:
    base = tiny_network()
    pool = base.layer("pool")
    low = base.with_layers({"pool": replace(pool, multiplier=np.full(10, -(2**15)), bias=np.full(10, -(2**47)))})
    high = base.with_layers({"pool": replace(pool, multiplier=np.full(10, 2**15 - 1), bias=np.full(10, 2**47 - 1))})
    for one, other in ((low, high), (high, low), (base, low), (high, base)):
        assert same(apply_to_network(one, diff(one, other, 1)), other)


def test_inspect_tells_what_the_result_file_names() -> None:
    base = any_network(3)
    new = changed(base, 1, 0.05, 0.1)
    data = diff(base, new, 4)
    told = inspect(data)
    count = int((network_trits(base) != network_trits(new)).sum())
    entries = read_patch(data).entries.size
    assert told == {
        "bytes": len(data),
        "changed_trits": count,
        "changed_affine_entries": entries,
        "bound_bytes": entropy_bound_bytes(count, trit_count(base)),
        "base_digest": network_digest(base),
        "result_digest": network_digest(new),
        "version": 4,
        "signature": "none",
        "trits": trit_count(base),
        "affine_entries": sum(layer.multiplier.size for layer in base.layers),
    }
    assert count > 0 and entries > 0


def everything_changed(network: Network) -> Network:
    values = changed(network, 0, 1.0)
    layers = {}
    for layer in values.layers:
        layers[layer.name] = replace(layer, multiplier=layer.multiplier ^ 1, bias=layer.bias ^ 1)
    return values.with_layers(layers)


@pytest.mark.parametrize("seed", range(6))
def test_a_full_update_is_the_patch_that_changes_everything(seed: int) -> None:
    network = any_network(seed) if seed < 4 else tiny_network(seed)
    data = diff(network, everything_changed(network), 1)
    assert full_update_bytes(network) == len(data)
    count, channels = trit_count(network), sum(layer.multiplier.size for layer in network.layers)
    assert len(data) == HEADER_BYTES + -(-count // 5) + 8 * channels + -(-channels // 8)


def test_a_patch_for_another_network_or_version_is_refused() -> None:
    base, other = tiny_network(0), tiny_network(1)
    data = diff(base, changed(base, 1, 0.1), 3)
    with pytest.raises(PatchError, match=f"made for network {network_digest(base)[:16]}"):
        apply_to_network(other, data)
    with pytest.raises(PatchError, match="made for network"):
        apply_to_network(apply_to_network(base, data), data)
    for present in (3, 4):
        with pytest.raises(PatchError, match=f"version is 3; it must be higher than the present {present}"):
            apply_to_network(replace(base, provenance={"version": present}), data)
    assert network_version(apply_to_network(replace(base, provenance={"version": 2}), data)) == 3
    with pytest.raises(PatchError, match="version is 2"):
        diff(replace(base, provenance={"version": 2}), base, 2)
    with pytest.raises(PatchError, match="version is 0"):
        diff(base, base, 0)
    for wrong in (True, -1, "1", 1.0):
        with pytest.raises(NetworkError, match="provenance version is"):
            network_version(replace(base, provenance={"version": wrong}))
    assert network_version(base) == 0


def test_composing_needs_patches_that_meet() -> None:
    a = tiny_network()
    b, c = changed(a, 1, 0.2), changed(a, 2, 0.2)
    with pytest.raises(PatchError, match="do not meet"):
        compose(diff(a, b, 1), diff(c, b, 2))
    with pytest.raises(PatchError, match="version is 2; it must be higher than the present 2"):
        compose(diff(a, b, 2), diff(b, c, 2))
    with pytest.raises(PatchError, match="version is 2"):
        reverse(diff(a, b, 2), 2)
    ours = read_patch(diff(a, b, 1))
    for sizes in ({"trits": ours.trits + 1}, {"affine_channels": ours.affine_channels + 1}):
        with pytest.raises(PatchError, match="do not meet"):
            compose(write_patch(ours), write_patch(replace(read_patch(diff(b, c, 2)), **sizes)))


def test_every_damage_is_noticed() -> None:
    base = tiny_network()
    data = diff(base, changed(base, 1, 0.2, 0.2), 1)
    for place in range(len(data)):
        for mask in (1, 0x40, 0xFF):
            with pytest.raises(PatchError):
                read_patch(data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :])
        with pytest.raises(PatchError):
            read_patch(data[:place])
    with pytest.raises(PatchError):
        read_patch(data + b"\0")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10), st.data())
def test_a_well_sealed_forgery_is_refused_or_canonical(seed: int, data: st.DataObject) -> None:
    """Bytes of sections changed under right checksums: refused, or the one file of the steps that they tell."""
    from tritforge.patches.file import read_patch_file, write_patch_file

    base = tiny_network(seed)
    good = diff(base, changed(base, seed, 0.2, 0.2), 1)
    file = read_patch_file(good)
    index = data.draw(st.integers(0, 2))
    section = bytearray(file.sections[index])
    if not section:
        return
    section[data.draw(st.integers(0, len(section) - 1))] ^= data.draw(st.integers(1, 255))
    sections = (*file.sections[:index], bytes(section), *file.sections[index + 1 :])
    forged = write_patch_file(replace(file, sections=sections))
    try:
        patch = read_patch(forged)
    except PatchError:
        return
    assert write_patch(patch) == forged
    with pytest.raises(PatchError, match="its result is"):
        apply_to_network(base, forged)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"trits": 10_000}, "claims a network of 10000 trits"),
        ({"affine_channels": 999}, "and 999 affine entries; this one has"),
        ({"changed_trits": 1 << 31}, "claims 2147483648 trits"),
        ({"changed_entries": 1 << 31}, "and 2147483648 entries; too many"),
    ],
)
def test_claims_are_held_against_the_network_first(fields: dict[str, Any], words: str) -> None:
    from tritforge.patches.file import read_patch_file, write_patch_file

    base = tiny_network()
    file = read_patch_file(diff(base, changed(base, 1, 0.1, 0.1), 1))
    with pytest.raises(PatchError, match=words):
        apply_to_network(base, write_patch_file(replace(file, **fields)))


def test_a_wrong_result_digest_is_noticed() -> None:
    base = tiny_network()
    patch = read_patch(diff(base, changed(base, 1, 0.1), 1))
    with pytest.raises(PatchError, match="not 0000000000000000 as it says"):
        apply_to_network(base, write_patch(replace(patch, result_digest="0" * 64)))


def test_a_result_that_is_no_network_is_told() -> None:
    base = tiny_network()
    patch = read_patch(diff(base, base, 1))
    fc = patch.affine_channels - 1
    forged = replace(
        patch, entries=np.array([fc]), multiplier_steps=np.array([2**15 - 5]), bias_steps=np.array([2**47 - 10**6])
    )
    with pytest.raises(PatchError, match="no valid network: layer fc: logits up to"):
        apply_to_network(base, write_patch(forged))


def test_changes_are_checked_together_not_one_after_the_other() -> None:
    """Old affine values with new trits alone would overflow the logits."""
    base = tiny_network()
    fc = base.layer("fc")
    signs = np.where(np.arange(10) % 2, 1, -1) * np.ones((4, 1), dtype=np.int64)
    bitmap = np.ones((4, 1), dtype=bool)
    few = signs * (np.arange(10) < 1)
    room = 2**47 - 1 - 2**15 * 255
    ternary = replace(fc, weight_bits=2, stored=bitmap, active=(bitmap,), multiplier=np.full(4, -(2**15)))
    one = base.with_layers({"fc": replace(ternary, weights=_as_weights(few), bias=np.full(4, room))})
    other = base.with_layers({"fc": replace(ternary, weights=_as_weights(signs), bias=np.full(4, 5))})
    assert same(apply_to_network(one, diff(one, other, 1)), other)
    assert same(apply_to_network(other, diff(other, one, 1)), one)


def _as_weights(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int16).reshape(4, 10, 1, 1)


def spoiled(layer: str, field: str, change: Callable[[Any], Any]) -> Callable[[Network], Network]:
    return lambda network: network.with_layers(
        {layer: replace(network.layer(layer), **{field: change(getattr(network.layer(layer), field))})}
    )


OTHER_FRAMES: list[tuple[Callable[[Network], Network], str]] = [
    (spoiled("first", "shift", lambda x: 5), "layer first: shift differs, 3 and 5"),
    (spoiled("second", "residual_multiplier", lambda x: 5), "layer second: residual_multiplier differs"),
    (spoiled("stem", "weights", lambda x: -x), "layer stem: multi-bit weights differ"),
    (spoiled("first", "stored", np.ones_like), "layer first: stored bitmaps differ"),
    (spoiled("pool", "shift", lambda x: 1), "layer pool: shift differs"),
    (lambda network: replace(network, activation_bits=16), "^activation_bits differs, 8 and 16"),
    (lambda network: replace(network, input=replace(network.input, zero_point=(7, 201))), "^input differs"),
    (lambda network: grouped_network(2), "group_channels differs, 4 and 2"),
]


@pytest.mark.parametrize(("spoil", "words"), OTHER_FRAMES, ids=[case[1] for case in OTHER_FRAMES])
def test_what_a_patch_cannot_carry_is_named(spoil: Callable[[Network], Network], words: str) -> None:
    base = tiny_network()
    with pytest.raises(PatchError, match=words):
        diff(base, spoil(base), 1)


def test_active_bitmaps_are_frozen() -> None:
    base = tiny_network()
    first = base.layer("first")
    fewer = first.active[0] & (np.arange(6) > 2)[:, None]  # type: ignore[union-attr]
    with pytest.raises(PatchError, match="layer first: active bitmaps differ"):
        diff(base, base.with_layers({"first": replace(first, active=(fewer,))}), 1)


def test_another_number_of_layers_is_named() -> None:
    base = tiny_network()
    stem, first, second, pool, fc = base.layers
    without = replace(
        base,
        layers=(
            stem,
            first,
            replace(pool, input="first", multiplier=np.ones(6, np.int64), bias=np.ones(6, np.int64)),
            replace(fc, weights=fc.weights[:, :6]),
        ),
    )  # type: ignore[union-attr]
    with pytest.raises(PatchError, match="differs"):
        diff(base, without, 1)
    longer = replace(
        base, layers=(*base.layers[:-1], replace(pool, name="pool2", input="pool"), replace(fc, input="pool"))
    )
    with pytest.raises(PatchError, match="differs"):
        diff(base, longer, 1)
