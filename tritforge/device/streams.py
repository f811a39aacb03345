"""The accelerator's streams: images as beats, beats as results.

An image's beats carry four channel lanes of a pixel, lane 0 lowest; pixels come in raster order, the channel blocks of
a pixel one after the other. A result is a beat ``{version, sequence}``, then each logit sign-extended to 64 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

BEAT_LANES = 4
"""Channels of a pixel in a beat of the image stream."""

Beats = NDArray[np.uint64]


@dataclass(frozen=True)
class Result:
    """A result packet.

    Attributes:
        sequence: number of the image since the last reset, modulo 2**32.
        version: network version in force when the image started.
        logits: one a class.
        cycle: clock cycle of the last beat, by the clock of whoever took it.
        last: TLAST came with it: it closes a batch.
    """

    sequence: int
    version: int
    logits: tuple[int, ...]
    cycle: int
    last: bool


class Streams(Protocol):
    """Both streams of an accelerator."""

    def run(self, images: Beats, classes: int) -> list[Result]:
        """Send images ``(images, beats)`` back to back, with TLAST on the last beat of all, and take their results.

        Raises:
            DeviceError: a result did not come.
        """
        ...


def image_beats(images: ArrayLike, activation_bits: int) -> Beats:
    """Beats ``(images, beats)`` of images ``(images, channels, height, width)`` of unsigned pixels."""
    pixels = np.asarray(images)
    count, channels, height, width = pixels.shape
    blocks = -(-channels // BEAT_LANES)
    lanes = np.zeros((count, height, width, blocks * BEAT_LANES), dtype=np.uint64)
    lanes[..., :channels] = pixels.transpose(0, 2, 3, 1)
    quads = lanes.reshape(count, height * width * blocks, BEAT_LANES)
    places = np.uint64(activation_bits) * np.arange(BEAT_LANES, dtype=np.uint64)
    return np.bitwise_or.reduce(quads << places, axis=2)


def beat_lanes(beats: Beats, activation_bits: int) -> NDArray[np.int64]:
    """The four channel lanes of each beat, ``(..., 4)``: inverse of :func:`image_beats` but for its order."""
    places = np.uint64(activation_bits) * np.arange(BEAT_LANES, dtype=np.uint64)
    return ((beats[..., None] >> places) & np.uint64((1 << activation_bits) - 1)).astype(np.int64)


def result_of(beats: ArrayLike, cycle: int, last: bool) -> Result:
    """The result that the beats of a packet carry."""
    words = np.asarray(beats, dtype=np.uint64)
    header = int(words[0])
    logits = tuple(words[1:].astype(np.int64).tolist())
    return Result(header & 0xFFFFFFFF, header >> 32, logits, cycle, last)
