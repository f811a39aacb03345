"""A long measurement in pieces: a result file that holds every piece as soon as it ends, and goes on from there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tritforge.errors import ResultFileError
from tritforge.results import Result, read_result, write_result

Pieces = dict[str, dict[str, Any]]


def record_pieces(
    path: str | Path,
    measurement: Result,
    work: Mapping[str, Callable[[], dict[str, Any]]],
    summary: Callable[[Pieces], dict[str, Any]],
    advance: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Do the pieces that the result file at ``path`` lacks, in order, and write it after each.

    Args:
        path: the result file; its metrics hold ``pieces`` by name, and the summary once all are done.
        measurement: command, arguments, seeds and data of the result; a file of another one is not touched.
        work: by name of the piece, what gives its figures.
        summary: the figures of all pieces to the metrics beside them.
        advance: called with 1 for each piece that is there.

    Returns:
        The metrics.

    Raises:
        ResultFileError: the file holds another measurement, or a figure that JSON cannot hold.
    """
    path = Path(path)
    pieces, seconds = _begun(path, measurement)
    for name, figures in work.items():
        if name not in pieces:
            began = time.perf_counter()
            pieces[name] = figures()
            seconds += time.perf_counter() - began
            _write(path, measurement, {"pieces": pieces}, seconds)
        if advance is not None:
            advance(1)
    metrics = summary(pieces) | {"pieces": pieces}
    _write(path, measurement, metrics, seconds)
    return metrics


def _begun(path: Path, measurement: Result) -> tuple[Pieces, float]:
    """The pieces that a file holds and the seconds they took."""
    if not path.exists():
        return {}, 0.0
    found = read_result(path)
    for field in ("command", "arguments", "seeds", "data_digest", "versions"):
        if getattr(found, field) != getattr(measurement, field):
            raise ResultFileError(f"{path} holds a measurement with other {field}; remove it, or choose another file")
    return dict(found.metrics["pieces"]), found.seconds


def _write(path: Path, measurement: Result, metrics: dict[str, Any], seconds: float) -> None:
    write_result(path, replace(measurement, metrics=metrics, seconds=round(seconds, 3)))
