from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tritforge.cost.design_space import Row
from tritforge.reports.hardware.design_space_picture import write_design_space_picture


def rows(best: int) -> list[Row]:
    sizes = [(4, 16, 100.0), (8, 8, 60.0), (16, 16, 30.0)]
    return [
        {
            "name": f"P{pes}",
            "pes": pes,
            "group_channels": channels,
            "activation_bits": bits,
            "cycles_per_image": cycles * 1000,
            "adder_bits": pes * channels * bits,
            "best": index == best,
        }
        for bits in (8, 16)
        for index, (pes, channels, cycles) in enumerate(sizes)
    ]


def test_the_picture_shows_what_it_is_given_and_is_the_same_for_the_same(tmp_path: Path) -> None:
    first, again, other = (tmp_path / f"{name}.svg" for name in ("first", "again", "other"))
    for path, best in ((first, 0), (again, 0), (other, 2)):
        write_design_space_picture(path, rows(best), "adder_bits")
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()
    root = ElementTree.parse(first).getroot()
    groups = [element.get("id") or "" for element in root.iter() if element.tag.endswith("}g")]
    assert sum(name.startswith("axes_") for name in groups) == 2  # a panel for each width


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_files_by_their_suffix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"space.{suffix}"
    write_design_space_picture(path, rows(1)[:3], "adder_bits")
    assert path.read_bytes().startswith(b"\x89PNG" if suffix == "png" else b"<?xml")
