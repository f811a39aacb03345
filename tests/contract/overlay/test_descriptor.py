"""Descriptors: every field keeps its own bits, and no value leaves them."""

from __future__ import annotations

import pytest

from tritforge.errors import ProgramError
from tritforge.overlay.descriptor import FRAME_WORDS, HEADER, LAYER, USED_WORDS, Field, pack, unpack

TABLES = {"header": HEADER, "layer": LAYER}


@pytest.mark.parametrize("table", TABLES)
def test_a_field_at_its_top_leaves_the_others_alone(table: str) -> None:
    fields = TABLES[table]
    for field in fields:
        frame = pack(fields, {field.name: (1 << field.width) - 1}, table)
        assert frame.size == FRAME_WORDS and not frame[USED_WORDS:].any()
        assert unpack(fields, frame) == {
            other.name: (1 << field.width) - 1 if other is field else 0 for other in fields
        }
    everything = {field.name: (1 << field.width) - 1 for field in fields}
    assert unpack(fields, pack(fields, everything, table)) == everything


@pytest.mark.parametrize("field", [*HEADER, *LAYER], ids=lambda field: field.name)
def test_a_value_beside_a_field_is_refused(field: Field) -> None:
    for value in (-1, 1 << field.width):
        with pytest.raises(ProgramError, match=f"layer x: {field.name} is {value}; the descriptor holds 0 to"):
            pack((field,), {field.name: value}, "layer x")
    with pytest.raises(KeyError, match="layer x has no field other"):
        pack((field,), {"other": 0}, "layer x")
