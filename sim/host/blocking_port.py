"""The memory port of a simulated accelerator as the contract's applier wants it: every call returns when it is done.

The applier runs in a thread of its own (``cocotb.task.bridge``); each call hands its AXI transfers back to the
simulation and waits for them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
from cocotb.task import resume
from numpy.typing import NDArray

from tritforge.device.memory_port import ENTRY, Entries, PortState, Words
from tritforge.overlay import register_map as rm
from tritforge.overlay.register_map import Register, State
from tritforge.overlay.spaces import SPACES
from tritforge.sim.host.axi_memory_port import AxiMemoryPort

STATES = {State.EMPTY: PortState.EMPTY, State.LOADING: PortState.STOPPED, State.VALID: PortState.VALID}


class BlockingMemoryPort:
    """A :class:`~tritforge.device.memory_port.MemoryPort` over AXI, for use inside ``cocotb.task.bridge``."""

    def __init__(self, port: AxiMemoryPort) -> None:
        self._port = port
        self._stopped_at = 0

    def _call(self, function: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> Any:
        return resume(function)(*arguments)

    @property
    def staging_depth(self) -> int:
        memories = self._call(self._port.read_register, Register.MEMORIES)
        return 1 << rm.MEMORIES_LOG2_STAGING.get(memories)

    def state(self) -> PortState:
        return STATES.get(self._call(self._port.state), PortState.STOPPED)

    def version(self) -> int:
        return self._call(self._port.version)

    def read_words(self, space: str, address: int, count: int) -> Words:
        words = self._call(self._port.read_words, space, range(address, address + count))
        return np.array(words, dtype=np.uint64)

    def write_words(self, space: str, addresses: NDArray[np.int64], words: Words) -> None:
        self._call(self._port.write_words, space, addresses.tolist(), words.tolist())

    def stage(self, entries: Entries) -> None:
        self._call(self._port.stage, [(SPACES[space], address, word) for space, address, word in entries.tolist()])

    def read_staging(self, count: int) -> Entries:
        staged = self._call(self._port.read_staging, count)
        return np.array([(SPACES.index(space), address, word) for space, address, word in staged], dtype=ENTRY)

    def commit(self, version: int) -> int:
        return self._call(self._port.commit, version)

    def stop(self) -> None:
        self._call(self._port.open_memories)
        self._stopped_at = self._cycles()

    def start(self, version: int) -> int:
        self._call(self._port.activate, version)
        return self._cycles() - self._stopped_at

    def _cycles(self) -> int:
        return self._call(self._port.counters)["cycles"]
