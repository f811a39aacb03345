"""compute_core: programs and pixels written directly, results through the map trace.

The job file (environment variable TRITFORGE_JOB) lists programs with their images, which follow each other as fast as
the core takes them; the counters of every image go to ``counters.json`` beside it. Comparing with the reference model
is left to the caller.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from tritforge.overlay.descriptor import HEADER, unpack
from tritforge.overlay.program import OverlayProgram, load_program
from tritforge.overlay.spaces import TABLE
from tritforge.sim.benches.common import start

COUNTERS = ("cycles", "issued", "stall_windows", "stall_accumulators")


class TB:
    """Drives the harness around the core."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.select = 0
        self.full = [False, False]
        self.events: list[tuple[str, dict[str, int]]] = []

    async def load(self, program: OverlayProgram) -> None:
        """Write all program memories and let the core fetch the program."""
        dut = self.dut
        for space in TABLE:
            for address, word in enumerate(program.images[space.name].tolist()):
                dut.prog_we_i.value = 1
                dut.prog_space_i.value = space.code
                dut.prog_addr_i.value = address
                dut.prog_wdata_i.value = word
                await RisingEdge(dut.clk_i)
        dut.prog_we_i.value = 0
        dut.reload_i.value = 1
        await RisingEdge(dut.clk_i)
        dut.reload_i.value = 0
        await RisingEdge(dut.program_ready_o)

    async def watch(self) -> None:
        """Note every start and end of an image with the counters, and free its buffer."""
        dut = self.dut
        while True:
            await RisingEdge(dut.image_event_o)
            await FallingEdge(dut.clk_i)
            while dut.image_event_o.value:
                counters = {name: int(getattr(dut, f"{name}_o").value) for name in COUNTERS}
                if dut.image_start_o.value:
                    self.events.append(("start", counters))
                if dut.image_done_o.value:
                    self.events.append(("done", counters))
                    free = int(dut.image_free_o.value)
                    self.full = [full and not free >> buffer & 1 for buffer, full in enumerate(self.full)]
                    self._tell()
                await FallingEdge(dut.clk_i)

    def _tell(self) -> None:
        self.dut.image_full_i.value = self.full[0] | self.full[1] << 1

    async def infer(self, program: OverlayProgram, images: np.ndarray) -> list[dict[str, int]]:
        """Run images ``(batch, C, H, W)``, each written while those before it are in the core.

        Returns:
            By image: ``latency`` from its start to its end; cycles, groups issued and stalls since the end of the one
            before, or since its own start for the first.
        """
        dut = self.dut
        self.events.clear()
        for image in images:
            while self.full[self.select]:
                await FallingEdge(dut.clk_i)
            for row, column, address, word in pixel_words(program, image, self.select):
                dut.pixel_valid_i.value = 1
                dut.pixel_row_i.value = row
                dut.pixel_column_i.value = column
                dut.pixel_addr_i.value = address
                dut.pixel_data_i.value = word
                await FallingEdge(dut.clk_i)
                while not dut.pixel_ready_o.value:
                    await FallingEdge(dut.clk_i)
                await RisingEdge(dut.clk_i)
            dut.pixel_valid_i.value = 0
            self.full[self.select] = True
            self._tell()
            self.select ^= 1
        while sum(event == "done" for event, _ in self.events) < len(images):
            await ClockCycles(dut.clk_i, 2)
        starts, ends = ([counters for event, counters in self.events if event == kind] for kind in ("start", "done"))
        results = []
        for index, end in enumerate(ends):
            since = ends[index - 1] if index else starts[0]
            counted = {name: end[name] - since[name] for name in COUNTERS}
            results.append(counted | {"latency": end["cycles"] - starts[index]["cycles"]})
        return results


def pixel_words(program: OverlayProgram, image: np.ndarray, select: int):
    """Bank row and column, address and word of every pixel block of an image ``(C, H, W)``."""
    parameters = program.parameters
    header = unpack(HEADER, program.images["descriptors"])
    lanes, bits = parameters.group_channels, parameters.activation_bits
    blocks = header["input_blocks"]
    channels, height, width = image.shape
    padded = np.zeros((blocks * lanes, height, width), dtype=np.uint64)
    if header["quad_input"]:
        for quad in range(lanes // 4):
            padded[4 * quad : 4 * quad + channels] = image
    else:
        padded[:channels] = image
    base = header[f"input_base_{select}"]
    for y in range(height):
        for x in range(width):
            chunk = (y + 1) // parameters.tile_rows * header["input_row_stride"]
            chunk += (x + 1) // parameters.tile_columns * blocks
            for block in range(blocks):
                values = padded[block * lanes : (block + 1) * lanes, y, x].tolist()
                word = sum(value << (bits * lane) for lane, value in enumerate(values))
                yield (y + 1) % parameters.tile_rows, (x + 1) % parameters.tile_columns, base + chunk + block, word


@cocotb.test()
async def run_jobs(dut) -> None:
    """Every program of the job file over every one of its images."""
    folder = Path(os.environ["TRITFORGE_JOB"])
    jobs = json.loads((folder / "jobs.json").read_text(encoding="utf-8"))
    for name in ("prog_we_i", "reload_i", "image_full_i", "pixel_valid_i"):
        getattr(dut, name).value = 0
    dut.start_allowed_i.value = 1
    await start(dut)
    bench = TB(dut)
    cocotb.start_soon(bench.watch())
    counters = []
    for name in jobs:
        program = load_program(folder / f"{name}.safetensors")
        await bench.load(program)
        counters.append(await bench.infer(program, np.load(folder / f"{name}.npy")))
    (folder / "counters.json").write_text(json.dumps(counters), encoding="utf-8")
