"""What all pages share: parts between markers in Markdown, and HTML from templates."""

from __future__ import annotations

import jinja2

from tritforge.errors import ResultFileError


def between_markers(text: str, begin: str, end: str, part: str, page: str) -> str:
    """A page's text with ``part`` between the lines ``begin`` and ``end``.

    Raises:
        ResultFileError: ``page`` lacks the markers.
    """
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ResultFileError(f"{page} lacks the markers {begin} and {end}")
    return f"{before}{begin}\n{part}\n{end}{after}"


def template(name: str) -> jinja2.Template:
    """One of the package's templates; a value that it is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tritforge.reports"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)
