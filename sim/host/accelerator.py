"""The simulated accelerator behind the contract's interface, for a thread under ``cocotb.task.bridge``.

What the thread asks for hands itself to the simulation and waits; so the same code drives a simulation and a board.
"""

from __future__ import annotations

import cocotb
from cocotb.task import resume
from cocotb.triggers import SimTimeoutError, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from tritforge.device.accelerator import Accelerator
from tritforge.device.streams import Beats, Result
from tritforge.errors import DeviceError
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.sim.host.axi_bus import AxiBus
from tritforge.sim.host.streams import CLOCK_NS, RESULT_CYCLES, ImageSource, ResultSink


class BlockingBus:
    """A :class:`~tritforge.device.protocol.Bus` over an awaited one."""

    def __init__(self, bus: AxiBus) -> None:
        self.read = resume(bus.read)
        self.write = resume(bus.write)


class BlockingStreams:
    """Both streams as :class:`~tritforge.device.streams.Streams`."""

    def __init__(self, dut) -> None:
        self._source, self._sink = ImageSource(dut), ResultSink(dut, 1)
        self.run = resume(self._run)

    async def _run(self, images: Beats, classes: int) -> list[Result]:
        self._sink.classes = classes
        tasks = cocotb.start_soon(self._sink.run()), cocotb.start_soon(self._feed(images))
        try:
            return [await with_timeout(self._sink.results.get(), RESULT_CYCLES * CLOCK_NS, "ns") for _ in images]
        except SimTimeoutError:
            raise DeviceError(f"no result came in {RESULT_CYCLES} cycles") from None
        finally:
            for task in tasks:
                task.cancel()

    async def _feed(self, images: Beats) -> None:
        for index, beats in enumerate(images.tolist()):
            await self._source.send(beats, last=index + 1 == len(images))


def simulated_accelerator(dut, parameters: AcceleratorParameters) -> Accelerator:
    """The accelerator ``dut``, out of reset; to be made in the simulation's own thread."""
    bus = AxiBus(AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk_i, dut.rst_i))
    return Accelerator(BlockingBus(bus), BlockingStreams(dut), parameters)
