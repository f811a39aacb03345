"""Writers of one file: whatever lies in the folder, dies or runs beside, the file is one writer's and whole."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tritforge.errors import TritforgeError
from tritforge.files import atomic_stream, atomic_write, sweep


@contextmanager
def writer(target: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process in the middle of writing ``target``; it ends, with the file in place, at a line of input."""
    code = """
        import sys
        from tritforge.files import atomic_stream
        with atomic_stream(sys.argv[1]) as stream:
            stream.write(b"theirs")
            stream.flush()
            print("begun", flush=True)
            sys.stdin.readline()
        """
    command = [sys.executable, "-c", textwrap.dedent(code), str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        try:
            yield process
        finally:
            process.kill()


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob(".*.part"))


def test_a_planted_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim, target = tmp_path / "victim", tmp_path / "file"
    victim.write_bytes(b"precious")
    names = iter(["0" * 16, "1" * 16])
    monkeypatch.setattr(secrets, "token_hex", lambda size: next(names))
    planted = [tmp_path / f".file.{middle}.part" for middle in (os.getpid(), "0" * 16)]
    for link in planted:
        link.symlink_to(victim)
    atomic_write(target, b"new")
    assert victim.read_bytes() == b"precious" and target.read_bytes() == b"new" and not target.is_symlink()
    assert parts(tmp_path) == sorted(planted)


def test_names_of_temporary_files_do_not_repeat(tmp_path: Path) -> None:
    seen = []
    for _ in range(3):
        with atomic_stream(tmp_path / "file"):
            seen += parts(tmp_path)
    assert len(set(seen)) == 3


@pytest.mark.parametrize("mode", [0o600, 0o444, 0o755, 0o666])
def test_the_mode_of_the_file_replaced_is_kept(mode: int, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    target.chmod(mode)
    with atomic_stream(target) as stream:
        stream.write(b"new")
        assert [stat.S_IMODE(part.stat().st_mode) for part in parts(tmp_path)] == [mode]
    assert stat.S_IMODE(target.stat().st_mode) == mode and target.read_bytes() == b"new"


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_new_file_follows_the_umask(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        atomic_write(tmp_path / "file", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask


def test_threads_may_write_one_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    contents = [bytes([number]) * 5000 for number in range(200)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda content: atomic_write(target, content), contents))
    assert target.read_bytes() in contents
    assert os.listdir(tmp_path) == ["file"]


def test_the_last_of_two_processes_wins(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with writer(target) as process:
        atomic_write(target, b"ours")
        sweep(target)
        assert target.read_bytes() == b"ours" and len(parts(tmp_path)) == 1
        process.communicate("\n")
        assert process.returncode == 0
    assert target.read_bytes() == b"theirs" and os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("sweeper", [sweep, lambda target: atomic_write(target, b"ours")])
def test_what_a_killed_writer_left_is_swept(sweeper, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"ours")
    with writer(target) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(parts(tmp_path)) == 1 and target.read_bytes() == b"ours"
    sweeper(target)
    assert os.listdir(tmp_path) == ["file"] and target.read_bytes() == b"ours"


def test_only_own_parts_are_swept(tmp_path: Path) -> None:
    others = [
        ".file.safetensors.0123456789abcdef.part",
        ".filex0123456789abcdef.part",
        "file.00.part",
        ".file.note.part",
    ]
    for name in others:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".file.0f.part").mkdir()
    os.mkfifo(tmp_path / ".file.1f.part")
    before = set(os.listdir(tmp_path))
    (tmp_path / ".file.0123456789abcdef.part").write_bytes(b"")
    sweep(tmp_path / "file")
    assert set(os.listdir(tmp_path)) == before


def test_a_sweep_between_creation_and_lock_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file"
    flock = fcntl.flock
    swept = []

    def late(descriptor: int, kind: int) -> None:
        if not kind & fcntl.LOCK_NB and not swept:
            swept.extend(parts(tmp_path))
            sweep(target)
        flock(descriptor, kind)

    monkeypatch.setattr(fcntl, "flock", late)
    atomic_write(target, b"new")
    assert len(swept) == 1 and target.read_bytes() == b"new" and os.listdir(tmp_path) == ["file"]


def failing_sync_of(folder: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def sync(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), folder.stat()):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)


def test_a_folder_that_cannot_be_flushed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_sync_of(tmp_path, errno.EIO, monkeypatch)
    with pytest.raises(TritforgeError) as raised:
        atomic_write(tmp_path / "file", b"new")
    assert str(raised.value) == f"cannot write {tmp_path / 'file'}: input/output error"
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_system_that_flushes_no_folders_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_sync_of(tmp_path, errno.EINVAL, monkeypatch)
    atomic_write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_new_folders_are_flushed_into_those_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = []
    fsync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: (fsync(descriptor), flushed.append(os.fstat(descriptor).st_ino))
    )
    target = tmp_path / "a" / "b" / "file"
    atomic_write(target, b"new")
    assert flushed == [path.stat().st_ino for path in (tmp_path, target.parents[1], target, target.parent)]


def test_a_file_among_the_folders_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(TritforgeError, match="cannot write .*file: not a directory"):
        atomic_write(tmp_path / "a" / "file", b"new")
