from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from demo_samples import write_made_up_demo

from tritforge.errors import ResultFileError
from tritforge.reports.pages.overview_picture import overview_picture
from tritforge.reports.pages.readme import BEGIN, END, RECORDED, with_figures
from tritforge.results import Result, read_result

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def made_up(tmp_path: Path) -> Result:
    write_made_up_demo(tmp_path)
    return read_result(tmp_path / "result.json")


def test_the_figures_in_the_readme_are_the_recorded_ones() -> None:
    if not (ROOT / RECORDED).exists():
        pytest.skip("no demo is recorded")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_figures(text, read_result(ROOT / RECORDED)) == text


def test_figures_replace_the_old_ones_and_nothing_else(tmp_path: Path) -> None:
    result = made_up(tmp_path)
    written = with_figures(f"before\n{BEGIN}\nold\n{END}\nafter", result)
    assert written.startswith(f"before\n{BEGIN}\n| what") and written.endswith(f"\n{END}\nafter")
    assert "old" not in written and "1.50 × of" in written and "61.5 % / 93.2 % / 97.1 %" in written
    assert with_figures(written, result) == written
    other = replace(result, metrics=dict(result.metrics) | {"speedup": 1.61})
    assert "1.61 × of" in with_figures(written, other)


def test_a_readme_without_markers_and_another_result_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultFileError, match="lacks the markers"):
        with_figures("text", made_up(tmp_path))
    with pytest.raises(ResultFileError, match="is not that of tritforge demo"):
        with_figures(BEGIN + END, Result(command="tritforge train", metrics={"epochs": 1}))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_picture_tells_the_demos_numbers(tmp_path: Path) -> None:
    metrics, details = write_made_up_demo(tmp_path)
    root = ElementTree.fromstring(overview_picture(tmp_path))
    text = " ".join("".join(element.itertext()) for element in root.iter() if element.tag.endswith("text"))
    for told in (f"{metrics['patch_bytes']:,} bytes", "1.50 ×", "98.0 %", "54.5 %", "61.5 → 93.2 %"):
        assert told in text
    boxes = [e for e in root.iter() if e.tag.endswith("rect") and e.get("class") == "pe"]
    assert len(boxes) == details["parameters"]["pes"]
