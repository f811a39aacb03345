"""The committed generated files are what their sources give, and a stale one is noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tritforge.overlay.descriptor import HEADER, LAYER
from tritforge.rtl import generate


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for place in generate.generated_files():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(generate.CHECKOUT / place, tmp_path / place)
    return tmp_path


def test_the_committed_files_are_up_to_date():
    assert generate.main(["--check"]) == 0


@pytest.mark.parametrize("place", sorted(generate.generated_files()))
def test_a_changed_or_missing_file_is_named_and_written_anew(copy: Path, place: str, capsys):
    (copy / place).write_text((copy / place).read_text() + " ")
    assert generate.main(["--check"], copy) == 1
    assert capsys.readouterr().err.startswith(f"{place} is not what its source gives")
    assert generate.main([], copy) == 0
    assert generate.main(["--check"], copy) == 0
    (copy / place).unlink()
    assert generate.main(["--check"], copy) == 1


@pytest.mark.parametrize(("name", "fields"), [("header_t", HEADER), ("layer_t", LAYER)])
def test_the_packed_structs_put_every_field_at_its_word_and_bit(name, fields):
    """Widths summed from the end of the struct are the bit positions in {word 15, ..., word 0}."""
    text = (generate.RTL / "hdl" / "generated" / "tritforge_descriptor_pkg.sv").read_text()
    body = text[: text.index(f"}} {name};")].rsplit("typedef struct packed {", 1)[1]
    members = [line.strip().rstrip(";").split() for line in body.splitlines() if line.strip().startswith("logic")]
    position, places = 0, {}
    for member in reversed(members):
        width = int(member[1].strip("[]").split(":")[0]) + 1 if len(member) == 3 else 1
        places[member[-1]] = (position, width)
        position += width
    assert position == 16 * 32
    assert {f.name: (32 * f.word + f.low, f.width) for f in fields}.items() <= places.items()
