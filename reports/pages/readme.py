"""Writes the figures of a recorded demo into the README, between its two markers.

Run ``python -m tritforge.reports.pages.readme`` in the checkout, or with another result file as its argument.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tritforge.errors import ResultFileError
from tritforge.files import atomic_write
from tritforge.reports.drawing.pages import between_markers
from tritforge.results import Result, read_result

RECORDED = Path("reports/results/demo.json")
README = Path("README.md")
BEGIN = "<!-- figures of the demo: python -m tritforge.reports.pages.readme -->"
END = "<!-- end of the figures -->"


def figures(result: Result) -> str:
    """The figures as Markdown."""
    m: Mapping[str, Any] = result.metrics
    rows = [
        (
            "test accuracy: full precision / integer network",
            f"{_accuracy(m, 'full_precision')} / {_accuracy(m, 'integer')}",
        ),
        ("PE groups that are zero", f"{100 * m['zero_group_fraction']:.1f} %"),
        (
            "words of all maps that differ between RTL and integer network",
            f"{m['rtl_mismatching_words']} of {m['rtl_words']:,} ({m['rtl_images']} images)",
        ),
        (
            "cycles an image, every group issued / zero groups skipped",
            f"{m['cycles_dense']:,.0f} / {m['cycles_sparse']:,.0f}",
        ),
        ("speedup by skipping, and its ideal", f"{m['speedup']:.2f} × of {m['ideal_speedup']:.2f} ×"),
        (
            "accuracy on shifted data: before / after the patch / full retraining",
            f"{m['accuracy_before_patch']:.1f} % / {m['accuracy_after_patch']:.1f} % / "
            f"{m['accuracy_full_retraining']:.1f} %",
        ),
        (
            "bytes: patch / full update / overlay program",
            f"{m['patch_bytes']:,} / {m['full_update_bytes']:,} / {m['program_bytes']:,}",
        ),
        ("pause of the accelerator for the patch", f"{m['commit_pause_cycles']} cycles for {m['words_written']} words"),
        (
            "words that differ after the patch",
            f"{m['mismatching_words_after_patch']} of {m['words_after_patch']:,}",
        ),
    ]
    lines = ["| what | measured |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)]
    return "\n".join([*lines, "", f"Seed {result.seeds[0]}, {result.machine}; {RECORDED}."])


def with_figures(text: str, result: Result) -> str:
    """The README's text with the figures of ``result``.

    Raises:
        ResultFileError: the markers are missing, or the result is not that of a demo.
    """
    try:
        table = figures(result)
    except KeyError as error:
        raise ResultFileError(f"the result file is not that of tritforge demo: it lacks {error}") from error
    return between_markers(text, BEGIN, END, table, "the README")


def _accuracy(metrics: Mapping[str, Any], form: str) -> str:
    return f"{metrics[form + '_accuracy']:.2f} %"


if __name__ == "__main__":
    recorded = read_result(sys.argv[1] if len(sys.argv) > 1 else RECORDED)
    atomic_write(README, with_figures(README.read_text(encoding="utf-8"), recorded).encode())
