"""Both sides of a valid/ready stream, moved on cycle by cycle: drive before the cycle settles, sample after."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Generic, TypeVar

from tritforge.sim.benches.common import pause

Item = TypeVar("Item")


class Source(Generic[Item]):
    """Offers items in order; an offer stays until it is taken.

    Args:
        valid: the device's input.
        ready: the device's output.
        put: drives an item, or noise for None.
        pattern: when to offer, of :data:`tritforge.sim.benches.common.PAUSES`.
        numbers: random source of the pattern.
    """

    def __init__(self, valid, ready, put: Callable[[Item | None], None], pattern: str, numbers: random.Random) -> None:
        self.valid, self.ready, self.put = valid, ready, put
        self.items: list[Item] = []
        self.offering = False
        self._active = pause(pattern, numbers)

    def drive(self) -> None:
        self.offering = bool(self.items) and (self.offering or next(self._active))
        self.valid.value = self.offering
        self.put(self.items[0] if self.offering else None)

    def sample(self) -> Item | None:
        """The item that is taken in this cycle."""
        if not (self.offering and self.ready.value):
            return None
        self.offering = False
        return self.items.pop(0)


class Sink(Generic[Item]):
    """Takes items when its pattern says so.

    Args:
        valid: the device's output.
        ready: the device's input.
        get: reads an item.
        pattern: when to take, of :data:`tritforge.sim.benches.common.PAUSES`.
        numbers: random source of the pattern.
    """

    def __init__(self, valid, ready, get: Callable[[], Item], pattern: str, numbers: random.Random) -> None:
        self.valid, self.ready, self.get = valid, ready, get
        self.items: list[Item] = []
        self._active = pause(pattern, numbers)
        self._taking = False

    def drive(self) -> None:
        self._taking = next(self._active)
        self.ready.value = self._taking

    def sample(self) -> Item | None:
        """The item that arrives in this cycle, which is also kept in ``items``."""
        if not (self._taking and self.valid.value):
            return None
        self.items.append(self.get())
        return self.items[-1]
