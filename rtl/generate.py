"""Everything that is generated from register map, descriptors and memory spaces, and the check that it is up to date.

``python -m tritforge.rtl.generate`` writes the files into the checkout; with ``--check`` it only compares and exits
with status 1, naming the files that differ.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tritforge.rtl.descriptor_outputs import descriptor_markdown, descriptor_package
from tritforge.rtl.register_outputs import (
    read_register_map,
    register_constants,
    register_markdown,
    register_verilog,
    window_package,
)
from tritforge.rtl.space_outputs import space_markdown, space_package

RTL = Path(__file__).resolve().parent
CHECKOUT = RTL.parent
REGISTER_MAP = RTL / "map" / "accelerator.rdl"


def generated_files() -> dict[str, str]:
    """Text of every generated file, by its path in the checkout."""
    top = read_register_map(REGISTER_MAP)
    block = read_register_map(REGISTER_MAP, whole=False)
    hdl = "rtl/hdl/generated"
    return {
        **{f"{hdl}/{name}": text for name, text in register_verilog(block).items()},
        f"{hdl}/tritforge_windows_pkg.sv": window_package(top, block),
        f"{hdl}/tritforge_descriptor_pkg.sv": descriptor_package(),
        f"{hdl}/tritforge_spaces_pkg.sv": space_package(),
        "tritforge/overlay/register_map.py": register_constants(top),
        "docs/register_map.md": register_markdown(top) + space_markdown(),
        "docs/descriptors.md": descriptor_markdown(),
    }


def main(arguments: list[str] | None = None, root: Path = CHECKOUT) -> int:
    """Write or check the generated files under ``root``; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tritforge.rtl.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; exit with status 1 when a file differs")
    check = parser.parse_args(arguments).check
    stale = {place: text for place, text in generated_files().items() if _content(root / place) != text}
    for place, text in stale.items():
        if check:
            print(f"{place} is not what its source gives; run python -m tritforge.rtl.generate", file=sys.stderr)
        else:
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).write_text(text, encoding="utf-8")
            print(f"wrote {place}")
    return 1 if check and stale else 0


def _content(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
