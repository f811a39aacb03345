"""What the commands share: the ``--json`` option, the progress display, and the result file of the running command."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from tritforge import results

JsonOption = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the result file here.", show_default=False),
]

FIRST_LINE_SECONDS = 2.0
LINE_SECONDS = 15.0


def write_result(
    context: typer.Context,
    path: Path | None,
    metrics: Mapping[str, Any],
    *,
    arguments: Mapping[str, Any] | None = None,
    seeds: Sequence[int] = (),
    data_digest: str = "",
) -> None:
    """Write the result file of the command running in ``context`` to ``path``; nothing if it is None.

    Command name, arguments and seconds are those of that command; ``arguments`` adds to them or replaces them (the
    values of a resolved recipe, say).

    Raises:
        ResultFileError: a metric that is not finite or not JSON.
        TritforgeError: the file cannot be written.
    """
    if path is None:
        return
    given = {name: value for name, value in context.params.items() if name != "json"}
    results.write_result(
        path,
        results.Result(
            command=context.command_path,
            arguments=given | dict(arguments or {}),
            metrics=metrics,
            seeds=seeds,
            data_digest=data_digest,
            seconds=round(time.perf_counter() - context.find_root().obj, 3),
        ),
    )


@contextmanager
def progress(description: str, total: float | None, unit: str = "steps") -> Iterator[Callable[[float], None]]:
    """Show how far a loop is, its rate and the time that remains, on standard error.

    Yields ``advance(count)``, to be called after each piece of work with the number of ``unit`` done. ``total`` is
    None where it is not known. On a terminal a bar is drawn, elsewhere a line is printed now and then.
    """
    if sys.stderr.isatty():
        with _bar(description, total, unit) as advance:
            yield advance
    else:
        yield _Lines(description, total, unit)


@contextmanager
def _bar(description: str, total: float | None, unit: str) -> Iterator[Callable[[float], None]]:
    from rich import progress as parts
    from rich.console import Console
    from rich.text import Text

    class Rate(parts.ProgressColumn):
        def render(self, task: parts.Task) -> Text:
            return Text(_rate(task.finished_speed or task.speed, unit))

    columns = (
        parts.TextColumn("{task.description}"),
        parts.BarColumn(),
        parts.MofNCompleteColumn(),
        Rate(),
        parts.TimeRemainingColumn(),
    )
    with parts.Progress(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task(description, total=total)
        yield lambda count: display.advance(task, count)


class _Lines:
    """Progress as plain lines: the first after two seconds, then every quarter of a minute."""

    def __init__(self, description: str, total: float | None, unit: str) -> None:
        self.description, self.total, self.unit = description, total, unit
        self.done = 0.0
        self.began = time.monotonic()
        self.next_line = self.began + FIRST_LINE_SECONDS

    def __call__(self, count: float) -> None:
        self.done += count
        now = time.monotonic()
        if now >= self.next_line:
            self.next_line = now + LINE_SECONDS
            print(self.line(now - self.began), file=sys.stderr, flush=True)

    def line(self, seconds: float) -> str:
        """``training: 1280 of 50000 images, 435 images/s, 1:52 left`` after ``seconds`` of work."""
        rate = self.done / seconds if seconds > 0 else None
        told = [f"{self.description}: {self.done:.0f} {self.unit}", _rate(rate, self.unit)]
        if self.total is not None:
            told[0] = f"{self.description}: {self.done:.0f} of {self.total:.0f} {self.unit}"
            told.append(f"{_clock((self.total - self.done) / rate) if rate else '?'} left")
        return ", ".join(told)


def _rate(rate: float | None, unit: str) -> str:
    if rate is None:
        return "..."
    return f"{rate:.0f} {unit}/s" if rate >= 100 else f"{rate:.3g} {unit}/s"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
