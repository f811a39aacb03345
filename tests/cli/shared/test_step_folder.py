from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from import_arrows import ROOMS

from tritforge.cli.shared import step_folder
from tritforge.cli.shared.step_folder import Done, run_step
from tritforge.errors import TritforgeError


class Work:
    """Counts how often it is done, and what it found in its folder."""

    def __init__(self, fails: bool = False) -> None:
        self.found: list[list[str]] = []
        self.fails = fails

    def __call__(self, folder: Path) -> dict[str, Any]:
        self.found.append(sorted(path.name for path in folder.iterdir() if path.name != step_folder.INPUTS))
        (folder / "half.bin").write_bytes(b"half")
        if self.fails:
            raise KeyboardInterrupt
        (folder / "whole.bin").write_bytes(b"whole")
        return {"value": len(self.found), "list": [1, 2]}


def step(folder: Path, work: Work, **inputs: Any) -> Done:
    return run_step(folder, inputs or {"seed": 0}, (), work)


def test_a_finished_step_is_not_repeated(tmp_path: Path) -> None:
    work = Work()
    first, second = step(tmp_path / "a", work), step(tmp_path / "a", work)
    assert (first.reused, second.reused) == (False, True)
    assert first.outcome == second.outcome == {"value": 1, "list": [1, 2]}
    assert len(work.found) == 1


def test_other_inputs_start_from_an_empty_folder(tmp_path: Path) -> None:
    work = Work()
    step(tmp_path / "a", work, seed=0)
    assert step(tmp_path / "a", work, seed=1).outcome["value"] == 2
    assert work.found == [[], []]


def test_changed_sources_and_versions_start_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work()
    step(tmp_path / "a", work)
    with monkeypatch.context() as patched:
        patched.setattr(step_folder, "source_digest", lambda *_: "other")
        assert not step(tmp_path / "a", work).reused
    with monkeypatch.context() as patched:
        patched.setattr(step_folder, "installed_versions", lambda: {"numpy": "0"})
        assert not step(tmp_path / "a", work).reused
    assert len(work.found) == 3


def test_an_interrupted_step_finds_its_files_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        step(tmp_path / "a", Work(fails=True))
    work = Work()
    assert not step(tmp_path / "a", work).reused
    assert work.found == [["half.bin"]]


@pytest.mark.parametrize("damage", ["changed", "missing", "record"])
def test_a_damaged_result_is_made_again(tmp_path: Path, damage: str) -> None:
    work = Work()
    step(tmp_path / "a", work)
    if damage == "changed":
        (tmp_path / "a/whole.bin").write_bytes(b"whale")
    elif damage == "missing":
        (tmp_path / "a/whole.bin").unlink()
    else:
        (tmp_path / "a" / step_folder.OUTCOME).write_text("{")
    assert not step(tmp_path / "a", work).reused
    assert work.found == [[], []]
    assert step(tmp_path / "a", work).reused


def test_files_of_another_origin_are_never_removed(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/one.jpg").write_bytes(b"")
    with pytest.raises(TritforgeError, match="another origin"):
        step(tmp_path / "photos", Work())
    assert (tmp_path / "photos/one.jpg").exists()


PLACES = {
    "contract": "tritforge/deep/er/a.py",
    "cli": "tritforge/cli/deep/a.py",
    "compress": "tritforge/compress/deep/a.cpp",
    "rtl": "tritforge/rtl/hdl/deep/a.sv",
    "sim": "tritforge/sim/deep/er/a.py",
    "reports": "tritforge/reports/deep/a.j2",
}


@pytest.fixture(params=["installed", "checkout"])
def rooms(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A file deep in each room, where the rooms lie inside the contract's folder, and where they lie beside it."""
    beside = request.param == "checkout"
    files = {}
    for room, place in PLACES.items():
        inside = not beside or room in ("contract", "cli")
        files[room] = tmp_path / "house" / (place if inside else place.removeprefix("tritforge/"))
        files[room].parent.mkdir(parents=True)
        files[room].write_text("one\n")

    def home(package: str) -> Path:
        _, _, room = package.partition(".")
        return tmp_path / "house" / (room if beside and room else package.replace(".", "/"))

    monkeypatch.setattr(step_folder, "_home", home)
    return files


STEPS = {"train": ("compress",), "simulate": ("rtl", "sim"), "model": ()}


@pytest.mark.parametrize("edited", PLACES)
def test_an_edit_deep_in_a_room_repeats_the_steps_that_depend_on_it_and_only_those(
    edited: str, rooms: dict[str, Path], tmp_path: Path
) -> None:
    works = {name: Work() for name in STEPS}

    def again() -> list[str]:
        done = {name: run_step(tmp_path / name, {}, STEPS[name], works[name]) for name in STEPS}
        return [name for name, step in done.items() if not step.reused]

    assert again() == list(STEPS)
    assert again() == []
    rooms[edited].write_text("two\n")
    assert again() == [name for name, uses in STEPS.items() if edited == "contract" or edited in uses]
    moved = rooms[edited].with_stem("b")
    rooms[edited].rename(moved)
    assert again() == [name for name, uses in STEPS.items() if edited == "contract" or edited in uses]


def test_an_edit_of_the_module_that_does_the_work_repeats_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, module = Work(), tmp_path / "work.py"
    module.write_text("one\n")
    monkeypatch.setattr(sys.modules[Work.__module__], "__file__", str(module))
    assert [step(tmp_path / "a", work).reused for _ in range(2)] == [False, True]
    module.write_text("two\n")
    assert not step(tmp_path / "a", work).reused


def test_every_room_is_known() -> None:
    assert set(step_folder.ROOMS) == ROOMS
    assert step_folder.source_digest(()) == step_folder.source_digest(()) != step_folder.source_digest(("rtl",))


def test_the_record_names_every_file(tmp_path: Path) -> None:
    step(tmp_path / "a", Work())
    record = json.loads((tmp_path / "a" / step_folder.OUTCOME).read_text())
    assert sorted(record["files"]) == ["half.bin", "whole.bin"]
