"""Verilator builds, kept by what went into them, and lint; with the Verilator of the Python environment."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import cocotb_tools.config

from tritforge.builds import build_root
from tritforge.errors import TritforgeError
from tritforge.rtl import LINT_WAIVERS, hdl_sources
from tritforge.sim import HDL

COVERAGE_VARIABLE = "TRITFORGE_COVERAGE"
"""Environment variable with a folder: builds then count lines and toggles, simulations leave their counts in it."""

SHARED_CODE = HDL / "shared_code.vlt"

_FLAGS = ("--assert", "-Wno-fatal", "--x-assign", "unique", "--x-initial", "unique", "-O3", "--timescale", "1ns/1ps")
_COVERAGE = ("--coverage-line", "--coverage-toggle")
_MAKE = ("OPT_FAST=-O2", "OPT_GLOBAL=-O1", "CFG_CXXFLAGS_PCH_I=-include")


class SimulationError(TritforgeError):
    """A build, a lint run or a bench that failed; the sentence is followed by the tail of the log."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.details = message.partition("\n")[2]


def _root(build_dir: Path | None) -> Path:
    return build_root(build_dir) / "verilator"


def coverage_folder() -> Path | None:
    """The coverage variable's folder; None where nothing is counted."""
    folder = os.environ.get(COVERAGE_VARIABLE)
    return Path(folder).resolve() if folder else None


def build(
    toplevel: str,
    sources: Sequence[Path] | None = None,
    parameters: Mapping[str, int] | None = None,
    build_dir: Path | None = None,
    waves: bool = False,
    visible: bool = False,
) -> Path:
    """Build a simulation with cocotb in it, unless it was built before; safe in parallel.

    Args:
        toplevel: top module.
        sources: SystemVerilog files in compile order; what ``toplevel`` needs when not given.
        parameters: parameters of the top module.
        build_dir: see :func:`tritforge.builds.build_root`.
        waves: with value change dumps.
        visible: every signal of the hierarchy can be reached from a bench, not only the top module's; slower.

    Returns:
        The folder with the executable, which has the top module's name.

    Raises:
        SimulationError: Verilator or the C++ compiler refused the sources.
    """
    sources = list(sources or hdl_sources(toplevel))
    arguments = _arguments(parameters, waves, visible)
    root = _root(build_dir)
    folder = build_folder(toplevel, sources, parameters, build_dir, waves, visible)
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "done"
    with _locked(folder / "lock"):
        if not done.exists():
            _verilate(folder, toplevel, sources, arguments)
            _compile(folder, root / f"runtime-{_key([*_runtime(waves), *_MAKE], [])}", waves)
            done.touch()
    return folder


def build_folder(
    toplevel: str,
    sources: Sequence[Path] | None = None,
    parameters: Mapping[str, int] | None = None,
    build_dir: Path | None = None,
    waves: bool = False,
    visible: bool = False,
) -> Path:
    """The folder that :func:`build` builds into, by what goes into it."""
    arguments = _arguments(parameters, waves, visible)
    return _root(build_dir) / _key([toplevel, *arguments, *_MAKE], list(sources or hdl_sources(toplevel)))


def compiled_files(folder: Path) -> tuple[int, int]:
    """How many of the C++ files in a build folder have been compiled, and how many there are; 0 of 0 at first."""
    models = {path.stem for path in folder.glob("Vtop*.cpp")}
    return len(models & {path.stem for path in folder.glob("Vtop*.o")}), len(models)


def lint(toplevel: str, parameters: Mapping[str, int] | None = None) -> None:
    """Lint a module with all warnings; raises SimulationError with what is not waived in ``rtl/hdl/lint.vlt``."""
    options = [f"-G{name}={value}" for name, value in (parameters or {}).items()]
    command = ["verilator", "--lint-only", "-Wall", "--top-module", toplevel, *options, str(LINT_WAIVERS)]
    done = subprocess.run(
        [*command, *map(str, hdl_sources(toplevel))], env=environment(), capture_output=True, text=True
    )
    if done.returncode:
        raise SimulationError(f"{toplevel} does not pass lint:\n{done.stderr.strip()}")


def environment() -> dict[str, str]:
    """Environment in which the packaged Verilator and this Python come first."""
    home = Path(sysconfig.get_paths()["purelib"]) / "verilator"
    path = os.pathsep.join([str(home / "bin"), str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "VERILATOR_ROOT": str(home)}


def tail(text: str, lines: int = 40) -> str:
    """The last lines of a log."""
    return "\n".join(text.rstrip().splitlines()[-lines:])


def _verilate(folder: Path, toplevel: str, sources: Sequence[Path], arguments: Sequence[str]) -> None:
    visible = folder / "visible.vlt"
    visible.write_text(f'`verilator_config\npublic_flat_rw -module "{toplevel}" -var "*"\n', encoding="utf-8")
    libraries = cocotb_tools.config.libs_dir
    _run(
        [
            *("verilator", "-cc", "--exe", "--vpi", "-Mdir", str(folder)),
            *("--top-module", toplevel, "--prefix", "Vtop", "-o", toplevel),
            *("-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"),
            *arguments,
            *map(str, (LINT_WAIVERS, SHARED_CODE, visible)),
            str(cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"),
            *map(str, sources),
        ],
        f"Verilator refused {toplevel}",
    )


def _compile(folder: Path, runtime: Path, waves: bool) -> None:
    """Run make; Verilator's own runtime, most of a small build, is compiled once and then shared."""
    if runtime.is_dir():
        shutil.copytree(runtime, folder, copy_function=shutil.copy, dirs_exist_ok=True)  # as new: make keeps them
    command = ["make", "-j", "2", "-C", str(folder), "-f", "Vtop.mk", f"VM_TRACE={int(waves)}", *_MAKE]
    _run(command, f"the C++ of {folder} does not build")
    if not runtime.is_dir():
        part = runtime.with_name(f".{runtime.name}.{os.getpid()}")
        part.mkdir()
        for item in folder.glob("verilated*.o"):
            shutil.copy2(item, part)
        try:
            part.rename(runtime)
        except OSError:  # another process was first
            shutil.rmtree(part)


def _run(command: Sequence[str], failure: str) -> None:
    done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SimulationError(f"{failure}:\n{tail(done.stdout)}")


def _arguments(parameters: Mapping[str, int] | None, waves: bool, visible: bool) -> list[str]:
    arguments = [*_FLAGS, *(f"-G{name}={value}" for name, value in sorted((parameters or {}).items()))]
    return arguments + _runtime(waves) + ["--public-flat-rw"] * visible


def _runtime(waves: bool) -> list[str]:
    """The arguments that Verilator's own runtime is compiled for."""
    return ["--trace"] * waves + [*_COVERAGE] * (coverage_folder() is not None)


def _key(words: Sequence[str], files: Sequence[Path]) -> str:
    """Digest of command words, file contents and the tools' place."""
    digest = hashlib.sha256(repr((words, sys.executable, cocotb_tools.config.libs_dir)).encode())
    for file in [SHARED_CODE, *files]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
