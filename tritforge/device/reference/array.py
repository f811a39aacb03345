"""The image in the array, layer by layer: its values by the core, its cycles by the cycle model, and both counted."""

from __future__ import annotations

from dataclasses import dataclass

from tritforge.cost.core_timing import LayerTimes
from tritforge.device.reference.core import Core
from tritforge.device.reference.image_input import ImageInput
from tritforge.device.reference.timing import COUNTED_LAYERS, Counters, RowTiming
from tritforge.device.streams import Result

SEQUENCE_MASK = 0xFFFFFFFF
LAYER_COUNT_MASK = 0xFFFFFF


@dataclass
class ImageInArray:
    """An image between its start and its end; ``began`` is the cycle of the device in which its row began."""

    sequence: int
    version: int
    buffer: int
    times: list[LayerTimes]
    began: int
    layers_done: int = 0
    logits: tuple[int, ...] = ()


class Array:
    """Images one after the other.

    Attributes:
        image: the image that is being computed.
        clock: cycles of the device so far; others let it go on as well.
    """

    def __init__(self, core: Core, images: ImageInput, counters: Counters, timing: RowTiming) -> None:
        self._core, self._images, self._counters, self._timing = core, images, counters, timing
        self.clock = 0
        self.reset()

    def reset(self) -> None:
        """Drop what is being computed; the next image is the first, in the first buffer."""
        self.image: ImageInArray | None = None
        self._sequence = 0
        self.empty()

    def empty(self) -> None:
        """The images that wait are dropped."""
        self._images.flush()
        self._buffer = 0
        self.pause()

    def pause(self) -> None:
        """The next image does not follow the last one at once: a row of images begins with it."""
        self._in_row, self._row_ended, self._row_began = 0, 0, 0

    @property
    def may_start(self) -> bool:
        """Whether the array is free and an image is there."""
        return self.image is None and self._images.full[self._buffer]

    @property
    def layer_is_due(self) -> bool:
        """Whether the image has a layer left."""
        return self.image is not None and self.image.layers_done < len(self.image.times)

    @property
    def image_is_done(self) -> bool:
        """Whether the image has none left."""
        return self.image is not None and not self.layer_is_due

    def start(self, version: int) -> None:
        """Let the next image enter, under this network version."""
        times = self._timing.image(self._in_row)
        if self._in_row == 0:
            self._row_began = self.clock - times[0].enters
        self.image = ImageInArray(self._sequence, version, self._buffer, times, self._row_began)
        self._sequence = (self._sequence + 1) & SEQUENCE_MASK
        self._buffer ^= 1
        self._in_row += 1
        self._counters.add(images_started=1)

    def layer(self) -> None:
        """Compute the next layer."""
        image = self.image
        assert image is not None
        index, times = image.layers_done, image.times[image.layers_done]
        logits = self._core.layer(index, image.buffer)
        if logits is not None:
            image.logits = tuple(logits.tolist())
        image.layers_done += 1
        fields = self._core.layer_fields(index)
        shape_groups = fields["tiles_y"] * fields["tiles_x"] * fields["skippable_groups"]
        before = image.times[index - 1].done if index else max(self._row_ended, times.enters)
        counts = times.done - before, times.issued, times.stall_windows, times.stall_accumulators
        self._counters.layers[index % COUNTED_LAYERS] = [count & LAYER_COUNT_MASK for count in counts]
        self._counters.add(
            busy_cycles=counts[0],
            groups_issued=times.issued,
            groups_skipped=shape_groups - times.issued,
            stall_windows=times.stall_windows,
            stall_accumulators=times.stall_accumulators,
            stall_schedule=counts[0] - times.issued - times.stall_windows - times.stall_accumulators,
        )
        self.clock = max(self.clock, image.began + times.done)

    def finish(self) -> Result:
        """Let the image leave; gives its result."""
        image = self.image
        assert image is not None
        self.image, ended = None, image.times[-1].done
        self._counters.add(images_done=1)
        self._counters.count["last_latency"] = ended - image.times[0].enters
        last = self._images.last[image.buffer]
        self._images.full[image.buffer] = False
        self._row_ended = ended
        if not self._images.full[self._buffer]:
            self.pause()
        return Result(image.sequence, image.version, image.logits, self.clock, last)
