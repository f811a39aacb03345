"""Where what is built goes: Verilator's simulations, synthesised modules, compiled kernels."""

from __future__ import annotations

import os
from pathlib import Path

BUILD_VARIABLE = "TRITFORGE_BUILD"
"""Environment variable that moves the build folder; ``build`` in the working folder otherwise."""


def build_root(build_dir: Path | None = None) -> Path:
    """The folder of all builds: the one given, or that of :data:`BUILD_VARIABLE`."""
    return Path(build_dir or os.environ.get(BUILD_VARIABLE, "build")).resolve()
