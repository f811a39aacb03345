"""What pictures of training runs have in common: ink, colours, and their form as SVG on a clear ground."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tritforge.reports.drawing.palette import BLUE, GREY, ORANGE, TEAL, unit_rgba

INK = "#78828c"
"""Text and axes: readable on white and on black."""
_STYLE = {
    "svg.hashsalt": "tritforge",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
}
COLOURS = {
    "full precision": unit_rgba(GREY),
    "pruning": unit_rgba(GREY),
    "ternary": unit_rgba(TEAL),
    "naive": unit_rgba(ORANGE),
    "clipped": unit_rgba(BLUE),
}

Colour = tuple[float, ...]


@dataclass(frozen=True)
class Picture:
    """An SVG file, what it is called, and what it shows."""

    name: str
    title: str
    text: str
    svg: bytes


@contextmanager
def drawing() -> Iterator[None]:
    """A context in which figures have the pictures' style."""
    with rc_context(_STYLE):
        yield


def add_grid(axes: Axes) -> None:
    """Faint lines behind what is drawn."""
    axes.grid(color=INK, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def svg(figure: Figure) -> bytes:
    """The figure as a file; equal figures give equal bytes."""
    stream = BytesIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return stream.getvalue()
