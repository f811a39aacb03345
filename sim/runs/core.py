"""Runs lowered networks on the compute core alone and compares every word of every map with the reference model."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tritforge.network.network import Network
from tritforge.network.reference import run
from tritforge.overlay.lowering import lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.program import save_program
from tritforge.rtl import hdl_sources
from tritforge.sim import HDL
from tritforge.sim.runs.map_trace import split_images, traced_maps
from tritforge.sim.simulator.runner import run_bench


@dataclass(frozen=True)
class CoreRun:
    """One network on the core, images back to back: words compared and differing by layer, counters of every image.

    The counters of an image are those since the end of the one before; ``latency`` is from its own start to its end.
    """

    words: int
    differing: dict[str, int]
    counters: list[dict[str, int]]

    @property
    def mismatches(self) -> int:
        return sum(self.differing.values())


def simulate_core(
    jobs: Sequence[tuple[Network, NDArray]],
    parameters: AcceleratorParameters,
    seed: int = 1,
    every_group: bool = False,
    build_dir: Path | None = None,
    waves: bool = False,
    run_dir: Path | None = None,
) -> list[CoreRun]:
    """Run each network over its images ``(batch, C, H, W)``, one network after the other in a single simulation."""
    with tempfile.TemporaryDirectory(prefix="tritforge-core-") as scratch:
        folder = Path(run_dir or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        programs = [lower(network, parameters, every_group=every_group) for network, _ in jobs]
        for index, (program, (_, images)) in enumerate(zip(programs, jobs, strict=True)):
            save_program(folder / f"job{index}.safetensors", program)
            np.save(folder / f"job{index}.npy", images)
        (folder / "jobs.json").write_text(json.dumps([f"job{i}" for i in range(len(jobs))]), encoding="utf-8")
        run_bench(
            "tritforge.sim.benches.compute_core",
            "core_harness",
            sources=[*hdl_sources(), HDL / "core_harness.sv", HDL / "map_trace.sv"],
            parameters=parameters.verilog_parameters(),
            plusargs=[f"+map_trace={folder / 'trace.txt'}"],
            env={"TRITFORGE_JOB": str(folder)},
            seed=seed,
            build_dir=build_dir,
            waves=waves,
            run_dir=folder / "run" if run_dir else None,
        )
        counters = json.loads((folder / "counters.json").read_text(encoding="utf-8"))
        traces = split_images(folder / "trace.txt")
        return [
            _compare(network, images, [traced_maps(next(traces), program) for _ in images], counted)
            for (network, images), program, counted in zip(jobs, programs, counters, strict=True)
        ]


def _compare(
    network: Network, images: NDArray, traced: list[dict[str, NDArray[np.int64]]], counters: list[dict[str, int]]
) -> CoreRun:
    expected = run(network, images)
    differing = {layer.name: 0 for layer in network.layers}
    words = 0
    for index, maps in enumerate(traced):
        for name, values in maps.items():
            words += values.size
            differing[name] += int((values != expected[name][index]).sum())
    return CoreRun(words, differing, counters)
