"""Accelerators of a design space as a picture: cycles of an image over what they are made of, the best ones joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from tritforge.files import atomic_write
from tritforge.reports.drawing.palette import BLUE, GREY, ORANGE, TEAL, Colour, unit_rgba

COLOURS: dict[int, Colour] = {4: GREY, 8: TEAL, 16: BLUE, 32: ORANGE}
MARKERS = {8: "o", 16: "s"}
LABELS = {"lut": "LUTs (Yosys, not placed)", "adder_bits": "add/subtract lanes × activation bits"}


def write_design_space_picture(path: Path, rows: Sequence[Mapping[str, Any]], size: str) -> None:
    """Draw the accelerators of ``tritforge explore``; the same rows give the same file.

    Args:
        path: a PNG or SVG file.
        rows: accelerators with ``name``, ``pes``, ``group_channels``, ``activation_bits``, ``cycles_per_image`` and
            ``best``.
        size: the metric along the horizontal axis.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    widths = sorted({row["activation_bits"] for row in rows})
    figure = Figure(figsize=(5.2 * len(widths), 4.4), layout="constrained")
    for place, bits in enumerate(widths, start=1):
        axes = figure.add_subplot(1, len(widths), place)
        shown = [row for row in rows if row["activation_bits"] == bits]
        for row in shown:
            axes.plot(
                row[size],
                row["cycles_per_image"],
                MARKERS[row["group_channels"]],
                color=unit_rgba(COLOURS[row["pes"]]),
                markersize=8 if row["best"] else 4,
                fillstyle="full" if row["best"] else "none",
            )
        best = sorted((row for row in shown if row["best"]), key=lambda row: row[size])
        axes.plot([row[size] for row in best], [row["cycles_per_image"] for row in best], ":", color="0.5", zorder=0)
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            axis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(LABELS.get(size, size))
        axes.set_ylabel("cycles an image (predicted)")
        axes.set_title(f"{bits}-bit activations")
        for pes in sorted({row["pes"] for row in shown}):
            axes.plot([], [], "o", color=unit_rgba(COLOURS[pes]), label=f"P = {pes}")
        for channels in sorted({row["group_channels"] for row in shown}):
            axes.plot([], [], MARKERS[channels], color="0.4", fillstyle="none", label=f"$C_g$ = {channels}")
        axes.legend(fontsize="small")
    drawn = BytesIO()
    kind = path.suffix.removeprefix(".") or "png"
    with rc_context({"svg.hashsalt": "tritforge", "svg.fonttype": "none"}):
        figure.savefig(drawn, format=kind, dpi=120, metadata={"Date": None} if kind == "svg" else None)
    atomic_write(path, drawn.getvalue())
