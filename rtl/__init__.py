"""The accelerator in SystemVerilog (``rtl/hdl``) and what is generated for it from the memory map."""

from __future__ import annotations

import re
from pathlib import Path

HDL = Path(__file__).resolve().parent / "hdl"
LINT_WAIVERS = HDL / "lint.vlt"


def hdl_sources(toplevel: str | None = None) -> list[Path]:
    """SystemVerilog sources in compile order, packages first: all, or only those that ``toplevel`` needs.

    Raises:
        KeyError: there is no module ``toplevel``.
    """
    sources = {path.stem: path for path in sorted(HDL.rglob("*.sv"))}
    needed = set(sources) if toplevel is None else _closure(toplevel, sources)
    return sorted((sources[name] for name in needed), key=lambda path: (not path.stem.endswith("_pkg"), path))


def _closure(toplevel: str, sources: dict[str, Path]) -> set[str]:
    """Every source that is named, directly or not, in the code of ``toplevel``: a file holds the module of its name."""
    needed: set[str] = set()
    pending = {toplevel}
    while pending:
        name = pending.pop()
        needed.add(name)
        code = re.sub(r"//.*", "", sources[name].read_text(encoding="utf-8"))
        words = set(re.findall(r"\w+", code))
        pending |= (words & set(sources)) - needed
    return needed
