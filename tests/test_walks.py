"""A walk holds the files that a piece of work passes through, in order, and nothing that only looks like one."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from import_arrows import arrows, floors
from walks import Walk, named, told, traced

TOP = """
from functools import reduce
from tritforge.room.low import Pair, double
LOADED = double(1)
def top(call):
    from tritforge.room.late import late
    return reduce(lambda one, other: double(one) + other, [1, 2, 3]) + late() + call() + Pair(1).left
def called():
    return 1
"""
LOW = """
from dataclasses import dataclass
@dataclass
class Pair:
    left: int
def double(number):
    return 2 * number
"""
LATE = """
from tritforge.room.low import double
LOADED = double(2)
def late():
    return 3
"""
MIDDLE = """
from tritforge.room.low import double
def middle(call):
    return double(call())
"""
SOURCES = {"top": TOP, "low": LOW, "late": LATE, "middle": MIDDLE}


@pytest.fixture()
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose contract has the package ``room``, imported beside the real ones."""
    folder = tmp_path / "tritforge" / "room"
    folder.mkdir(parents=True)
    for name, source in SOURCES.items():
        (folder / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, f"tritforge.room.{name}", raising=False)
    package = ModuleType("tritforge.room")
    package.__path__ = [str(folder)]
    monkeypatch.setitem(sys.modules, "tritforge.room", package)
    return tmp_path


def short(names: tuple[str, ...]) -> list[str]:
    return [name.removeprefix("tritforge.room.") for name in names]


def test_a_walk_has_calls_through_libraries_but_none_of_imports_and_generated_functions(room: Path) -> None:
    top = named(room, "top")
    walk = traced(lambda: top(lambda: 4))
    assert short(walk.modules) == ["top", "low", "late"]
    assert {tuple(short(arrow)) for arrow in walk.arrows} == {("top", "low"), ("top", "late")}
    assert sys.getprofile() is None


def test_a_call_up_is_told_and_so_is_a_climb_of_the_order(room: Path) -> None:
    top, called, middle = (named(room, name) for name in ("top", "called", "middle"))
    floor = floors(arrows(room))
    names = {name.rpartition(".")[2]: level for name, level in floor.items()}
    assert names == {"low": 0, "late": 1, "middle": 1, "top": 2}
    up = traced(lambda: middle(called))
    assert [tuple(short(arrow)) for arrow in up.calls_up(floor)] == [("middle", "top")]
    assert [tuple(short(pair)) for pair in up.climbs(floor)] == [("middle", "top")]
    down = traced(lambda: top(lambda: 4))
    assert down.calls_up(floor) == [] and [tuple(short(pair)) for pair in down.climbs(floor)] == [("low", "late")]


def test_a_walk_is_told_of_files_and_of_packages(room: Path) -> None:
    top = named(room, "top")
    assert list(told("it", traced(lambda: top(lambda: 4)), room)) == [
        "it: 3 files, 2 arrows, 1 climbs, 0 calls up",
        "it: 1 packages, 0 arrows, 0 climbs, 0 calls up",
        "  room.top > room.low > room.late",
    ]


def test_packages_are_entered_in_the_order_of_their_files() -> None:
    walk = Walk(("a1", "b1", "a2", "c1"), frozenset({("a1", "b1"), ("b1", "a2"), ("a1", "a2"), ("a2", "c1")}))
    folded = walk.folded({name: name[0] for name in walk.modules})
    assert folded == Walk(("a", "b", "c"), frozenset({("a", "b"), ("b", "a"), ("a", "c")}))


def test_a_name_that_several_files_define_is_refused(room: Path) -> None:
    (room / "tritforge" / "room" / "other.py").write_text("def late(): pass\n")
    with pytest.raises(LookupError, match=r"late is defined in 2 files: tritforge\.room\.late, tritforge\.room\.other"):
        named(room, "late")
