"""The one way in which commands tell something: no text from a file reaches the terminal unescaped."""

from __future__ import annotations

import typer

from tritforge.plain_text import printable


def echo(text: object, err: bool = False) -> None:
    """Print ``text`` as one line, its control characters escaped; on standard error where ``err`` says so."""
    typer.echo(printable(text), err=err)
