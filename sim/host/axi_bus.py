"""The register protocol's bus over AXI4-Lite in a cocotb simulation."""

from __future__ import annotations

import numpy as np
from cocotbext.axi import AxiLiteMaster, AxiResp

from tritforge.device.protocol import Steps, Value, drive_async
from tritforge.errors import DeviceError
from tritforge.overlay.spaces import BusWords


class AxiBus:
    """An :class:`~tritforge.device.protocol.AsyncBus` over an AXI4-Lite master."""

    def __init__(self, master: AxiLiteMaster) -> None:
        self.master = master

    async def read(self, offset: int, count: int) -> BusWords:
        """``count`` words from byte offset ``offset`` on."""
        done = await self.master.read(offset, 4 * count)
        if done.resp != AxiResp.OKAY:
            raise DeviceError(f"reading {count} words at 0x{offset:05X} was answered with {done.resp.name}")
        return np.frombuffer(done.data, dtype="<u4")

    async def write(self, offset: int, words: BusWords) -> None:
        """Write ``words`` from byte offset ``offset`` on."""
        done = await self.master.write(offset, words.astype("<u4").tobytes())
        if done.resp != AxiResp.OKAY:
            raise DeviceError(f"writing {words.size} words at 0x{offset:05X} was answered with {done.resp.name}")

    async def do(self, steps: Steps[Value]) -> Value:
        """Run ``steps`` over this bus; gives what they return."""
        return await drive_async(steps, self)
