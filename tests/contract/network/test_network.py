from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from network_samples import any_network, grouped_network, tiny_network

from tritforge.errors import NetworkError
from tritforge.network.arithmetic import output_size
from tritforge.network.kinds.average_pool import AveragePool
from tritforge.network.kinds.convolution import Convolution, residual_stride, uncentred_bias
from tritforge.network.layer import InputSpec
from tritforge.network.network import Network, compression_rate, group_sparsity
from tritforge.network.pe_groups import group_weights


def broken(network: Network, layer: str, **fields: Any) -> Network:
    return network.with_layers({layer: replace(network.layer(layer), **fields)})


def patched(array: np.ndarray, index: Any, value: Any) -> np.ndarray:
    array = array.copy()
    array[index] = value
    return array


def test_shapes_follow_the_layers() -> None:
    network = tiny_network()
    assert network.shapes == {
        "input": (2, 4, 3),
        "stem": (3, 4, 3),
        "first": (6, 2, 2),
        "second": (10, 2, 2),
        "pool": (10, 1, 1),
        "fc": (4, 1, 1),
    }
    assert network.classes == 4
    assert [layer.name for layer in network.convolutions()] == ["stem", "first", "second", "fc"]
    assert [layer.name for layer in network.ternary_layers()] == ["first", "second"]


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("stride", [1, 2])
def test_output_size_counts_the_windows(size: int, stride: int) -> None:
    assert output_size(size, stride) == len(range(0, size, stride))


def test_group_sparsity_counts_zero_groups_of_ternary_layers() -> None:
    for seed in range(6):
        network = any_network(seed)
        groups = [group_weights(layer.weights, network.group_channels) for layer in network.ternary_layers()]
        zero = sum(not g.any() for rows in groups for row in rows for g in row)
        assert group_sparsity(network) == pytest.approx(zero / max(sum(g.shape[0] * g.shape[1] for g in groups), 1))
    assert compression_rate(0.5) == 32.0
    assert compression_rate(0.0, 8) == 4.0
    assert compression_rate(1.0) == float("inf")


def test_layers_are_found_and_replaced_by_name() -> None:
    network = tiny_network()
    pool = network.layer("pool")
    assert isinstance(pool, AveragePool)
    changed = network.with_layers({"pool": replace(pool, shift=1)})
    assert changed.layer("pool").shift == 1 and network.layer("pool").shift == 2
    with pytest.raises(NetworkError, match="'nothing'.*stem, first"):
        network.layer("nothing")


LIMIT_CASES = [
    ("first", "multiplier", 2**15 - 1, 2**15, "16 signed"),
    ("first", "multiplier", -(2**15), -(2**15) - 1, "16 signed"),
    ("pool", "bias", 2**47 - 1, 2**47, "48 signed"),
    ("pool", "bias", -(2**47), -(2**47) - 1, "48 signed"),
]


@pytest.mark.parametrize(("layer", "field", "allowed", "refused", "words"), LIMIT_CASES)
def test_affine_integers_keep_their_width(layer: str, field: str, allowed: int, refused: int, words: str) -> None:
    network = tiny_network()
    values = getattr(network.layer(layer), field)
    broken(network, layer, **{field: patched(values, 0, allowed)})
    with pytest.raises(NetworkError, match=f"{layer}: {field}.*{words}"):
        broken(network, layer, **{field: patched(values, 0, refused)})


