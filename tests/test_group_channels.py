"""How many channels a PE group has is always said: a caller that forgets it would compute with other groups."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from import_arrows import sources

ROOT = Path(__file__).resolve().parents[1]
NAME = "group_channels"
ALLOWED = {"AcceleratorParameters", "Recipe"}
"""A value that a user may leave out; everything computed takes its group from one of these or from a network."""


def defaults(root: Path) -> list[tuple[str, str]]:
    """Where ``group_channels`` has a default under ``root``: file and line, and the class or function it belongs to."""
    found = []
    for file in (*sources(root), *sorted((root / "tests").rglob("*.py"))):
        for line, owner in _defaults(ast.parse(file.read_text(encoding="utf-8"), str(file))):
            found.append((f"{file.relative_to(root)}:{line}", owner))
    return found


def _defaults(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            positional = [*node.args.posonlyargs, *node.args.args]
            given = positional[len(positional) - len(node.args.defaults) :]
            pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            given += [parameter for parameter, default in pairs if default is not None]
            if NAME in (parameter.arg for parameter in given):
                yield node.lineno, getattr(node, "name", "lambda")
        elif isinstance(node, ast.ClassDef):
            for line in node.body:
                targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
                named = any(isinstance(target, ast.Name) and target.id == NAME for target in targets)
                if named and getattr(line, "value", None) is not None:
                    yield line.lineno, node.name


def test_group_channels_has_a_default_in_parameters_and_recipes_alone():
    found = defaults(ROOT)
    assert sorted(owner for _, owner in found) == sorted(ALLOWED), found


@pytest.mark.parametrize(
    ("place", "source", "owner"),
    [
        ("tritforge/a.py", "def norms(weights, group_channels: int = 16): ...\n", "norms"),
        ("compress/deep/a.py", "class A:\n    def norms(self, *, group_channels=SIZE, other): ...\n", "norms"),
        ("sim/a.py", "async def norms(group_channels=None, /, x=1): ...\n", "norms"),
        ("reports/a.py", "norms = lambda weights, group_channels=16: weights\n", "lambda"),
        ("rtl/a.py", "@dataclass\nclass Shape:\n    outputs: int\n    group_channels: int = 16\n", "Shape"),
        ("tritforge/cli/a.py", "class Shape:\n    group_channels = 16\n", "Shape"),
        ("tests/samples.py", "def outer():\n    def inner(group_channels=4): ...\n", "inner"),
    ],
)
def test_a_planted_default_is_noticed(tmp_path: Path, place: str, source: str, owner: str):
    plant(tmp_path, place, source)
    (found,) = defaults(tmp_path)
    assert found[0].startswith(f"{place}:") and found[1] == owner


@pytest.mark.parametrize(
    "source",
    [
        "def norms(weights, group_channels, factors=None, *, other=1): ...\n",
        "def norms(weights=None, *, group_channels: int): ...\n",
        "@dataclass\nclass Shape:\n    group_channels: int\n    provenance: dict = field(default_factory=dict)\n",
        "group_channels = 16\n",
    ],
)
def test_a_value_that_must_be_given_passes(tmp_path: Path, source: str):
    plant(tmp_path, "compress/a.py", source)
    assert defaults(tmp_path) == []


def plant(root: Path, place: str, source: str) -> None:
    file = root / place
    file.parent.mkdir(parents=True)
    file.write_text(source, encoding="utf-8")
