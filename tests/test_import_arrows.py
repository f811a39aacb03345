"""The import arrows between the rooms hold, and the checker that says so notices when they do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from import_arrows import (
    GROUND,
    INSIDE,
    arrows,
    circles,
    floors,
    main,
    package_of,
    room_of,
    sources,
    summary,
    violations,
)

ROOT = Path(__file__).resolve().parents[1]


def test_no_import_is_against_the_arrows():
    assert len(list(sources(ROOT))) > 200
    assert violations(ROOT) == []


def test_every_package_is_listed_with_arrows_to_those_before_it_and_no_others_are():
    packages: dict[str, set[str]] = {}
    for file in sources(ROOT):
        packages.setdefault(room_of(file.relative_to(ROOT)), set()).add(package_of(file.relative_to(ROOT)))
    flat = {room for room, found in packages.items() if found == {GROUND}}
    assert {room: set(table) for room, table in INSIDE.items()} == {
        room: found for room, found in packages.items() if room not in flat
    }
    for table in INSIDE.values():
        order = list(table)
        assert all(order.index(below) < order.index(name) for name, inside in table.items() for below in inside.split())


def test_the_graph_of_the_checkout_is_drawn(capsys: pytest.CaptureFixture):
    assert main() == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-2].endswith(" arrows between packages, 0 of them back up, 0 circles of files")
    assert told[-1] == "every arrow is allowed"


@pytest.mark.parametrize(
    ("place", "source", "message"),
    [
        (
            "tritforge/network/a.py",
            "import os\nimport torch\n",
            "tritforge/network/a.py:2: contract may not import the pa",
        ),
        ("tritforge/network/a.py", "import tomllib\n", "contract may not import the package tomllib"),
        ("tritforge/network/a.py", "from .. import sim\n", "contract may not import the room sim"),
        ("tritforge/overlay/a.py", "from ..rtl import hdl\n", "contract may not import the room rtl"),
        ("tritforge/patches/a.py", "import cryptography\n", "only import it inside a function"),
        ("compress/training/a.py", "from tritforge.sim.server import start\n", "compress may not import the room sim"),
        ("compress/training/a.py", "import sim.server\n", "a room is imported as tritforge.sim.server"),
        (
            "sim/runs/b.py",
            "def run():\n    from tritforge import compress\n",
            "sim/runs/b.py:2: sim may not import the room",
        ),
        ("rtl/a.py", "import importlib\nimportlib.import_module('tritforge.sim')\n", "rtl/a.py:2: rtl may not import"),
        ("reports/pages/draw.py", "from tritforge.compress import x\n", "reports may not import the room compress"),
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
        ("tritforge/patches/a.py", "try:\n    import cryptography\nexcept ImportError:\n    pass\n"),
        ("tritforge/network/a.py", "import json\nimport numpy as np\nfrom tritforge.errors import NetworkError\n"),
        ("tritforge/overlay/a.py", "from ..errors import NetworkError\nfrom . import b\n"),
        ("compress/training/a.py", "import torch.nn as nn\nfrom tritforge import network\nfrom ..models import x\n"),
        ("sim/benches/a.py", "import cocotb\nfrom tritforge.rtl import map\n"),
        ("tritforge/cli/train.py", "import typer\ndef train():\n    from tritforge.compress import x\n"),
        ("notes/anything.py", "import torch\nimport sim\n"),
    ],
)
def test_an_allowed_import_passes(tmp_path: Path, place: str, source: str):
    plant(tmp_path, place, source)
    assert violations(tmp_path) == []


@pytest.mark.parametrize(
    ("place", "source", "message"),
    [
        ("tritforge/network/a.py", "from tritforge.overlay import b\n", "package network may not import the package o"),
        ("tritforge/patches/a.py", "from tritforge.overlay.b import c\n", "patches may not import the package overlay"),
        ("tritforge/overlay/a.py", "from tritforge.patches.b import c\n", "overlay may not import the package patches"),
        ("tritforge/network/a.py", "from ..samples import b\n", "network may not import the package samples"),
        ("tritforge/errors.py", "import tritforge.network.b\n", "the ground floor may not import the package network"),
        ("tritforge/fleet/a.py", "from tritforge.errors import b\n", "the package fleet of contract is in no list"),
        ("compress/run/a.py", "from tritforge.compress.data import b\n", "package run may not import the package data"),
        (
            "compress/data/a.py",
            "def f():\n    import tritforge.compress.run.b\n",
            "data may not import the package run",
        ),
        ("compress/methods/a.py", "from tritforge.compress.updates import b\n", "methods may not import the package u"),
        ("compress/updates/a.py", "from ..methods.b import c\n", "updates may not import the package methods"),
        ("compress/data/a.py", "X = 'tritforge.compress.models.b:load'\n", "data may not import the package models"),
        ("sim/runs/a.py", "from tritforge.sim.measure import b\n", "runs may not import the package measure"),
        (
            "reports/training/a.py",
            "from tritforge.reports.pages import b\n",
            "training may not import the package pages",
        ),
        ("tritforge/cli/shared/a.py", "from tritforge.cli.demo import b\n", "shared may not import the package demo"),
    ],
)
def test_a_planted_arrow_inside_a_room_is_noticed(tmp_path: Path, place: str, source: str, message: str):
    plant(tmp_path, place, source)
    found = violations(tmp_path)
    assert len(found) == 1
    assert message in found[0]


def test_a_planted_circle_is_noticed(tmp_path: Path):
    plant(tmp_path, "compress/run/a.py", "from tritforge.compress.run import b\n")
    (tmp_path / "compress/run/b.py").write_text("def f():\n    from tritforge.compress.run.c import g\n")
    (tmp_path / "compress/run/c.py").write_text("")
    assert violations(tmp_path) == []
    assert floors(arrows(tmp_path)) == {f"tritforge.compress.run.{name}": floor for floor, name in enumerate("cba")}
    (tmp_path / "compress/run/c.py").write_text("import tritforge.compress.run.a\n")
    (told,) = violations(tmp_path)
    assert told.startswith("a circle of imports: ") and all(f"compress.run.{name}" in told for name in "abc")
    assert len(circles(arrows(tmp_path))) == 1
    (tmp_path / "compress/run/d.py").write_text("import tritforge.compress.run.b\n")
    assert floors(arrows(tmp_path)) == {f"tritforge.compress.run.{name}": int(name == "d") for name in "abcd"}


def test_an_arrow_back_up_is_counted(tmp_path: Path):
    plant(tmp_path, "compress/run/a.py", "from tritforge.compress.data import b\n")
    plant(tmp_path, "compress/data/b.py", "")
    assert list(summary(tmp_path))[-1] == "1 arrows between packages, 1 of them back up, 0 circles of files"


def plant(root: Path, place: str, source: str) -> None:
    file = root / place
    file.parent.mkdir(parents=True)
    file.write_text(source, encoding="utf-8")
