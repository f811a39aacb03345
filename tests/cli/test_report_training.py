from __future__ import annotations

from pathlib import Path

import pytest
from training_samples import made_up_results

from tritforge.cli.main import run
from tritforge.compress.experiments.plan import experiments, with_seeds
from tritforge.results import read_result, write_result

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture()
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ResNet-20's runs of Table 3, clipped with one more seed than planned."""
    monkeypatch.chdir(tmp_path)
    runs = [recipe for recipe in experiments()["table3"].runs if recipe.topology == "resnet20"]
    runs += with_seeds(runs[4:5], [9])
    folder = tmp_path / "reports" / "results" / "training"
    for name, result in made_up_results(runs).items():
        write_result(folder / f"{name}.json", result)
    return folder


def test_tables_are_drawn_from_the_records(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "training", "-o", "page.html", "--json", "rows.json"]) == 0
    told = capsys.readouterr().out
    for text in ("Five methods", "not run", "Table 3 top-1", "91.62", "All on CIFAR-10-JPEG.", "page.html"):
        assert text in told
    found = {row["method"]: row for row in read_result("rows.json").metrics["rows"]}
    assert found["clipped"]["seeds"] == [0, 1, 2, 9] and found["ternary"]["seeds"] == [0]
    assert "CIFAR-10-JPEG" in Path("page.html").read_text()


def test_the_page_of_experiments_is_what_the_records_give(tmp_path: Path) -> None:
    page, written = ROOT / "docs" / "experiments.md", tmp_path / "experiments.md"
    written.write_bytes(page.read_bytes())
    assert run(["report", "training", str(ROOT / "reports" / "results" / "training"), "-o", str(written)]) == 0
    assert written.read_bytes() == page.read_bytes()
    drawn = {path.name for path in (tmp_path / "images").iterdir()}
    assert drawn == {path.name for path in (page.parent / "images").glob("training_*.svg")} and len(drawn) == 5


def test_other_epochs_are_another_report(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "training", str(records), "--schedule", "paper", "--json", "rows.json"]) == 0
    assert read_result("rows.json").metrics["rows"] == []
    assert "160 epochs, steps" in capsys.readouterr().out
    assert run(["report", "training", str(records), "--epochs", "7", "--json", "rows.json"]) == 0
    assert read_result("rows.json").metrics["rows"] == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["training", "nowhere"], "there is no folder nowhere of training records"),
        (["training", "-o", "page.pdf"], "page.pdf, but it can only be an .html or .md file"),
        (["training", "--schedule", "long"], "the schedule is 'long'; allowed are modern, paper"),
        (["demo", "-o", "page.html"], "--out, --schedule and --epochs are options of report training alone"),
    ],
)
def test_mistakes_are_told(
    records: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_a_record_of_another_run_is_told(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clipped = records / "resnet20-clipped-a32-l1e-3-c1-e20-one_cycle-s0.json"
    clipped.write_bytes((records / "resnet20-ternary-a32-e20-one_cycle-s0.json").read_bytes())
    assert run(["report", "training"]) == 2
    assert (
        f"{Path('reports/results/training') / clipped.name} records a run with weight_penalty_clipping.penalty = 0.0"
        in capsys.readouterr().err
    )
