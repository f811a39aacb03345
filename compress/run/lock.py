"""One process trains in a run folder at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tritforge.compress.run.run_folder import LOCK_FILE
from tritforge.errors import TritforgeError
from tritforge.files import reason


class RunBusyError(TritforgeError):
    """Another process trains in the run folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder, which is created when missing; the end of the process, however it comes, lets it go.

    Raises:
        RunBusyError: another process holds it.
        TritforgeError: the folder cannot be written.
    """
    path = folder / LOCK_FILE
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = held.enter_context(open(path, "w", encoding="utf-8"))
        except OSError as error:
            raise TritforgeError(f"cannot write {path}: {reason(error)}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunBusyError(f"another process trains in {folder}; wait for it or choose another folder") from error
        yield
