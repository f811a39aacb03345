"""Result files: what is written is read back, and every departure from the form is told in one sentence."""

from __future__ import annotations

import errno
import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tritforge import files
from tritforge.errors import ResultFileError, TritforgeError
from tritforge.files import atomic_write
from tritforge.results import Result, read_result, write_result

RESULT = Result(
    command="tritforge bench layers",
    arguments={"pes": 4, "network": "digits.safetensors"},
    metrics={"speedup": 2.5, "layers": [{"name": "conv1", "groups": 36}]},
    seeds=[0, 1],
    data_digest="ab" * 32,
    seconds=1.25,
)


def test_a_result_is_read_back_as_it_was_written(tmp_path: Path):
    write_result(tmp_path / "new folder" / "r.json", RESULT)
    assert read_result(tmp_path / "new folder" / "r.json") == RESULT


def test_a_measurement_may_take_no_time(tmp_path: Path):
    write_result(tmp_path / "r.json", replace(RESULT, seconds=0))
    assert read_result(tmp_path / "r.json").seconds == 0


def test_the_file_has_exactly_the_documented_fields(tmp_path: Path):
    write_result(tmp_path / "r.json", RESULT)
    document = json.loads((tmp_path / "r.json").read_text())
    names = "schema command arguments versions revision machine data_digest seeds seconds metrics"
    assert list(document) and set(document) == set(names.split())
    assert document["schema"] == 1
    assert {"python", "numpy", "tritforge"} <= set(document["versions"])
    assert document["versions"]["numpy"] == np.__version__
    assert "threads" in document["machine"] and document["revision"]


def test_numpy_values_and_paths_become_plain_json(tmp_path: Path):
    metrics = {"a": np.int64(3), "b": np.float32(0.5), "c": np.arange(4).reshape(2, 2), "d": np.bool_(True), "e": (1,)}
    write_result(
        tmp_path / "r.json", replace(RESULT, metrics=metrics, arguments={"out": Path("x")}, seeds=(np.int8(1),))
    )
    read = read_result(tmp_path / "r.json")
    assert read.metrics == {"a": 3, "b": 0.5, "c": [[0, 1], [2, 3]], "d": True, "e": [1]}
    assert read.arguments == {"out": "x"} and read.seeds == [1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": {"rows": [{"top1": float("nan")}]}}, "metrics.rows[0].top1 is nan, but numbers must be finite"),
        ({"metrics": {"x": object()}}, "metrics.x is a object, but must be a number, a string, a list or a mapping"),
        ({"seeds": [0.5]}, "seeds is [0.5], but must be a list of integers"),
        ({"seeds": [True]}, "seeds is [True], but must be a list of integers"),
        ({"seconds": -1}, "seconds is -1, but must be a number, 0 or more"),
        ({"command": ""}, "command is '', but must be a non-empty string"),
    ],
)
def test_a_wrong_value_is_not_written(tmp_path: Path, changes: dict[str, Any], message: str):
    with pytest.raises(ResultFileError) as raised:
        write_result(tmp_path / "r.json", replace(RESULT, **changes))
    assert str(raised.value) == f"{tmp_path / 'r.json'}: {message}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "schema is 2, but must be 1"),
        ({"schema": True}, "schema is True, but must be 1"),
        ({"metrics": None}, "metrics is None, but must be an object"),
        ({"versions": {"numpy": 2}}, "versions is {'numpy': 2}, but must be an object of strings"),
        ({"extra": 1}, "has the unknown field 'extra'; allowed are schema, command"),
        ({"machine": ...}, "lacks the field 'machine', which must be a string"),
        ({"seconds": float("inf")}, "is not a JSON file: found Infinity, but numbers must be finite"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_field(tmp_path: Path, changes: dict[str, Any], message: str):
    write_result(tmp_path / "r.json", RESULT)
    document = json.loads((tmp_path / "r.json").read_text()) | changes
    document = {key: value for key, value in document.items() if value is not ...}
    (tmp_path / "r.json").write_text(json.dumps(document))
    with pytest.raises(ResultFileError) as raised:
        read_result(tmp_path / "r.json")
    assert str(tmp_path / "r.json") in str(raised.value) and message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe\x00", b"3"])
def test_a_file_that_is_no_result_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(ResultFileError, match="r.json"):
        read_result(tmp_path / "r.json")


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ResultFileError, match="cannot read .*r.json: no such file"):
        read_result(tmp_path / "r.json")


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target = tmp_path / "r.json"
    atomic_write(target, b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(TritforgeError) as raised:
        atomic_write(target, b"new")
    assert str(raised.value) == f"cannot write {target}: no space left on device"
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_bytes_and_name_are_on_the_disk_before_writing_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    done = []
    fsync, replace_file = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else os.fstat(descriptor).st_size)
        fsync(descriptor)

    def renamed(*paths: Any, **folders: int) -> None:
        done.append("renamed")
        replace_file(*paths, **folders)

    monkeypatch.setattr(files.os, "fsync", synced)
    monkeypatch.setattr(files.os, "replace", renamed)
    atomic_write(tmp_path / "file", b"12345")
    assert done == [5, "renamed", "folder"]


def test_a_new_file_follows_the_umask_and_a_link_stays_a_link(tmp_path: Path):
    plain, written, link = tmp_path / "plain", tmp_path / "written", tmp_path / "link"
    plain.write_bytes(b"")
    atomic_write(written, b"x")
    assert stat.S_IMODE(written.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    link.symlink_to(written)
    atomic_write(link, b"y")
    assert link.is_symlink() and written.read_bytes() == b"y"


def test_a_device_is_written_to_and_not_replaced():
    before = os.stat("/dev/null").st_mode
    atomic_write("/dev/null", b"x")
    assert os.stat("/dev/null").st_mode == before


def test_a_folder_is_not_overwritten(tmp_path: Path):
    with pytest.raises(TritforgeError, match="is a directory"):
        atomic_write(tmp_path, b"x")
    assert tmp_path.is_dir()
