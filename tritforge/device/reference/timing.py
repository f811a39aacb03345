"""When the layers of the reference device's images end, by the cycle model, and what the counters count."""

from __future__ import annotations

from tritforge.cost.core_timing import LayerTimes
from tritforge.cost.cycle_model import ImageRow
from tritforge.device.protocol import COUNTER_MODULUS, COUNTERS, LAYER_COUNTERS
from tritforge.device.reference.memories import ProgramMemories

COUNTED_LAYERS = 64
"""Layers with counters of their own; those beyond share them."""
NAMES = tuple(register.name.lower() for register in COUNTERS)


class RowTiming:
    """Times of images that follow each other without a pause; the row begins anew after one."""

    def __init__(self, memories: ProgramMemories) -> None:
        self._memories = memories
        self._row: ImageRow | None = None
        self._known: list[list[LayerTimes]] = []
        self._changes = -1

    def image(self, index: int) -> list[LayerTimes]:
        """Times of the layers of the image at ``index`` of a row, in cycles of the row."""
        if self._row is None or self._changes != self._memories.changes:
            self._row, self._known, self._changes = ImageRow(self._memories), [], self._memories.changes
        while len(self._known) <= index:
            self._known.append(self._row.image())
        return self._known[index]


class Counters:
    """The counters, their snapshot, and those of the layers of the last image.

    Attributes:
        count: counts by name; ``cycles`` is worked out from the device's clock where it is needed.
        snapshot: all of them at one instant.
        layers: ``LAYER_COUNTERS`` of each layer.
    """

    def __init__(self) -> None:
        self.layers = [[0] * len(LAYER_COUNTERS) for _ in range(COUNTED_LAYERS)]
        self.reset(0)

    def add(self, **counts: int) -> None:
        """Count on, modulo 2**32."""
        for name, count in counts.items():
            self.count[name] = (self.count[name] + count) % COUNTER_MODULUS

    def clear(self, clock: int) -> None:
        """Set all counters to zero in cycle ``clock``; the snapshot stays."""
        self.count, self._from = dict.fromkeys(NAMES, 0), clock

    def take(self, clock: int) -> None:
        """Copy all counters into the snapshot in cycle ``clock``."""
        self.snapshot = self.count | {"cycles": (clock - self._from) % COUNTER_MODULUS}

    def reset(self, clock: int) -> None:
        """A reset in cycle ``clock``: the layers' counters stay."""
        self.clear(clock)
        self.snapshot = dict(self.count)
