"""accelerator: a job of steps over the real interfaces, AXI4-Lite and both streams.

The job folder (environment variable TRITFORGE_JOB) holds ``job.json``, a list of steps; what every step gave goes to
``outcome.json``. Steps: ``load`` a program, ``infer`` images back to back, ``patch`` while images run. Comparing with
the reference model is left to the caller.
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
from cocotb.task import bridge
from cocotb.triggers import SimTimeoutError, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from tritforge.apply import apply_patch
from tritforge.errors import DeviceError, TritforgeError
from tritforge.files import atomic_write
from tritforge.lowering import lower
from tritforge.network import Network
from tritforge.network_file import load_network, save_network
from tritforge.program import OverlayProgram, load_program
from tritforge.sim.axi_memory_port import AxiMemoryPort
from tritforge.sim.benches.common import start
from tritforge.sim.blocking_port import BlockingMemoryPort
from tritforge.sim.streams import CLOCK_NS, ImageSource, Result, ResultSink, image_beats, now

LAYER_COUNTERS = ("cycles", "issued", "stall_windows", "stall_accumulators")
RESULT_CYCLES = 2_000_000
"""Cycles after which a result is given up."""

PROGRESS_EVERY = 8
"""Images between two writes of the progress file."""


class TB:
    """The accelerator, its host side and its streams."""

    def __init__(self, dut, folder: Path) -> None:
        logging.getLogger("cocotb").setLevel(logging.WARNING)
        self.dut, self.folder = dut, folder
        self.source = ImageSource(dut)
        self.sink = ResultSink(dut, 1)
        self.port = AxiMemoryPort(AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk_i, dut.rst_i))
        self.program: OverlayProgram | None = None
        self.images_done = 0

    async def load(self, program: str, version: int) -> dict[str, Any]:
        """Write a whole program and make it valid."""
        self.program = load_program(self.folder / program)
        before = now()
        await self.port.load_program(self.program, version)
        await self.port.enable()
        self.sink.classes = self.program.classes
        return {"cycles": now() - before, "version": await self.port.version()}

    async def infer(self, images: str) -> dict[str, Any]:
        """Run images back to back, as one batch that TLAST closes."""
        assert self.program is not None
        pixels = np.load(self.folder / images)
        await self.port.clear_counters()
        first = await self._clocked_counters()
        feeder = cocotb.start_soon(self._feed(pixels))
        results = [await self._result() for _ in pixels]
        await feeder
        await self.port.wait_idle()
        second = await self._clocked_counters()
        layers = await self.port.layer_counters(len(self.program.layer_names))
        return {
            "results": [vars(result) for result in results],
            "counters": {name: second[name] - first[name] for name in second}
            | {"last_latency": second["last_latency"]},
            "layers": [
                dict(zip(("cycles", "issued", "stall_windows", "stall_accumulators"), row, strict=True))
                for row in layers
            ],
        }

    async def patch(self, patch: str, network: str, result: str) -> dict[str, Any]:
        """Apply a patch file to the running accelerator; a refusal is told, not raised."""
        assert self.program is not None
        parameters = self.program.parameters

        def images(held: Network) -> OverlayProgram:
            return lower(held, parameters)

        base = load_network(self.folder / network)
        try:
            applied = await bridge(apply_patch)(
                BlockingMemoryPort(self.port), base, (self.folder / patch).read_bytes(), images
            )
        except TritforgeError as error:
            return {"refused": str(error), "version": await self.port.version()}
        save_network(self.folder / result, applied.network)
        return {
            "words_written": applied.words_written,
            "pause_cycles": applied.pause_cycles,
            "mode": applied.mode,
            "version": applied.version,
        }

    async def _feed(self, pixels: np.ndarray) -> None:
        assert self.program is not None
        for index, image in enumerate(pixels):
            await self.source.send(image_beats(self.program, image), last=index == len(pixels) - 1)

    async def _result(self) -> Result:
        try:
            result = await with_timeout(self.sink.results.get(), RESULT_CYCLES * CLOCK_NS, "ns")
        except SimTimeoutError:
            state = (await self.port.state()).name.lower()
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
        return await self.port.counters() | {"simulator_cycles": clock}


@cocotb.test()
async def run_job(dut) -> None:
    """Every step of the job, in order."""
    folder = Path(os.environ["TRITFORGE_JOB"])
    steps = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    bench = TB(dut, folder)
    await start(dut)
    cocotb.start_soon(bench.sink.run())
    actions: dict[str, Callable[..., Awaitable[dict[str, Any]]]]
    actions = {"load": bench.load, "infer": bench.infer, "patch": bench.patch}
    outcomes = [await actions[step.pop("do")](**step) for step in steps]
    (folder / "outcome.json").write_text(json.dumps(outcomes), encoding="utf-8")
