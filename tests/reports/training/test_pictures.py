from __future__ import annotations

import io

import numpy as np
import pytest
from network_samples import convolution, trits
from page_reader import decode_png

from tritforge.network.pe_groups import group_weights, nonzero_groups
from tritforge.reports.drawing.bars import Bar, scaled
from tritforge.reports.drawing.layer_mosaic import SQUARE, layer_mosaic
from tritforge.reports.drawing.memory_map import COLUMNS, PITCH, memory_map
from tritforge.reports.drawing.palette import BLUE, ORANGE
from tritforge.reports.drawing.png import encode_png


def random_pixels(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 4)).astype(np.uint8)


def test_a_png_holds_its_pixels() -> None:
    pixels = random_pixels(7, 5)
    assert np.array_equal(decode_png(encode_png(pixels)), pixels)


def test_another_reader_understands_the_png() -> None:
    from matplotlib.image import imread

    pixels = random_pixels(6, 9)
    assert np.array_equal(np.rint(imread(io.BytesIO(encode_png(pixels))) * 255), pixels)


def test_other_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="RGBA|height, width, 4"):
        encode_png(np.zeros((2, 2, 3), dtype=np.uint8))


@pytest.mark.parametrize("shape", [(16, 16, 3, 3), (32, 40, 3, 3), (8, 300, 1, 1)])
def test_every_trit_can_be_read_from_the_mosaic(shape: tuple[int, int, int, int]) -> None:
    rng = np.random.default_rng(1)
    layer = convolution("layer", "input", trits(rng, shape, 16), group_channels=16)
    pixels = layer_mosaic(layer, 16)
    groups = group_weights(layer.weights, 16)
    outputs, count, taps, lanes = groups.shape
    assert pixels.shape == (count * (lanes + 1) - 1, outputs * (taps + 1) - 1, 4)
    for output in range(outputs):
        for group in range(count):
            tile = pixels[group * (lanes + 1) :, output * (taps + 1) :][:lanes, :taps]
            read = np.all(tile == BLUE, axis=2).astype(int) - np.all(tile == ORANGE, axis=2)
            assert np.array_equal(read.T, groups[output, group])


def test_zero_groups_look_unlike_all_others() -> None:
    rng = np.random.default_rng(2)
    layer = convolution("layer", "input", trits(rng, (16, 32, 3, 3), 16), group_channels=16)
    pixels, stored = layer_mosaic(layer, 16), nonzero_groups(layer.weights, 16)
    clear = [
        bool((pixels[group * 17 :, output * 10 :][:16, :9, 3] == 0).any()) for output in range(16) for group in range(2)
    ]
    assert np.array_equal(np.array(clear).reshape(16, 2), ~stored)
    assert 0 < (~stored).sum() < stored.size


def test_a_large_layer_shows_how_full_its_groups_are() -> None:
    weights = np.zeros((2, 32, 3, 3), dtype=int)
    weights[0, :16], weights[1, :1] = 1, -1
    pixels = layer_mosaic(convolution("layer", "input", weights, group_channels=16), 16, most_tiles=3)
    step = SQUARE + 1
    full, sparse, empty = pixels[0, 0], pixels[0, step], pixels[step : step + SQUARE, :SQUARE]
    assert full[3] == 255 > sparse[3] == round(55 + 200 * 9 / 144)
    assert (empty[..., 3] == 0).any()


@pytest.mark.parametrize("words", [1, 100, COLUMNS, 3 * COLUMNS + 5])
def test_the_memory_map_marks_exactly_the_changed_words(words: int) -> None:
    changed = sorted({0, words // 2, words - 1})
    pixels = memory_map(words, changed, [0, words // 3])
    rows, columns = np.nonzero(np.all(pixels[::PITCH, ::PITCH] == ORANGE, axis=2))
    assert (rows * COLUMNS + columns).tolist() == changed
    assert int((pixels[::PITCH, ::PITCH, 3] > 0).sum()) == words


def test_lengths_are_proportional_or_logarithmic() -> None:
    bars = [Bar("a", 10.0, "", ""), Bar("b", 1000.0, "", ""), Bar("c", 100.0, "", "")]
    assert [bar.length for bar in scaled(bars)] == [1.0, 100.0, 10.0]
    assert [bar.length for bar in scaled(bars, 2000.0)] == [0.5, 50.0, 5.0]
    assert [bar.length for bar in scaled(bars, decades_from=1.0)] == pytest.approx([100 / 3, 100, 200 / 3], abs=1e-3)
    assert scaled([Bar("tiny", 1.0, "", ""), *bars], decades_from=10.0)[0].length == 0.0
