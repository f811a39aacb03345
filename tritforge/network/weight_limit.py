"""How many weights a file may claim before anybody has asked for so many: a bound on what reading allocates."""

from __future__ import annotations

import os

from tritforge.errors import NetworkError

WEIGHT_LIMIT = 1 << 24
VARIABLE = "TRITFORGE_MAX_WEIGHTS"


def weight_limit() -> int:
    """Weights that the files of one network may claim: 2^24, or what the environment variable says.

    Raises:
        NetworkError: the variable holds no number.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return WEIGHT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise NetworkError(f"{VARIABLE} is {text!r}; it takes a number of weights")
    return int(text)