WRONG_LAYERS: list[tuple[str, dict[str, Any], str]] = [
    ("first", {"shift": 32}, "first: shift is 32"),
    ("pool", {"shift": -1}, "pool: shift is -1"),
    ("first", {"stride": 3}, "first: stride is 3"),
    ("first", {"stride": 0}, "first: stride is 0"),
    ("stem", {"weight_bits": 10}, "stem: weight_bits is 10"),
    ("stem", {"weight_bits": 1}, "stem: weight_bits is 1"),
    ("stem", {"weight_bits": 4}, "stem: a weight of"),
    ("second", {"residual_multiplier": 2**16}, "residual multiplier 65536"),
    ("second", {"residual_multiplier": -1}, "residual multiplier -1"),
    ("second", {"residual": "later"}, "residual 'later' is no earlier map"),
    ("second", {"residual": "stem"}, "residual stem of shape"),
    ("second", {"residual": "input"}, "pool or residual over the input needs zero points"),
    ("second", {"input": "later"}, "reads 'later'"),
    ("second", {"input": "stem"}, "weights take 6 channels, its input stem has 3"),
    ("second", {"name": "first"}, "first: the name is used twice"),
    ("second", {"name": "input"}, "input: the name is used twice"),
    ("fc", {"logits": False}, "fc: exactly the last layer"),
    ("first", {"logits": True, "shift": 0}, "first: logits take no residual"),
    ("fc", {"shift": 1}, "fc: logits take"),
    ("fc", {"residual": "pool"}, "fc: logits take"),
    ("fc", {"input": "second"}, "fc: logits need a 1x1 map"),
    ("first", {"stored": None}, "first: a ternary layer needs"),
    ("first", {"active": ()}, "first: a ternary layer needs"),
    ("stem", {"stored": np.ones((3, 1), bool)}, "stem: bitmaps belong to ternary"),
    ("stem", {"active": (np.ones((3, 1), bool),)}, "stem: bitmaps belong to ternary"),
    ("first", {"multiplier": np.ones(5, np.int64)}, "first: multiplier and bias take 6"),
    ("first", {"bias": np.ones(7, np.int64)}, "first: multiplier and bias take 6"),
    ("pool", {"bias": np.ones(10, np.int32)}, "pool: bias is int32"),
    ("pool", {"multiplier": np.ones((10, 1), np.int64)}, "pool: multiplier is int64"),
    ("first", {"weights": np.zeros((6, 3, 3), np.int16)}, "first: weights are int16"),
    ("first", {"weights": np.zeros((6, 3, 3, 1), np.int16)}, "first: weights are int16"),
    ("first", {"weights": np.zeros((6, 3, 3, 3), np.int8)}, "first: weights are int8"),
    ("first", {"weights": np.zeros((6, 0, 3, 3), np.int16)}, "first: weights are int16"),
    ("first", {"weights": np.zeros((6, 3, 2, 2), np.int16)}, "2x2 cannot be grouped"),
    ("fc", {"multiplier": np.full(4, 2**15 - 1), "bias": np.full(4, -(2**47))}, "fc: logits up to"),
]


