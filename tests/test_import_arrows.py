"""The import arrows between the rooms hold, and the checker that says so notices when they do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from import_arrows import sources, violations

ROOT = Path(__file__).resolve().parents[1]


def test_no_room_imports_against_the_arrows():
    assert len(list(sources(ROOT))) > 5
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("place", "source", "message"),
    [
        ("tritforge/network.py", "import os\nimport torch\n", "tritforge/network.py:2: contract may not import the pa"),
        ("tritforge/network.py", "import tomllib\n", "contract may not import the package tomllib"),
        ("tritforge/network.py", "from . import sim\n", "contract may not import the room sim"),
        ("tritforge/deep/a.py", "from ..rtl import hdl\n", "contract may not import the room rtl"),
        ("tritforge/patch.py", "import cryptography\n", "only import it inside a function"),
        ("compress/train.py", "from tritforge.sim.server import start\n", "compress may not import the room sim"),
        ("compress/train.py", "import sim.server\n", "a room is imported as tritforge.sim.server"),
        ("sim/a/b.py", "def run():\n    from tritforge import compress\n", "sim/a/b.py:2: sim may not import the room"),
        ("rtl/a.py", "import importlib\nimportlib.import_module('tritforge.sim')\n", "rtl/a.py:2: rtl may not import"),
        ("reports/draw.py", "from tritforge.compress import x\n", "reports may not import the room compress"),
        ("tritforge/cli/train.py", "from tritforge.compress import x\n", "only import it inside a function"),
        ("tritforge/cli/train.py", "import torch\n", "only import it inside a function"),
        ("tritforge/cli/train.py", "from ..compress import x\n", "only import it inside a function"),
    ],
)
def test_a_planted_import_is_noticed(tmp_path: Path, place: str, source: str, message: str):
    plant(tmp_path, place, source)
    found = violations(tmp_path)
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("tritforge/patch.py", "try:\n    import cryptography\nexcept ImportError:\n    pass\n"),
        ("tritforge/network.py", "import json\nimport numpy as np\nfrom tritforge.errors import NetworkError\n"),
        ("tritforge/deep/a.py", "from ..errors import NetworkError\nfrom . import b\n"),
        ("compress/train.py", "import torch.nn as nn\nfrom tritforge import network\nfrom .models import x\n"),
        ("sim/bench.py", "import cocotb\nfrom tritforge.rtl import map\n"),
        ("tritforge/cli/train.py", "import typer\ndef train():\n    from tritforge.compress import x\n"),
        ("notes/anything.py", "import torch\nimport sim\n"),
    ],
)
def test_an_allowed_import_passes(tmp_path: Path, place: str, source: str):
    plant(tmp_path, place, source)
    assert violations(tmp_path) == []


def plant(root: Path, place: str, source: str) -> None:
    file = root / place
    file.parent.mkdir(parents=True)
    file.write_text(source, encoding="utf-8")
