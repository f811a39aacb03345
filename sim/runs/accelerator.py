"""Runs networks, images and patches on the simulated accelerator, over its real interfaces, and judges every word."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tritforge.network.file import load_network, save_network
from tritforge.network.network import Network
from tritforge.network.reference import run
from tritforge.overlay.lowering import lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.program import OverlayProgram, save_program
from tritforge.rtl import hdl_sources
from tritforge.sim import HDL
from tritforge.sim.runs.map_trace import RESET, split_images, traced_maps
from tritforge.sim.simulator.runner import run_bench
from tritforge.sim.simulator.verilator import SimulationError, build, build_folder, compiled_files

CHECKER = (HDL / "axi_channel_checker.sv", HDL / "axi_checker.sv")
REFERENCE_BATCH = 64
Progress = Callable[[int], object]


def accelerator_sources() -> list[Path]:
    """What the simulated accelerator is built from: all RTL, the trace of its maps and the checker of its ports."""
    return [*hdl_sources(), HDL / "map_trace.sv", *CHECKER, HDL / "axi_checker_bind.sv"]


def build_accelerator(parameters: AcceleratorParameters) -> Path:
    """Build what :meth:`AcceleratorJob.run` would build, ahead of it; see :mod:`tritforge.sim.simulator.verilator`."""
    return build("accelerator", accelerator_sources(), parameters.verilog_parameters())


def build_state(parameters: AcceleratorParameters) -> tuple[int, int]:
    """How far :func:`build_accelerator` is: C++ files compiled, and C++ files known so far."""
    return compiled_files(build_folder("accelerator", accelerator_sources(), parameters.verilog_parameters()))


@dataclass(frozen=True)
class Inference:
    """A batch on the accelerator, compared with the reference model.

    Attributes:
        images: images run.
        classes: class of each image, ``(images,)``, ties to the lowest.
        versions: network version that each result carries.
        words: words of all maps and logits that were compared.
        differing: words that differ, by layer; ``stream`` counts logits that left the stream otherwise than the core.
        distances: cycles from each result to the next, ``(images - 1,)``.
        cycles_per_image: mean cycles between results; of one image alone its latency.
        latency_cycles: cycles of the last image in the array, by the hardware's counter.
        counters: the hardware's counters over the batch, and ``simulator_cycles``.
        layers: counters of each layer in the last image, by name.
    """

    images: int
    classes: NDArray[np.int64]
    versions: tuple[int, ...]
    words: int
    differing: dict[str, int]
    distances: tuple[int, ...]
    cycles_per_image: float
    latency_cycles: int
    counters: dict[str, int]
    layers: dict[str, dict[str, int]]

    @property
    def mismatching_words(self) -> int:
        return sum(self.differing.values())

    def accuracy(self, labels: NDArray) -> float:
        """Percent of images whose class is the label."""
        return 100.0 * float(np.mean(self.classes == np.asarray(labels)))


@dataclass(frozen=True)
class Interruption:
    """What a reset cut off, and what had left before.

    Attributes:
        in_array: images in the array.
        beat_waits: a beat of an image stood at the input, not yet taken.
        result_waits: a beat of a result stood at the output, not yet taken.
        images: images of which something had been computed.
        results: results that had left.
        differing: those of them that differ from the reference model.
    """

    in_array: int
    beat_waits: bool
    result_waits: bool
    images: int
    results: int
    differing: int


@dataclass
class AcceleratorJob:
    """Steps for one simulated accelerator, collected first and run together.

    Each adding method returns the index of its step in what :meth:`run` gives: :class:`Inference` for ``infer``,
    :class:`Interruption` for ``interrupt``, dictionaries for the others.
    """

    parameters: AcceleratorParameters
    steps: list[dict[str, Any]] = field(default_factory=list)
    _files: list[tuple[str, Any]] = field(default_factory=list)
    _expected: dict[int, tuple[OverlayProgram, Network | int, NDArray]] = field(default_factory=dict)
    _held: tuple[OverlayProgram, Network | int] | None = None

    def load(self, network: Network, version: int = 1, every_group: bool = False) -> int:
        """Load a network over AXI4-Lite; ``every_group`` turns skipping off by storing and issuing every group."""
        program = lower(network, self.parameters, every_group=every_group)
        self._held = (program, network)
        return self._add({"do": "load", "program": self._file(program), "version": version})

    def infer(self, images: NDArray) -> int:
        """Run images ``(batch, C, H, W)`` back to back."""
        assert self._held is not None
        self._expected[len(self.steps)] = (*self._held, images)
        return self._add({"do": "infer", "images": self._file(np.asarray(images))})

    def interrupt(
        self, images: NDArray, hard: bool, until: str = "image", cycles: int = 0, results_taken: bool = True
    ) -> int:
        """Run images and reset the accelerator under them; a program has to be loaded afterwards.

        Args:
            images: ``(batch, C, H, W)``.
            hard: by ``rst_i``, otherwise by the soft reset.
            until: what is waited for: an ``image`` in the array, an ``overlap`` of two, a ``result`` at the stream.
            cycles: further cycles before the reset, or before the host begins with the soft one.
            results_taken: the result stream is ready; otherwise results wait.
        """
        step = self.infer(images)
        self.steps[step] |= {"do": "interrupt", "hard": hard, "until": until, "cycles": cycles}
        self.steps[step] |= {"results_taken": results_taken}
        self._held = None
        return step

    def access(self, reads: Sequence[int] = (), writes: Sequence[int] = ()) -> int:
        """Read and write single words at byte offsets; gives ``reads`` and ``writes``, the names of the responses."""
        return self._add({"do": "access", "reads": list(reads), "writes": list(writes)})

    def patch(self, patch: bytes, base: Network, accepted: bool = True) -> int:
        """Apply a patch file over AXI4-Lite; images after it are compared with the patched network if ``accepted``."""
        assert self._held is not None
        step = self._add(
            {
                "do": "patch",
                "patch": self._file(patch),
                "network": self._file(base),
                "result": f"result{len(self.steps)}",
            }
        )
        if accepted:
            self._held = (self._held[0], step)
        return step

    def run(
        self, seed: int = 1, progress: Progress | None = None, run_dir: Path | None = None, waves: bool = False
    ) -> list[Any]:
        """Build what has to be built, simulate all steps, compare every word; see the class for what comes back.

        Args:
            seed: seed of the values that registers and memories start with.
            progress: called with the number of further images that are done.
            run_dir: folder for all files, kept; a temporary one when not given.
            waves: write ``dump.vcd`` there.

        Raises:
            SimulationError: the build or the bench failed, or a patch that was to be accepted was refused.
        """
        with tempfile.TemporaryDirectory(prefix="tritforge-accelerator-") as scratch:
            folder = (run_dir or Path(scratch)).resolve()
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in self._files:
                _write(folder / name, content)
            (folder / "job.json").write_text(json.dumps(self.steps), encoding="utf-8")
            with _watched(folder / "progress", progress):
                run_bench(
                    "tritforge.sim.benches.accelerator",
                    "accelerator",
                    sources=accelerator_sources(),
                    parameters=self.parameters.verilog_parameters(),
                    plusargs=[f"+map_trace={folder / 'trace.txt'}"],
                    env={"TRITFORGE_JOB": str(folder)},
                    seed=seed,
                    waves=waves,
                    run_dir=folder / "run",
                )
            outcomes = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
            return self._judge(folder, outcomes)

    def _judge(self, folder: Path, outcomes: list[dict[str, Any]]) -> list[Any]:
        """Replace the raw outcome of every inference by its comparison with the reference model."""
        traces = split_images(folder / "trace.txt")
        judged: list[Any] = []
        for index, outcome in enumerate(outcomes):
            if index not in self._expected:
                judged.append(outcome)
                continue
            program, held, images = self._expected[index]
            if isinstance(held, int) and "refused" in outcomes[held]:
                raise SimulationError(f"the accelerator refused a patch it was to take: {outcomes[held]['refused']}")
            network = load_network(folder / f"result{held}") if isinstance(held, int) else held
            compare = _compare if self.steps[index]["do"] == "infer" else _compare_interrupted
            judged.append(compare(program, network, images, traces, outcome))
        return judged

    def _add(self, step: dict[str, Any]) -> int:
        self.steps.append(step)
        return len(self.steps) - 1

    def _file(self, content: Any) -> str:
        name = f"file{len(self._files)}" + (".npy" if isinstance(content, np.ndarray) else "")
        self._files.append((name, content))
        return name


def simulate(
    network: Network,
    images: NDArray,
    parameters: AcceleratorParameters,
    every_group: bool = False,
    seed: int = 1,
    progress: Progress | None = None,
) -> Inference:
    """One network over images ``(batch, C, H, W)``; see :class:`AcceleratorJob` for more."""
    job = AcceleratorJob(parameters)
    job.load(network, every_group=every_group)
    step = job.infer(images)
    return job.run(seed=seed, progress=progress)[step]


def _compare(
    program: OverlayProgram, network: Network, images: NDArray, traces: Iterator[str], outcome: dict[str, Any]
) -> Inference:
    differing = {layer.name: 0 for layer in network.layers} | {"stream": 0}
    words = 0
    logits = np.array([result["logits"] for result in outcome["results"]], dtype=np.int64)
    for first in range(0, len(images), REFERENCE_BATCH):
        expected = run(network, images[first : first + REFERENCE_BATCH])
        for offset in range(len(images[first : first + REFERENCE_BATCH])):
            maps = traced_maps(next(traces), program)
            for name, values in maps.items():
                words += values.size
                differing[name] += int((values != expected[name][offset]).sum())
            last = maps[program.layer_names[-1]][:, 0, 0]
            differing["stream"] += int((logits[first + offset] != last).sum())
    cycles = [result["cycle"] for result in outcome["results"]]
    latency = outcome["counters"]["last_latency"]
    return Inference(
        images=len(images),
        classes=np.argmax(logits, axis=1),
        versions=tuple(result["version"] for result in outcome["results"]),
        words=words,
        differing=differing,
        distances=tuple(later - sooner for sooner, later in pairwise(cycles)),
        cycles_per_image=(cycles[-1] - cycles[0]) / (len(cycles) - 1) if len(cycles) > 1 else float(latency),
        latency_cycles=latency,
        counters=outcome["counters"],
        layers=dict(zip(program.layer_names, outcome["layers"], strict=True)),
    )


def _compare_interrupted(
    program: OverlayProgram, network: Network, images: NDArray, traces: Iterator[str], outcome: dict[str, Any]
) -> Interruption:
    results = outcome.pop("results")
    expected = run(network, images)[program.layer_names[-1]][:, :, 0, 0]
    differing = sum(result["logits"] != expected[index].tolist() for index, result in enumerate(results))
    return Interruption(
        images=sum(1 for _ in iter(lambda: next(traces), RESET)), results=len(results), differing=differing, **outcome
    )


def _write(path: Path, content: Any) -> None:
    if isinstance(content, OverlayProgram):
        save_program(path, content)
    elif isinstance(content, Network):
        save_network(path, content)
    elif isinstance(content, np.ndarray):
        np.save(path, content)
    else:
        path.write_bytes(content)


@contextmanager
def _watched(path: Path, progress: Progress | None) -> Iterator[None]:
    """Tell ``progress`` what the bench writes into its progress file."""
    if progress is None:
        yield
        return
    ended, told = threading.Event(), 0

    def watch() -> None:
        nonlocal told
        while not ended.wait(0.5):
            done = int(path.read_text()) if path.exists() else 0
            progress(done - told)
            told = done

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
