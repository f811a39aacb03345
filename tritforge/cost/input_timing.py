"""When the pixels of a row of images come in: the image input's part of :mod:`tritforge.cost.cycle_model`.

A word of a feature map is collected from one or more beats of the stream and written in the first cycle in which no
windows are read; the beat that completes the next word waits for that, the ones before it do not (``image_input`` and
``feature_map`` of ``rtl/hdl``).
"""

from __future__ import annotations

from collections import deque


class InputTiming:
    """The image input between a stream that always has a beat and the feature maps.

    Args:
        words: feature-map words of an image.
        beats: beats of a word.
        reads: cycles in which windows are read, as stretches ``(begin, end)`` in order; what lies behind is taken off.
    """

    def __init__(self, words: int, beats: int, reads: deque[tuple[int, int]]) -> None:
        self._words, self._beats, self._reads = words, beats, reads
        # The last beat that came and the last word that was written: those of the first image, which comes alone.
        self._came, self._written = 0, 1

    def image(self, free: int) -> tuple[int, int]:
        """The next image, whose buffer takes beats from cycle ``free`` on.

        All window reads before its end must have been told.

        Returns:
            The cycles of its first beat and of its last word's write.
        """
        first = max(self._came + 1, free)
        self._came = first - 1
        for _ in range(self._words):
            self._came = max(self._came + self._beats, self._written)
            self._written = self._unread(self._came + 1)
        return first, self._written

    def _unread(self, cycle: int) -> int:
        """The first cycle from ``cycle`` on, which never goes back, in which no windows are read."""
        while self._reads and self._reads[0][0] <= cycle:
            cycle = max(cycle, self._reads.popleft()[1])
        return cycle
