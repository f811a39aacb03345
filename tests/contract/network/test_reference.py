from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_samples import any_network, tiny_network

from tritforge.errors import NetworkError
from tritforge.network.arithmetic import convolve
from tritforge.network.kinds.average_pool import AveragePool
from tritforge.network.kinds.convolution import Convolution, active_weights
from tritforge.network.network import Network
from tritforge.network.reference import classify, logits, run, run_layer
from tritforge.samples.random_network import KINDS, random_images, random_layer_network


def directly(network: Network, layer: Convolution | AveragePool, maps: dict[str, np.ndarray], n: int) -> np.ndarray:
    """Channel ``n`` of a layer's map for the first image, in Python integers, straight from the definitions."""
    source = maps[layer.input][0].astype(object)
    top = 2**network.activation_bits - 1
    m, b, s = int(layer.multiplier[n]), int(layer.bias[n]), layer.shift
    half = 2**s // 2

    def requantised(value: int) -> int:
        return min(max((value + half) // 2**s, 0), top)

    if isinstance(layer, AveragePool):
        return np.array([[requantised(m * int(source[n].sum()) + b)]])
    zero = network.input.zero_point if layer.input == "input" else (0,) * source.shape[0]
    pad = layer.kernel // 2
    channels, height, width = source.shape
    rows = []
    for y in range(0, height, layer.stride):
        row = []
        for x in range(0, width, layer.stride):
            total = 0
            for c, i, j in np.ndindex(channels, layer.kernel, layer.kernel):
                group = c // (network.group_channels * (9 if layer.kernel == 1 else 1))
                issued = not layer.ternary or bool(layer.active[0][n, group])
                yy, xx = y + i - pad, x + j - pad
                pixel = source[c, yy, xx] if 0 <= yy < height and 0 <= xx < width else zero[c]
                total += int(layer.weights[n, c, i, j]) * (int(pixel) - zero[c]) * issued
            value = m * total + b
            if layer.logits:
                row.append(value)
                continue
            if layer.residual is not None:
                other = maps[layer.residual][0]
                step = 1 if -(-other.shape[1] // 1) == -(-height // layer.stride) else 2
                c = n - (layer.outputs - other.shape[0]) // 2
                if 0 <= c < other.shape[0]:
                    place = y // layer.stride * step, x // layer.stride * step
                    value += layer.residual_multiplier * int(other[c][place])
            row.append(requantised(value))
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_kind_of_layer_is_its_definition(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = (3, 4) if seed else (4, 3)
    channels = None if kind.startswith("stem") else 16
    network = random_layer_network(
        rng, kind, size=size, channels=channels, outputs=16 if "opt" not in kind else 32, group_channels=16
    )
    maps = run(network, random_images(rng, network, 1))
    for layer in network.layers:
        count = maps[layer.name].shape[1]
        for n in {0, 1, count // 4, count // 2, count - 1} & set(range(count)):
            assert np.array_equal(maps[layer.name][0, n], directly(network, layer, maps, n)), (layer.name, n)


def test_a_small_network_is_its_definition_in_every_channel() -> None:
    for seed in range(4):
        network = tiny_network(seed)
        maps = run(network, random_images(np.random.default_rng(seed), network, 1))
        for layer in network.layers:
            for n in range(maps[layer.name].shape[1]):
                assert np.array_equal(maps[layer.name][0, n], directly(network, layer, maps, n)), (layer.name, n)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 3]), st.data())
def test_convolve_is_the_sum_over_taps(b: int, n: int, h: int, w: int, kernel: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    stride = data.draw(st.sampled_from([1, 2]))
    source = rng.integers(-65535, 65536, (b, 2, h, w))
    weights = rng.integers(-255, 256, (n, 2, kernel, kernel))
    result = convolve(source, weights, stride)
    padded = np.zeros((b, 2, h + 2, w + 2), dtype=np.int64)
    padded[:, :, 1:-1, 1:-1] = source
    offset = 1 - kernel // 2
    assert result.shape == (b, n, -(-h // stride), -(-w // stride)) and result.dtype == np.int64
    for k, m, y, x in np.ndindex(result.shape):
        top, left = y * stride + offset, x * stride + offset
        window = padded[k, :, top : top + kernel, left : left + kernel]
        assert result[k, m, y, x] == (window * weights[m]).sum()


def test_a_batch_is_its_images_one_by_one() -> None:
    network = any_network(3)
    images = random_images(np.random.default_rng(0), network, 5)
    together = logits(network, images)
    for index in range(5):
        assert np.array_equal(logits(network, images[index : index + 1])[0], together[index])


def test_only_active_groups_count() -> None:
    network = tiny_network()
    layer = network.layer("first")
    assert isinstance(layer, Convolution) and layer.stored is not None
    half = layer.stored.copy()
    half[::2] = False
    other = network.layer("second")
    assert isinstance(other, Convolution)
    twice = replace(other, active=other.active * 2)
    both = network.with_layers({"first": replace(layer, active=(layer.stored, half)), "second": twice})
    emptied = layer.weights.copy()
    emptied[::2] = 0
    pruned = network.with_layers({"first": replace(layer, weights=emptied)})
    images = random_images(np.random.default_rng(1), network, 2)
    assert np.array_equal(logits(both, images, active=1), logits(pruned, images))
    assert np.array_equal(logits(both, images), logits(network, images))
    assert not np.array_equal(run(both, images, active=1)["first"], run(network, images)["first"])
    assert np.array_equal(active_weights(layer, 4), layer.weights)
    for active in (-1, 2):
        with pytest.raises(NetworkError, match=f"bitmap {active} .* has 2"):
            logits(both, images, active)


def test_ties_go_to_the_lowest_class() -> None:
    network = tiny_network()
    fc = network.layer("fc")
    tied = replace(fc, multiplier=np.zeros(4, dtype=np.int64), bias=np.array([1, 5, 5, 2]))
    images = random_images(np.random.default_rng(1), network, 3)
    assert classify(network.with_layers({"fc": tied}), images).tolist() == [1, 1, 1]


def test_the_residual_enters_before_the_rounding() -> None:
    network = tiny_network()
    maps = run(network, random_images(np.random.default_rng(0), network, 1))
    second = network.layer("second")
    assert isinstance(second, Convolution)
    without = run_layer(network, replace(second, residual=None), maps)
    assert not np.array_equal(without, maps["second"])


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((1, 2, 3, 4), np.int64), "images have shape"),
        (np.zeros((2, 4, 3), np.int64), "images have shape"),
        (np.full((1, 2, 4, 3), 256), "256"),
        (np.full((1, 2, 4, 3), -1), "-1"),
    ],
)
def test_images_of_another_shape_or_range_are_refused(images: np.ndarray, words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        run(tiny_network(), images)


def test_both_ends_of_the_pixel_range_are_taken() -> None:
    assert run(tiny_network(), np.full((1, 2, 4, 3), 255))["fc"].shape == (1, 4, 1, 1)
    assert run(tiny_network(), np.zeros((0, 2, 4, 3), np.int64))["fc"].shape == (0, 4, 1, 1)
