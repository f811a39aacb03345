from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tritforge.cli import step_folder
from tritforge.cli.step_folder import Done, run_step
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
        patched.setattr(step_folder, "source_digest", lambda rooms: "other")
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


def test_the_source_digest_covers_the_rooms_asked_for() -> None:
    contract, with_rtl = step_folder.source_digest(()), step_folder.source_digest(("rtl",))
    assert contract == step_folder.source_digest(()) != with_rtl


def test_the_record_names_every_file(tmp_path: Path) -> None:
    step(tmp_path / "a", Work())
    record = json.loads((tmp_path / "a" / step_folder.OUTCOME).read_text())
    assert sorted(record["files"]) == ["half.bin", "whole.bin"]
