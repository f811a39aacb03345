"""A folder on a simulated disk: what is done to it is recorded, and all that a power cut may leave of it is told.

Nothing is on the disk before it is flushed. Of bytes that were written and not flushed a power cut may keep all, a
part, zeros in their place, or none. Of changes to the folder (a file created, renamed or removed) that were not flushed
it may keep any, whatever came before and after. A rename is one change.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, pairwise, product
from pathlib import Path
from typing import Any

import pytest

Left = frozenset[tuple[str, bytes]]
"""What a folder holds after a power cut: names and contents."""


@dataclass(frozen=True)
class Written:
    """The file ``file`` was given this content."""

    file: int
    content: bytes


@dataclass(frozen=True)
class Flushed:
    """The file ``file`` was flushed; None stands for the folder."""

    file: int | None


@dataclass(frozen=True)
class Changed:
    """By name, the file that the folder now has under it, or None."""

    entries: tuple[tuple[str, int | None], ...]


class Disk:
    """What happens to ``folder`` inside :func:`recorded`, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.operations: list[Written | Flushed | Changed] = []
        self._names: dict[str, int] = {}
        self._contents: dict[int, bytes] = {}
        self.now()
        self.operations += [Flushed(file) for file in self._contents]
        self.operations.append(Flushed(None))
        self._begin = len(self.operations)

    def now(self) -> int:
        """The number of operations up to now."""
        found = {path.name: path.read_bytes() for path in sorted(self.folder.iterdir())}
        for name in self._names.keys() - found.keys():
            self._change((name, None))
        for name, content in found.items():
            if name not in self._names:
                file = len(self._contents)
                self._contents[file] = b""
                self._change((name, file))
            if content != self._contents[file := self._names[name]]:
                self._contents[file] = content
                self.operations.append(Written(file, content))
        return len(self.operations)

    def left(self) -> Iterator[tuple[int, set[Left]]]:
        """From the beginning to now, a number of operations and all that a power cut after so many may leave."""
        for number in range(self._begin, self.now() + 1):
            yield number, left_after(self.operations[:number])

    def renamed(self, source: str, target: str) -> None:
        """Note a rename that has been made."""
        self._change((target, self._names[source]), (source, None))

    def flushed(self, descriptor: int) -> None:
        """Note that what ``descriptor`` stands for was flushed."""
        self.now()
        status = os.fstat(descriptor)
        if os.path.samestat(status, self.folder.stat()):
            self.operations.append(Flushed(None))
        for name, file in self._names.items():
            if os.path.samestat(status, (self.folder / name).stat()):
                self.operations.append(Flushed(file))

    def _change(self, *entries: tuple[str, int | None]) -> None:
        self.operations.append(Changed(entries))
        self._names = _with(self._names, entries)


@contextmanager
def recorded(folder: Path) -> Iterator[Disk]:
    """Records what the block does to the existing ``folder``.

    Nothing is really flushed. The random names are the same in each recording, so that what may be left is finite.
    """
    disk = Disk(folder)
    replace = os.replace
    numbers = count()

    def rename(source: Any, target: Any, **folders: int) -> None:
        disk.now()
        replace(source, target, **folders)
        disk.renamed(Path(source).name, Path(target).name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", rename)
        patch.setattr(os, "fsync", disk.flushed)
        patch.setattr(secrets, "token_hex", lambda size: f"{next(numbers):0{2 * size}x}")
        yield disk
        disk.now()


def left_after(operations: Sequence[Written | Flushed | Changed]) -> set[Left]:
    """All that a power cut after these operations may leave of a folder that was empty before them."""
    names: dict[str, int] = {}
    changes: list[Changed] = []
    contents: dict[int, list[bytes]] = {}
    for operation in operations:
        if isinstance(operation, Changed):
            changes.append(operation)
        elif isinstance(operation, Written):
            contents.setdefault(operation.file, [b""]).append(operation.content)
        elif operation.file is not None:
            contents[operation.file] = contents.get(operation.file, [b""])[-1:]
        else:
            for change in changes:
                names = _with(names, change.entries)
            changes = []
    return {
        frozenset(zip(kept, chosen, strict=True))
        for choice in product((False, True), repeat=len(changes))
        for kept in [_kept(names, changes, choice)]
        for chosen in product(*(_possible(contents.get(file, [b""])) for file in kept.values()))
    }


def _kept(names: Mapping[str, int], changes: Sequence[Changed], choice: Sequence[bool]) -> dict[str, int]:
    kept = dict(names)
    for change, chosen in zip(changes, choice, strict=True):
        if chosen:
            kept = _with(kept, change.entries)
    return kept


def _with(names: Mapping[str, int], entries: Sequence[tuple[str, int | None]]) -> dict[str, int]:
    changed = {**names, **dict(entries)}
    return {name: file for name, file in changed.items() if file is not None}


def _possible(contents: Sequence[bytes]) -> set[bytes]:
    """What may be there of a file that was flushed with the first content and not with the ones after it."""
    found = {contents[0]}
    for before, content in pairwise(contents):
        half = len(content) // 2
        found |= {content, content[:half], bytes(len(content)), content[:half] + bytes(len(content) - half)}
        found.add(content[:half] + before[half:])
    return found
