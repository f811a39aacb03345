"""accelerator: a job of steps over the real interfaces, AXI4-Lite and both streams.

The job folder (environment variable TRITFORGE_JOB) holds ``job.json``, a list of steps; what every step gave goes to
``outcome.json``. Steps: ``load`` a program, ``infer`` images back to back, ``interrupt`` them by a reset, ``patch``
while images run, ``access`` single words. Comparing with the reference model is left to the caller.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.task import Task
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, SimTimeoutError, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from tritforge.device import protocol
from tritforge.device.apply import apply_update
from tritforge.device.streams import Result, image_beats
from tritforge.device.update import prepare_update
from tritforge.errors import DeviceError, TritforgeError
from tritforge.files import atomic_write
from tritforge.network.file import load_network, save_network
from tritforge.network.network import Network
from tritforge.overlay.lowering import lower
from tritforge.overlay.program import OverlayProgram, load_program
from tritforge.overlay.register_map import State
from tritforge.sim.benches.common import start
from tritforge.sim.host.axi_bus import AxiBus
from tritforge.sim.host.streams import CLOCK_NS, RESULT_CYCLES, ImageSource, ResultSink, now

PROGRESS_EVERY = 8
"""Images between two writes of the progress file."""


class TB:
    """The accelerator, its host side and its streams."""

    def __init__(self, dut, folder: Path) -> None:
        logging.getLogger("cocotb").setLevel(logging.WARNING)
        self.dut, self.folder = dut, folder
        self.source = ImageSource(dut)
        self.sink = ResultSink(dut, 1)
        self.bus = AxiBus(AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk_i, dut.rst_i))
        self.program: OverlayProgram | None = None
        self.images_done = 0
        self.collector: Task[None] | None = None

    async def load(self, program: str, version: int) -> dict[str, Any]:
        """Write a whole program and make it valid."""
        self.program = load_program(self.folder / program)
        before = now()
        await self.bus.do(protocol.load_program(self.program, version))
        await self.bus.do(protocol.enable())
        self.sink.classes = self.program.classes
        return {"cycles": now() - before, "version": await self.bus.do(protocol.version())}

    async def infer(self, images: str) -> dict[str, Any]:
        """Run images back to back, as one batch that TLAST closes."""
        assert self.program is not None
        pixels = np.load(self.folder / images)
        await self.bus.do(protocol.clear_counters())
        first = await self._clocked_counters()
        feeder = cocotb.start_soon(self._feed(pixels))
        results = [await self._result() for _ in pixels]
        await feeder
        await self.bus.do(protocol.wait_idle())
        second = await self._clocked_counters()
        layers = await self.bus.do(protocol.layer_counters(len(self.program.layer_names)))
        return {
            "results": [vars(result) for result in results],
            "counters": {name: protocol.counted(first[name], second[name]) for name in second}
            | {"last_latency": second["last_latency"]},
            "layers": layers,
        }

    async def interrupt(self, images: str, hard: bool, until: str, cycles: int, results_taken: bool) -> dict[str, Any]:
        """Run images and reset under them: ``rst_i``, or the soft reset; the streams begin anew with it."""
        dut = self.dut
        dut.m_axis_tready.value = int(results_taken)
        feeder = cocotb.start_soon(self._feed(np.load(self.folder / images)))
        in_array = await self._come(until, cycles)
        watch = cocotb.start_soon(self._images_in_array(in_array, dut.rst_i if hard else dut.soft_reset))
        command = None
        if hard:
            dut.rst_i.value = 1
        else:
            command = cocotb.start_soon(self.bus.do(protocol.soft_reset()))
        in_array = await watch
        cut = {
            "in_array": in_array,
            "beat_waits": bool(dut.s_axis_tvalid.value),
            "result_waits": bool(dut.m_axis_tvalid.value and not dut.m_axis_tready.value),
        }
        feeder.cancel()
        dut.s_axis_tvalid.value = dut.s_axis_tlast.value = 0
        self.collect()
        results = [vars(self.sink.results.get_nowait()) for _ in range(self.sink.results.qsize())]
        await ClockCycles(dut.clk_i, 3)
        dut.rst_i.value = 0
        dut.m_axis_tready.value = 1
        if command is not None:
            await command
        assert await self.bus.do(protocol.state()) == State.EMPTY and await self.bus.do(protocol.version()) == 0
        return cut | {"results": results}

    async def _come(self, until: str, cycles: int) -> int:
        """Wait for an image, two in the array or a result at the stream, and some cycles; gives the images in it."""
        dut, in_array = self.dut, 0
        reached = {
            "image": lambda: in_array >= 1,
            "overlap": lambda: in_array >= 2,
            "result": lambda: dut.m_axis_tvalid.value,
        }[until]
        while not reached():
            await RisingEdge(dut.clk_i)
            in_array += int(dut.image_start.value) - int(dut.image_done.value)
        for _ in range(cycles):
            await RisingEdge(dut.clk_i)
            in_array += int(dut.image_start.value) - int(dut.image_done.value)
        return in_array

    async def _images_in_array(self, in_array: int, reset) -> int:
        """Images in the array in the first cycle of a reset, in whose middle it returns."""
        await FallingEdge(self.dut.clk_i)
        while not reset.value:
            in_array += int(self.dut.image_start.value) - int(self.dut.image_done.value)
            await FallingEdge(self.dut.clk_i)
        return in_array

    def collect(self) -> None:
        """Begin to collect results; what was collected of a result is dropped."""
        if self.collector is not None:
            self.collector.cancel()
        self.collector = cocotb.start_soon(self.sink.run())

    async def access(self, reads: list[int], writes: list[int]) -> dict[str, Any]:
        """Single words read and written."""
        master = self.bus.master
        return {
            "reads": [(await master.read(offset, 4)).resp.name for offset in reads],
            "writes": [(await master.write(offset, b"\xff" * 4)).resp.name for offset in writes],
        }

    async def patch(self, patch: str, network: str, result: str) -> dict[str, Any]:
        """Apply a patch file to the running accelerator; a refusal is told, not raised."""
        assert self.program is not None
        parameters = self.program.parameters

        def images(held: Network) -> OverlayProgram:
            return lower(held, parameters)

        base = load_network(self.folder / network)
        try:
            update = prepare_update(base, (self.folder / patch).read_bytes(), images)
            applied = await self.bus.do(apply_update(update))
        except TritforgeError as error:
            return {"refused": str(error), "version": await self.bus.do(protocol.version())}
        save_network(self.folder / result, update.result)
        return vars(applied)

    async def _feed(self, pixels: np.ndarray) -> None:
        assert self.program is not None
        for index, beats in enumerate(image_beats(pixels, self.program.parameters.activation_bits).tolist()):
            await self.source.send(beats, last=index == len(pixels) - 1)

    async def _result(self) -> Result:
        try:
            result = await with_timeout(self.sink.results.get(), RESULT_CYCLES * CLOCK_NS, "ns")
        except SimTimeoutError:
            state = (await self.bus.do(protocol.state())).name.lower()
            raise DeviceError(
                f"no result came in {RESULT_CYCLES} cycles after image {self.images_done}; the state is {state}"
            ) from None
        self.images_done += 1
        if self.images_done % PROGRESS_EVERY == 0:
            atomic_write(self.folder / "progress", str(self.images_done).encode())
        return result

    async def _clocked_counters(self) -> dict[str, int]:
        """All hardware counters, and beside them the simulator's own clock when the snapshot was asked for."""
        clock = now()
        return await self.bus.do(protocol.counters()) | {"simulator_cycles": clock}


@cocotb.test()
async def run_job(dut) -> None:
    """Every step of the job, in order."""
    folder = Path(os.environ["TRITFORGE_JOB"])
    steps = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    bench = TB(dut, folder)
    await start(dut)
    bench.collect()
    actions: dict[str, Callable[..., Awaitable[dict[str, Any]]]]
    names = ("load", "infer", "interrupt", "patch", "access")
    actions = {name: getattr(bench, name) for name in names}
    outcomes = [await actions[step.pop("do")](**step) for step in steps]
    (folder / "outcome.json").write_text(json.dumps(outcomes), encoding="utf-8")
