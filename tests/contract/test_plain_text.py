from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritforge.errors import NetworkError, RecipeError, TritforgeError
from tritforge.plain_text import MAX_SENTENCE, printable, sentence


@given(st.text())
def test_text_becomes_one_printable_line_and_plain_text_stays(text: str) -> None:
    assert printable(text).isprintable() and sentence(text).isprintable()
    assert not text.isprintable() or printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\x1b[31mred", r"\x1b[31mred"), ("a\nb", r"a\nb"), ("\ud800", r"\ud800"), ("\u202e", r"\u202e"), ("ä", "ä")],
)
def test_what_a_terminal_would_act_on_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_sentence_is_bounded_and_keeps_both_ends() -> None:
    error = NetworkError("n.safetensors: " + "\x1b" * 9_000_000 + " is\nthe end")
    assert len(str(error)) == MAX_SENTENCE
    assert str(error).startswith("n.safetensors: \\x1b") and str(error).endswith("\\x1b is the end")
    assert str(RecipeError("k" * 1999)) == "k" * 1999


def test_a_tools_log_stays_below_its_sentence() -> None:
    error = TritforgeError("it failed\n first\n second")
    error.details = " first\n second"
    assert str(error) == "it failed\n first\n second"
