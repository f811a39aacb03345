"""A step of a long command in a folder of its own, done once for given inputs and then re-used.

The folder holds ``inputs.json``, what the step was started with, the step's own files, and once it is done
``outcome.json`` with the SHA-256 of each file. A step that was interrupted finds its files again and goes on; one whose
inputs or sources have changed starts from an empty folder, and so does one whose files are no longer what it wrote.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tritforge.errors import TritforgeError
from tritforge.files import atomic_write
from tritforge.results import installed_versions

INPUTS = "inputs.json"
OUTCOME = "outcome.json"
SOURCES = (".py", ".sv", ".svh", ".vlt", ".rdl", ".toml", ".j2", ".cpp", ".h")
ROOMS = ("cli", "compress", "hls", "pynq_overlay", "reports", "rtl", "sim")
"""Rooms beside the contract; an installed package has them inside the contract's folder."""


@dataclass(frozen=True)
class Done:
    """What a step gave: its outcome, the folder with its files, whether it was done before, and the seconds it took.

    The seconds of a step that was interrupted count from its last start.
    """

    outcome: dict[str, Any]
    folder: Path
    reused: bool
    seconds: float = 0.0


def run_step(
    folder: Path, inputs: Mapping[str, Any], rooms: tuple[str, ...], work: Callable[[Path], dict[str, Any]]
) -> Done:
    """Do ``work(folder)`` unless it was done with the same inputs.

    Args:
        folder: the step's own folder; emptied when it holds the files of other inputs.
        inputs: everything that decides the outcome, as JSON; versions and sources are added here.
        rooms: rooms whose sources decide it, beside the contract's and the module that ``work`` stands in.
        work: gives the outcome as JSON and may leave files in the folder.

    Raises:
        TritforgeError: the folder holds files that no step wrote.
    """
    sources = source_digest(rooms, Path(sys.modules[work.__module__].__file__ or ""))
    wanted = json.dumps({**inputs, "versions": installed_versions(), "sources": sources}, indent=1, sort_keys=True)
    if _text(folder / INPUTS) == wanted:
        found = _finished(folder)
        if found is not None:
            return Done(found["outcome"], folder, True, found["seconds"])
    else:
        _empty(folder)
        atomic_write(folder / INPUTS, wanted.encode())
    began = time.monotonic()
    outcome = json.loads(json.dumps(work(folder)))
    seconds = round(time.monotonic() - began, 3)
    files = {str(path.relative_to(folder)): _sha256(path) for path in _files(folder)}
    record = {"outcome": outcome, "seconds": seconds, "files": files}
    atomic_write(folder / OUTCOME, json.dumps(record, indent=1).encode())
    return Done(outcome, folder, False, seconds)


def source_digest(rooms: tuple[str, ...], *modules: Path) -> str:
    """SHA-256 over these modules and the sources of the contract and of these rooms, wherever they are installed."""
    digest = hashlib.sha256()
    for place, others in ((_home("tritforge"), ROOMS), *((_home(f"tritforge.{room}"), ()) for room in rooms)):
        for path in sorted(path for path in place.rglob("*") if path.suffix in SOURCES and path.is_file()):
            name = path.relative_to(place)
            if name.parts[0] not in others:
                digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    for path in modules:
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def _home(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed", name=package)
    return Path(spec.origin).parent


def _finished(folder: Path) -> dict[str, Any] | None:
    """The record if every file is still what the step wrote; None, and no record, otherwise."""
    text = _text(folder / OUTCOME)
    if text is None:
        return None
    try:
        record = json.loads(text)
        whole = all(_sha256(folder / name) == digest for name, digest in record["files"].items())
        whole = whole and record.keys() >= {"outcome", "seconds"}
    except (ValueError, KeyError, TypeError, OSError):
        whole = False
    if not whole:
        _empty(folder, keep=INPUTS)
        return None
    return record


def _empty(folder: Path, keep: str = "") -> None:
    if not folder.exists():
        return
    contents = list(folder.iterdir())
    if contents and not (folder / INPUTS).exists():
        raise TritforgeError(f"{folder} holds files of another origin; choose another --out, or remove it")
    for path in contents:
        if path.name == keep:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in (INPUTS, OUTCOME))


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
