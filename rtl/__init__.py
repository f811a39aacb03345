"""The accelerator in SystemVerilog (``rtl/hdl``) and what is generated for it from the memory map."""

from __future__ import annotations

from pathlib import Path

HDL = Path(__file__).resolve().parent / "hdl"
LINT_WAIVERS = HDL / "lint.vlt"


def hdl_sources() -> list[Path]:
    """The SystemVerilog sources of the accelerator in compile order: packages first."""
    sources = sorted(HDL.rglob("*.sv"))
    return sorted(sources, key=lambda source: not source.stem.endswith("_pkg"))
