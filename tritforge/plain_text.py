"""Text from files as a terminal may show it: no control characters, and no sentence without end."""

from __future__ import annotations

MAX_SENTENCE = 500
"""Characters of the longest sentence."""

_CUT = " ... "


def printable(text: object) -> str:
    """``text`` on one line, each character that is not printable (ESC, a line's end, a lone surrogate) escaped."""
    line = str(text)
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)


def sentence(text: str, longest: int = MAX_SENTENCE) -> str:
    """``text`` as one printable line of at most ``longest`` characters; what is too long loses its middle."""
    line, head = " ".join(text.split()), longest // 2
    if len(line) > 2 * longest:
        line = line[:longest] + line[-longest:]  # what is escaped is no shorter: only these ends can be told
    line = printable(line)
    return line if len(line) <= longest else line[:head] + _CUT + line[head + len(_CUT) - longest :]