@pytest.mark.parametrize(("layer", "fields", "words"), WRONG_LAYERS, ids=[case[2] for case in WRONG_LAYERS])
def test_a_layer_that_breaks_a_rule_is_named(layer: str, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        broken(tiny_network(), layer, **fields)


WRONG_FRAMES: list[tuple[dict[str, Any], str]] = [
    ({"activation_bits": 9}, "activation_bits is 9"),
    ({"group_channels": 0}, "group_channels is 0"),
    ({"group_channels": 257}, "group_channels is 257"),
    ({"layers": ()}, "no layers"),
    ({"bits": 9}, "input.bits is 9"),
    ({"bits": 0}, "input.bits is 0"),
    ({"height": 0}, "input shape is 2x0x3"),
    ({"zero_point": (0,)}, "input.zero_point"),
    ({"zero_point": (0, 256)}, "0 to 255"),
    ({"zero_point": (-1, 0)}, "input.zero_point"),
]


@pytest.mark.parametrize(("fields", "words"), WRONG_FRAMES, ids=[case[1] for case in WRONG_FRAMES])
def test_a_frame_that_breaks_a_rule_is_named(fields: dict[str, Any], words: str) -> None:
    network = tiny_network()
    own = {key: value for key, value in fields.items() if hasattr(network, key)}
    image = replace(network.input, **{key: value for key, value in fields.items() if key not in own})
    with pytest.raises(NetworkError, match=words):
        replace(network, input=image, **own)


@pytest.mark.parametrize(("bits", "weight"), [(2, 1), (5, 15), (9, 255)])
def test_weights_keep_their_width_at_both_ends(bits: int, weight: int) -> None:
    network = tiny_network()
    stem = network.layer("stem")
    assert isinstance(stem, Convolution)
    bitmap = np.ones((3, 1), dtype=bool)
    extra: dict[str, Any] = {"stored": bitmap, "active": (bitmap,)} if bits == 2 else {}
    for value in (weight, -weight):
        broken(network, "stem", weights=np.full_like(stem.weights, value), weight_bits=bits, **extra)
    for value in (weight + 1, -weight - 1, -(2**15)):
        weights = patched(np.zeros_like(stem.weights), (0, 0, 0, 0), value)
        with pytest.raises(NetworkError, match="stem: a weight of"):
            broken(network, "stem", weights=weights, weight_bits=bits, **extra)


def test_bitmaps_nest() -> None:
    network = tiny_network()
    layer = network.layer("first")
    assert isinstance(layer, Convolution) and layer.stored is not None
    n, g = np.argwhere(layer.stored)[0]
    none = patched(layer.stored, (n, g), False)
    with pytest.raises(NetworkError, match=r"\[1, 2\] active bitmaps"):
        broken(network, "first", active=(layer.stored, none))
    with pytest.raises(NetworkError, match="first: an active group is not stored"):
        broken(network, "first", stored=none)
    with pytest.raises(NetworkError, match="first: a group that is not stored holds"):
        broken(network, "first", stored=none, active=(none,))
    with pytest.raises(NetworkError, match="first: the stored bitmap is"):
        broken(network, "first", stored=layer.stored[:-1])
    with pytest.raises(NetworkError, match="first: the active bitmap is"):
        broken(network, "first", active=(layer.stored.astype(np.uint8),))


def test_accumulators_and_logits_keep_their_width() -> None:
    network = tiny_network()
    fc = network.layer("fc")
    assert isinstance(fc, Convolution)
    sums = int(np.abs(fc.weights).sum(axis=(1, 2, 3)).max()) * 255
    room = 2**47 - 1 - sums * 2**15
    multiplier = np.full(4, -(2**15))
    broken(network, "fc", multiplier=multiplier, bias=np.full(4, room))
    with pytest.raises(NetworkError, match="fc: logits up to"):
        broken(network, "fc", multiplier=multiplier, bias=np.full(4, -room - 1))
    wide = replace(network.input, channels=40000, zero_point=(0,) * 40000)
    stem = network.layer("stem")
    weights = np.zeros((3, 40000, 1, 1), dtype=np.int16)
    weights[0, : (2**31 - 1) // (255 * 255)] = 255
    layers = (replace(stem, weights=weights, weight_bits=9), *network.layers[1:])
    replace(network, input=wide, layers=layers)
    weights[0, (2**31 - 1) // (255 * 255)] = -255
    with pytest.raises(NetworkError, match="stem: sums up to"):
        replace(network, input=wide, layers=layers)


def test_a_sum_of_2_to_the_31_leaves_the_accumulators() -> None:
    # With pixels of one bit a sum can be any number: 8421504 weights of 255 and one of 128.
    channels = 935723
    weights = np.zeros((1, channels, 3, 3), dtype=np.int16)
    weights.reshape(-1)[: 2**31 // 255] = -255
    weights.reshape(-1)[2**31 // 255] = -127
    one = np.ones(1, dtype=np.int64)
    stem = Convolution("stem", "input", weights, 9, 1, one, one, 0)
    image = InputSpec(channels, 1, 1, 1, (0,) * channels)
    Network(image, (stem, *_tail(1)), 8, 16)
    weights.reshape(-1)[2**31 // 255] = -128
    with pytest.raises(NetworkError, match=f"stem: sums up to {2**31} leave 32 accumulator bits"):
        Network(image, (stem, *_tail(1)), 8, 16)


@pytest.mark.parametrize(
    ("source", "shape", "expected"),
    [
        ((4, 5, 7), (4, 5, 7), (1, 0)),
        ((4, 5, 7), (8, 5, 7), (1, 2)),
        ((4, 5, 7), (8, 3, 4), (2, 2)),
        ((4, 1, 1), (6, 1, 1), (1, 1)),
        ((4, 5, 7), (7, 5, 7), None),
        ((4, 5, 7), (2, 5, 7), None),
        ((4, 5, 7), (4, 3, 7), None),
        ((4, 5, 7), (4, 5, 4), None),
    ],
)
def test_option_a_fits_or_is_refused(source: Any, shape: Any, expected: tuple[int, int] | None) -> None:
    layer = tiny_network().layer("first")
    assert isinstance(layer, Convolution)
    if expected is None:
        with pytest.raises(NetworkError, match="first: residual"):
            residual_stride(layer, source, shape)
    else:
        assert residual_stride(layer, source, shape) == expected


def test_the_uncentred_bias_serves_unsigned_pixels() -> None:
    network = tiny_network()
    stem, first = network.layer("stem"), network.layer("first")
    assert isinstance(stem, Convolution) and isinstance(first, Convolution)
    rng = np.random.default_rng(0)
    zero = np.array(network.input.zero_point)[:, None, None]
    folded = uncentred_bias(stem, network.input)
    for _ in range(5):
        window = rng.integers(0, 256, (2, 3, 3))
        centred = (stem.weights * (window - zero)).sum(axis=(1, 2, 3)) * stem.multiplier + stem.bias
        assert np.array_equal((stem.weights * window).sum(axis=(1, 2, 3)) * stem.multiplier + folded, centred)
    assert uncentred_bias(first, network.input) is first.bias


def test_the_uncentred_bias_keeps_its_width() -> None:
    network = tiny_network()
    stem = network.layer("stem")
    assert isinstance(stem, Convolution)
    shift = int((uncentred_bias(stem, network.input) - stem.bias)[0])
    assert shift != 0
    edge = -(2**47) - shift if shift < 0 else 2**47 - 1 - shift
    broken(network, "stem", bias=patched(stem.bias, 0, edge))
    with pytest.raises(NetworkError, match="stem: the input's zero points take the bias out"):
        broken(network, "stem", bias=patched(stem.bias, 0, edge + (1 if shift > 0 else -1)))


def test_both_ends_of_every_range_are_taken() -> None:
    network = tiny_network()
    broken(network, "first", shift=31)
    for lanes in (1, 256):
        assert grouped_network(lanes).group_channels == lanes
    first = network.layer("first")
    assert isinstance(first, Convolution) and first.residual_multiplier == 0 and not first.logits
    stem = network.layer("stem")
    assert isinstance(stem, Convolution)
    weights = np.zeros_like(stem.weights)
    weights[:, 0] = -1
    fold = 9 * 7 * 2
    multiplier = np.full(3, 2)
    broken(network, "stem", weights=weights, multiplier=multiplier, bias=np.full(3, 2**47 - 1 - fold))
    with pytest.raises(NetworkError, match="stem: the input's zero points"):
        broken(network, "stem", weights=weights, multiplier=multiplier, bias=np.full(3, 2**47 - fold))


def test_inner_layers_sum_activations_not_pixels() -> None:
    network = tiny_network()
    rows = {"multiplier": np.ones(140, np.int64), "bias": np.zeros(140, np.int64)}
    stem = replace(network.layers[0], weights=np.ones((140, 2, 1, 1), np.int16), **rows)
    wide = replace(
        network.layers[0],
        name="wide",
        input="stem",
        weights=np.full((3, 140, 1, 1), 255, np.int16),
        weight_bits=9,
    )
    layers = (stem, wide, *_tail(3, "wide"))
    Network(network.input, layers, 8, 16)
    with pytest.raises(NetworkError, match="wide: sums up to"):
        Network(network.input, layers, 16, 16)


def _tail(channels: int, source: str = "stem") -> tuple[AveragePool, Convolution]:
    """Pool and logits over a map of so many channels."""
    pool, fc = tiny_network().layers[-2:]
    assert isinstance(pool, AveragePool) and isinstance(fc, Convolution)
    ones = np.ones(channels, dtype=np.int64)
    return replace(pool, input=source, multiplier=ones, bias=ones), replace(fc, weights=fc.weights[:, :channels])
