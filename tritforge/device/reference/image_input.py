"""Images on the stream and in the two buffers (``image_input.sv``), each whole: an image comes in at once."""

from __future__ import annotations

import numpy as np

from tritforge.device.reference.core import Core
from tritforge.device.reference.registers import Registers
from tritforge.device.streams import Beats
from tritforge.overlay import register_map as rm

BUFFERS = 2


class ImageInput:
    """The stream's beats that have not been taken, and which buffers hold an image that has not ended.

    Attributes:
        full: by buffer, whether it holds an image.
        last: by buffer, whether its image carried TLAST.
    """

    def __init__(self, core: Core, registers: Registers) -> None:
        self._core, self._registers = core, registers
        self._beats: Beats = np.zeros(0, dtype=np.uint64)
        self._lasts = np.zeros(0, dtype=np.bool_)
        self.full, self.last = [False] * BUFFERS, [False] * BUFFERS
        self._buffer = self._images = 0

    def send(self, beats: Beats, last: bool) -> None:
        """Put beats on the stream, with TLAST on the last of them where ``last`` says so."""
        marks = np.zeros(beats.size, dtype=np.bool_)
        marks[-1:] = last
        self._beats, self._lasts = np.concatenate([self._beats, beats]), np.concatenate([self._lasts, marks])

    @property
    def takes(self) -> bool:
        """Whether an image, whole or cut off by TLAST, may come in."""
        return not self.full[self._buffer] and self._length() > 0

    def take(self) -> None:
        """Take the next image; one that TLAST cuts off is dropped, and told."""
        count = self._length()
        beats, last = self._beats[:count], bool(self._lasts[count - 1])
        self._beats, self._lasts = self._beats[count:], self._lasts[count:]
        due = self._registers.batch and self._images + 1 >= self._registers.batch
        self._images = 0 if last or due else self._images + 1
        if count < self._core.beats_per_image():
            self._registers.tell(rm.EVENTS_EARLY_LAST)
            return
        if due and not last:
            self._registers.tell(rm.EVENTS_LATE_LAST)
        self._core.put_image(self._buffer, beats)
        self.full[self._buffer], self.last[self._buffer] = True, last
        self._buffer ^= 1

    def flush(self) -> None:
        """Drop the images in the buffers; what is on the stream stays there."""
        self.full = [False] * BUFFERS
        self._buffer = self._images = 0

    def _length(self) -> int:
        """Beats of the next image, as far as TLAST lets it come; 0 while it is not all there."""
        whole = self._core.beats_per_image()
        ends = np.flatnonzero(self._lasts[:whole])
        if ends.size:
            return int(ends[0]) + 1
        return whole if self._beats.size >= whole else 0
