"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tritforge.errors import TritforgeError


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

    The bytes go to a temporary file in the same folder, are flushed to the disk and renamed. Missing folders are
    created. What exists and is no regular file (a pipe, ``/dev/stdout``) is written to directly.

    Raises:
        TritforgeError: the file cannot be written; the sentence names it and the reason (a full disk, a permission).
            An OSError of the block counts as one of writing.
    """
    name = os.fspath(path)
    try:
        target = Path(name).resolve()
        if target.exists() and not target.is_file() and not target.is_dir():
            with open(name, "wb") as stream:
                yield stream
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with _replacing(target) as stream:
            yield stream
    except OSError as error:
        raise TritforgeError(f"cannot write {name}: {reason(error)}") from error


def reason(error: OSError) -> str:
    """What the operating system said, as the second half of a sentence: ``no space left on device``."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


@contextmanager
def _replacing(target: Path) -> Iterator[BinaryIO]:
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(temporary, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the file system can (the file is complete either way)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
