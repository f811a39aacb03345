'''The command line: one thin module per command, importing the room it needs when it runs.

A command named ``lower`` lives in ``tritforge/cli/lower.py`` and is found there by itself; nothing else is edited::

    """``tritforge lower``: a network file to an overlay program."""

    from __future__ import annotations

    from pathlib import Path
    from typing import Annotated

    import typer

    from tritforge.cli.shared.options import JsonOption, progress, write_result


    def register(app: typer.Typer) -> None:
        app.command("lower", epilog="Example: tritforge lower digits.safetensors --pes 4")(lower)


    def lower(
        context: typer.Context,
        network: Annotated[Path, typer.Argument(help="Network file.")],
        pes: Annotated[int, typer.Option(help="Processing elements.", min=1)] = 4,
        json: JsonOption = None,
    ) -> None:
        """Lower a network file to an overlay program."""
        from tritforge.rtl.something import heavy  # a room: imported here, never at the top

        with progress("lowering", total=20, unit="layers") as advance:
            heavy(network, pes, advance=advance)
        write_result(context, json, {"cycles_dense": 1})

What holds for every command:

- At the top of the module: standard library, typer, rich, numpy, ``tritforge.cli`` and the contract. A room, torch or
  cocotb is imported inside the function (tests/test_import_arrows.py checks it), so ``tritforge --help`` stays quick.
- A command with sub-commands registers a ``typer.Typer`` of its own: ``app.add_typer(bench, name="bench")``.
- A user's mistake is a ``TritforgeError`` with one plain sentence: it reaches standard error alone, with exit status 2.
  An unreadable file, a full disk and a missing extra are told likewise by ``main.py``. Other exceptions are defects and
  keep their traceback. Ctrl-C exits with 130; commands that take minutes resume when run again.
- The help ends with an example (``epilog``); ``--json FILE`` (the parameter ``json``) writes the result
  file; anything over two seconds shows
  its rate and remaining time through ``progress``. A room takes the callback (``advance: Callable[[int], None]``) and
  never prints.
- Answers go to standard output, progress and errors to standard error.
'''
