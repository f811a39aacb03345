from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritforge.device.streams import Result, beat_lanes, image_beats, result_of

LOGIT = st.integers(-(2**47), 2**47 - 1)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3, 4, 16])
def test_a_beat_carries_four_lanes_of_a_pixel(bits: int, channels: int) -> None:
    rng = np.random.default_rng(channels)
    images = rng.integers(0, 1 << bits, (2, channels, 3, 5))
    beats = image_beats(images, bits)
    blocks = -(-channels // 4)
    assert beats.dtype == np.uint64 and beats.shape == (2, 15 * blocks)
    for image in range(2):
        for index, beat in enumerate(beats[image].tolist()):
            pixel, block = divmod(index, blocks)
            y, x = divmod(pixel, 5)
            lanes = [beat >> bits * lane & ((1 << bits) - 1) for lane in range(4)]
            expected = [int(images[image, c, y, x]) for c in range(4 * block, min(4 * block + 4, channels))]
            assert lanes == expected + [0] * (4 - len(expected))
            assert beat >> 4 * bits == 0
            assert beat_lanes(beats[image], bits)[index].tolist() == lanes


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.lists(LOGIT, min_size=1, max_size=9), st.booleans())
def test_a_result_is_its_header_and_its_logits(sequence: int, version: int, logits: list[int], last: bool) -> None:
    beats = [version << 32 | sequence, *(logit % 2**64 for logit in logits)]
    assert result_of(beats, 77, last) == Result(sequence, version, tuple(logits), 77, last)
