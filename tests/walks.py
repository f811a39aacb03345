"""Which files of ours a network and a patch pass through: ``python tests/walks.py``.

A training of one epoch on the digits is exported, and a patch to its network is applied to the accelerator in memory.
Meanwhile every call from a file of ours to another one is noted, also through a library between them. Told are

- the files, in the order in which the work first enters them, which is the order in which a reader follows it;
- the arrows, which are the pairs of a calling and a called file;
- the climbs: places of that order where the next file lies on a higher floor of the import graph than the one before;
- the calls up: arrows to a file on a higher floor than the caller's, which therefore does not import it.

The same is told of packages. Functions are found by their name, so that the measure fits any layout of the same code:
an older checkout is measured by putting it in front on ``PYTHONPATH``.
"""

from __future__ import annotations

import ast
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np
from import_arrows import CLI, Arrow, arrows, floors, module_of, package_of, room_of, sources

Step = tuple[str, str]
"""A call: the caller's module and the callee's."""


@dataclass(frozen=True)
class Walk:
    """What a piece of work passes through: modules in the order of their first call, and the calls between them."""

    modules: tuple[str, ...]
    arrows: frozenset[Step]

    def climbs(self, floor: Mapping[str, int]) -> list[Step]:
        """Where the next module lies higher than the one before it."""
        return [pair for pair in pairwise(self.modules) if floor[pair[1]] > floor[pair[0]]]

    def calls_up(self, floor: Mapping[str, int]) -> list[Step]:
        """The arrows to a module that lies higher than the caller."""
        return sorted(arrow for arrow in self.arrows if floor[arrow[1]] > floor[arrow[0]])

    def folded(self, package: Mapping[str, str]) -> Walk:
        """The walk through packages that this one is."""
        ends = {(package[source], package[target]) for source, target in self.arrows}
        order = dict.fromkeys(package[module] for module in self.modules)
        return Walk(tuple(order), frozenset(end for end in ends if end[0] != end[1]))


def traced(work: Callable[[], object]) -> Walk:
    """The modules of ours whose functions ``work`` calls in this thread, without what importing a module does."""
    order, steps, names, importing = dict[str, None](), set[Step](), dict[CodeType, str](), 0

    def module(frame: FrameType) -> str:
        """The module of ours that a frame's function stands in; empty for others, and for generated functions."""
        code = frame.f_code
        if code not in names:
            name = frame.f_globals.get("__name__") or ""
            names[code] = name if name.startswith("tritforge.") and not code.co_filename.startswith("<") else ""
        return names[code]

    def note(frame: FrameType, event: str, _: object) -> None:
        nonlocal importing
        callee = module(frame)
        if not callee or event not in ("call", "return"):
            return
        if frame.f_code.co_name == "<module>":
            importing += 1 if event == "call" else -1
        elif event == "call" and not importing:
            order[callee] = None
            caller = frame.f_back
            while caller is not None and not module(caller):
                caller = caller.f_back
            if caller is not None and module(caller) != callee:
                steps.add((module(caller), callee))

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return Walk(tuple(order), frozenset(steps))


def told(title: str, walk: Walk, root: Path) -> Iterator[str]:
    """A walk in figures."""
    graph = arrows(root)
    places = {module_of(file.relative_to(root)): file.relative_to(root) for file in sources(root)}
    package = {module: f"{room_of(place)}/{package_of(place)}" for module, place in places.items()}
    between = {(package[arrow.source], package[arrow.target]) for arrow in graph}
    folded = [Arrow(source, target, lazy=False) for source, target in between if source != target]
    for what, own, below in (("files", walk, graph), ("packages", walk.folded(package), folded)):
        floor = dict.fromkeys(own.modules, 0) | floors(below)
        climbs, up = own.climbs(floor), own.calls_up(floor)
        yield f"{title}: {len(own.modules)} {what}, {len(own.arrows)} arrows, {len(climbs)} climbs, {len(up)} calls up"
    yield "  " + " > ".join(module.removeprefix("tritforge.") for module in walk.modules)


def named(root: Path, name: str) -> Any:
    """The function or class of a name that a single file of ours defines, the command line's left out."""
    found = []
    for file in sources(root):
        if room_of(file.relative_to(root)) != CLI:
            tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
            if any(isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name for node in tree.body):
                found.append(module_of(file.relative_to(root)))
    if len(found) != 1:
        raise LookupError(f"{name} is defined in {len(found)} files: {', '.join(found)}")
    return getattr(import_module(found[0]), name)


def main() -> None:
    """Measure both walks in the checkout that ``tritforge`` is imported from."""
    root = Path(import_module("tritforge").__file__ or "").resolve().parents[1]

    def ours(name: str) -> Any:
        return named(root, name)

    with tempfile.TemporaryDirectory() as folder:
        ours("train")(ours("load_recipe")("digits_ternary", ["epochs=1"]), folder)
        export = ours("export_run")
        print("\n".join(told("a network", traced(lambda: export(folder)), root)))
        network = export(folder).network
    parameters = ours("fitting_parameters")(network, ours("AcceleratorParameters")(group_channels=16))
    lower = ours("lower")
    trits = ours("network_trits")(network)
    trits[np.flatnonzero(trits)[:8]] = 0
    patch = ours("diff")(network, ours("with_trits")(network, trits), 1)
    port, apply = ours("MemoryImagePort")(lower(network, parameters).images, 1024, version=0), ours("apply_patch")
    walk = traced(lambda: apply(port, network, patch, lambda one: lower(one, parameters)))
    print("\n".join(told("a patch", walk, root)))


if __name__ == "__main__":
    main()
