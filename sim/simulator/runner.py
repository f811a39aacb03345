"""Runs a cocotb bench on a Verilator build."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from cocotb_tools.runner import get_runner

from tritforge.sim.simulator.verilator import SimulationError, build, coverage_folder, environment, tail


@dataclass(frozen=True)
class BenchResults:
    """What a bench did: names of the tests that passed, and the simulation's log."""

    tests: tuple[str, ...]
    log: str


def run_bench(
    module: str,
    toplevel: str,
    sources: Sequence[Path] | None = None,
    parameters: Mapping[str, int] | None = None,
    testcase: str | None = None,
    plusargs: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    build_dir: Path | None = None,
    run_dir: Path | None = None,
    seed: int = 1,
    waves: bool = False,
    visible: bool = False,
) -> BenchResults:
    """Build ``toplevel`` where that is needed and run the cocotb tests of ``module`` on it.

    Args:
        module: Python module with the tests, such as ``tritforge.sim.benches.fifo``.
        toplevel: top module.
        sources: SystemVerilog files in compile order; what ``toplevel`` needs when not given.
        parameters: parameters of the top module.
        testcase: the one test to run; all of the module when not given.
        plusargs: further arguments of the simulation.
        env: further environment variables of the simulation, which a bench reads.
        build_dir: folder of all builds, see :func:`tritforge.builds.build_root`.
        run_dir: folder in which the simulation runs and that stays; a temporary one when not given.
        seed: seed of the bench's random numbers and of the values that registers start with.
        waves: write ``dump.vcd`` into ``run_dir``.
        visible: every signal of the hierarchy can be reached, not only the top module's.

    Raises:
        SimulationError: the build failed, a test failed, or the simulation stopped at a failed assertion.
    """
    folder = build(toplevel, sources, parameters, build_dir, waves, visible)
    place = Path(run_dir).resolve() if run_dir else Path(tempfile.mkdtemp(prefix=f"{toplevel}-"))
    place.mkdir(parents=True, exist_ok=True)
    coverage = coverage_folder()
    counts = [f"+verilator+coverage+file+{coverage / uuid.uuid4().hex}.dat"] if coverage else []
    log, results = place / "simulation.log", place / "results.xml"
    with contextlib.suppress(SystemExit, RuntimeError):  # the results, or their absence, say what failed
        get_runner("verilator").test(
            test_module=module,
            hdl_toplevel=toplevel,
            hdl_toplevel_lang="verilog",
            build_dir=folder,
            test_dir=place,
            results_xml=str(results),
            testcase=testcase,
            seed=seed,
            plusargs=[f"+verilator+seed+{seed % 2**31 or 1}", "+verilator+rand+reset+2", *counts, *plusargs],
            extra_env={"PATH": environment()["PATH"], **(env or {})},
            waves=waves,
            log_file=log,
        )
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    passed, failed = _outcomes(results)
    if run_dir is None:
        shutil.rmtree(place)
    if failed or not passed:
        what = f"{', '.join(failed)} failed" if failed else "the simulation stopped without a result"
        raise SimulationError(f"{module} on {toplevel} (seed {seed}): {what}\n{tail(text, 60)}")
    return BenchResults(tuple(passed), text)


def _outcomes(results: Path) -> tuple[list[str], list[str]]:
    """Names of the tests that passed and that failed, from the results file; none when there is no file."""
    passed: list[str] = []
    failed: list[str] = []
    if results.exists():
        for case in ElementTree.parse(results).getroot().iter("testcase"):
            bad = case.find("failure") is not None or case.find("error") is not None
            (failed if bad else passed).append(case.get("name", "?"))
    return passed, failed
