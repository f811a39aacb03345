"""Errors a user can cause, and what the command line does with them.

Every error below carries one plain sentence that names the file, layer or field, what was found and what is allowed.
The command line prints that sentence and exits with status 2; anything else is a defect and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Mapping

from tritforge.plain_text import MAX_SENTENCE, sentence


class TritforgeError(Exception):
    """A user's mistake or a refused input, told in one plain sentence.

    As text it is one printable line of bounded length, whatever names and values of files it holds.

    Attributes:
        longest: characters of the sentence at most.
        details: lines of a tool's log, told below the sentence; empty for what a user can mend.
    """

    longest: int = MAX_SENTENCE
    details: str = ""

    def __str__(self) -> str:
        told = sentence(super().__str__().removesuffix(self.details), self.longest)
        return f"{told}\n{self.details}" if self.details else told


class NetworkError(TritforgeError):
    """A network whose integers break the arithmetic contract, or a network file that cannot be read."""


class ProgramError(TritforgeError):
    """An overlay program that does not fit its accelerator, or whose images are damaged."""


class CapacityError(ProgramError):
    """A network that does not fit the accelerator's memories, widths or channel grouping.

    Attributes:
        needs: words that the network needs of each memory that is too small, by parameter name; empty where no depth
            would help.
    """

    def __init__(self, message: str, needs: Mapping[str, int] | None = None) -> None:
        super().__init__(message)
        self.needs = dict(needs or {})


class PatchError(TritforgeError):
    """A patch that is damaged, or made for another base network or version."""


class DeviceError(TritforgeError):
    """An accelerator that refused a command or reported an error state."""


class DataError(TritforgeError):
    """A data set that is missing, truncated or inconsistent."""


class RecipeError(TritforgeError):
    """A recipe with an unknown key or a value out of range; the sentence may name every key there is."""

    longest = 2000


class ResultFileError(TritforgeError):
    """A result file that does not follow the documented form."""
