"""The report of training runs: all tables and pictures as one HTML page, or as a part of a Markdown page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from tritforge.errors import TritforgeError
from tritforge.files import atomic_write, reason
from tritforge.reports.drawing.pages import between_markers, template
from tritforge.reports.drawing.result_table import Table
from tritforge.reports.training.cells import NOT_RUN
from tritforge.reports.training.pictures import Picture, pictures
from tritforge.reports.training.records import Plan, data_set_of, rows
from tritforge.reports.training.tables import parts

BEGIN = "<!-- trainings: tritforge report training -->"
END = "<!-- end of the trainings -->"
PICTURE_OF = {"lambda-sweep": ("lambda",), "table3": ("weights", "evolution", "norms", "trits")}
"""Pictures that follow a table."""


def write_training_report(path: Path, plan: Plan) -> None:
    """Write the report to ``path``.

    Args:
        path: an ``.html`` file, or an ``.md`` file that holds the two markers: what stands between them is replaced,
            and the pictures go to ``images/`` beside it.
        plan: settings and their records.

    Raises:
        TritforgeError: another suffix, or a Markdown page without the markers.
        ResultFileError: records on different data sets.
    """
    data_set_of(plan)  # refuses what no report can be made of before anything is drawn
    if path.suffix == ".html":
        atomic_write(path, html_page(plan, pictures(plan)).encode())
    elif path.suffix == ".md":
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise TritforgeError(f"cannot read {path}: {reason(error)}") from error
        drawn = pictures(plan)
        page = between_markers(text, BEGIN, END, f"\n{markdown(plan, drawn)}\n", str(path))
        for picture in drawn:
            atomic_write(path.parent / "images" / _file(picture), picture.svg)
        atomic_write(path, page.encode())
    else:
        raise TritforgeError(f"the report is to go to {path}, but it can only be an .html or .md file")


def html_page(plan: Plan, drawn: Sequence[Picture]) -> str:
    """The report as a page of its own."""
    sources = {
        picture.name: (picture, "data:image/svg+xml;base64," + base64.b64encode(picture.svg).decode())
        for picture in drawn
    }
    shown = [
        (part, [sources[name] for name in PICTURE_OF.get(part.name, ()) if name in sources]) for part in parts(plan)
    ]
    return template("training.html.j2").render(
        data_set=data_set_of(plan), records=_count(plan), parts=shown, not_run=NOT_RUN
    )


def markdown(plan: Plan, drawn: Sequence[Picture]) -> str:
    """The report as Markdown, from headings of the third level on, naming pictures in ``images/``."""
    by_name = {picture.name: picture for picture in drawn}
    data_set = data_set_of(plan)
    blocks = [f"{_count(plan)} trainings{f' on {data_set}' if data_set else ''}."]
    for part in parts(plan):
        blocks += [f"### {part.table.title}", part.note, markdown_table(part.table)]
        for name in PICTURE_OF.get(part.name, ()):
            if name in by_name:
                picture = by_name[name]
                blocks += [f"![{picture.title}](images/{_file(picture)})", f"*{picture.title}.* {picture.text}"]
    return "\n\n".join(blocks)


def markdown_table(table: Table) -> str:
    """A table as Markdown, all but names to the right."""
    sides = ("---" if index == 0 or name == "method" else "---:" for index, name in enumerate(table.columns))
    lines = [table.columns, tuple(sides), *table.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _count(plan: Plan) -> int:
    """Distinct records: tables share some."""
    return sum(len(row["seeds"]) for row in rows(plan))


def _file(picture: Picture) -> str:
    return f"training_{picture.name}.svg"
