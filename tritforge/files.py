"""Writing files so that a reader never sees half of one, and what was written or removed outlives a power cut."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tritforge.errors import TritforgeError

_LOCKLESS = (errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What ``flock`` fails with where a file system has no locks."""


def atomic_write(path: str | os.PathLike[str], content: bytes) -> None:
    """Replace the file at ``path`` by ``content`` in one step; on failure the old file stays as it was.

    Raises:
        TritforgeError: as :func:`atomic_stream` does.
    """
    with atomic_stream(path) as stream:
        stream.write(content)


@contextmanager
def atomic_stream(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens what replaces the file at ``path`` in one step when the block ends; if it fails, the old file stays.

    The bytes go to a temporary file of this writer alone in the same folder, are flushed to the disk and renamed; then
    the folder is flushed. So several writers of one file do not meet, and the last one's stays. The new file has the
    mode of the old one. Missing folders are created. What exists and is no regular file (a pipe, ``/dev/stdout``) is
    written to directly.

    Raises:
        TritforgeError: the file cannot be written; the sentence names it and the reason (a full disk, a permission).
            An OSError of the block counts as one of writing. If only the folder cannot be flushed, the new file is
            there, but may be gone after a power cut.
    """
    name = os.fspath(path)
    try:
        target = Path(os.path.realpath(name))
        if target.exists() and not target.is_file() and not target.is_dir():
            with open(name, "wb") as stream:
                yield stream
            return
        _make_folder(target.parent)
        with _opened(target.parent) as folder, _replacing(folder, target.name) as stream:
            yield stream
    except OSError as error:
        raise TritforgeError(f"cannot write {name}: {reason(error)}") from error


def remove(path: str | os.PathLike[str]) -> None:
    """Remove the file at ``path``, if there is one, so that it does not come back after a power cut.

    Raises:
        OSError: it cannot be removed, or the folder cannot be flushed.
    """
    target = Path(path)
    if not target.parent.exists():
        return
    with _opened(target.parent) as folder:
        with suppress(FileNotFoundError):
            os.unlink(target.name, dir_fd=folder)
        _sync_folder(folder)


def sweep(path: str | os.PathLike[str]) -> None:
    """Remove the temporary files that dead writers of the file at ``path`` have left; those of live ones stay.

    Every writer does so before it begins. What is not this process's to remove stays.
    """
    target = Path(os.path.realpath(path))
    with suppress(OSError), _opened(target.parent) as folder:
        _sweep(folder, target.name)


@contextmanager
def held(path: str | os.PathLike[str]) -> Iterator[None]:
    """Holds the file at ``path``, which the block may replace; waits while another process does.

    Only those who hold it, too, are kept away, and only where the file system has locks.

    Raises:
        OSError: the file cannot be opened.
    """
    while True:
        with open(path, "rb") as stream:
            _lock(stream.fileno())
            if os.path.samestat(os.fstat(stream.fileno()), os.stat(path)):
                yield
                return


def reason(error: OSError) -> str:
    """What the operating system said, as the second half of a sentence: ``no space left on device``."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


@contextmanager
def _replacing(folder: int, name: str) -> Iterator[BinaryIO]:
    _sweep(folder, name)
    part, descriptor = _new_part(folder, name)
    try:
        with open(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(descriptor)
            os.replace(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(part, dir_fd=folder)
        raise
    _sync_folder(folder)


def _new_part(folder: int, name: str) -> tuple[str, int]:
    """A new temporary file for ``name``: what it is called, and its descriptor, which holds its lock."""
    mode = _mode(folder, name)
    while True:
        part = f".{name}.{secrets.token_hex(8)}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            descriptor = os.open(part, flags, 0o666 if mode is None else mode, dir_fd=folder)
        except FileExistsError:
            continue
        try:
            _lock(descriptor)
            found = os.fstat(descriptor)
            if mode not in (None, stat.S_IMODE(found.st_mode)):
                os.fchmod(descriptor, mode)
        except BaseException:
            os.close(descriptor)
            os.unlink(part, dir_fd=folder)
            raise
        if found.st_nlink:
            return part, descriptor
        os.close(descriptor)  # another writer's sweep came between creation and lock


def _mode(folder: int, name: str) -> int | None:
    """The permissions of the regular file ``name``; None if there is none."""
    try:
        mode = os.stat(name, dir_fd=folder).st_mode
    except FileNotFoundError:
        return None
    return stat.S_IMODE(mode) if stat.S_ISREG(mode) else None


def _sweep(folder: int, name: str) -> None:
    own = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]+\.part")
    for part in filter(own.fullmatch, os.listdir(folder)):
        with suppress(OSError):
            descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(part, dir_fd=folder)
            finally:
                os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Wait for the lock of a file, where the file system has locks; closing the file lets it go."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _LOCKLESS:
            raise


def _make_folder(folder: Path) -> None:
    """Create ``folder`` and those above it that are missing, so that they outlive a power cut."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with suppress(FileExistsError):
        os.mkdir(folder)
    with _opened(folder.parent) as parent:
        _sync_folder(parent)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sync_folder(folder: int) -> None:
    """Make the changes of a folder's entries durable, where the file system can flush a folder at all."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
