"""The checkpoints that are published load, and are those that their records and the page tell of."""

from __future__ import annotations

from pathlib import Path

import pytest

from tritforge.compress.experiments.plan import run_name
from tritforge.compress.experiments.record import weights_digest
from tritforge.compress.methods.distillation import state_digest
from tritforge.compress.models.restored import model_of_checkpoint
from tritforge.compress.run.checkpoint import load_checkpoint
from tritforge.records.training_record import TrainingRecord
from tritforge.results import read_result

FOLDER = Path(__file__).resolve().parents[3] / "reports/checkpoints"
FILES = sorted(FOLDER.glob("*.pt"))


def test_there_are_some() -> None:
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_published_checkpoint_is_the_run_that_its_record_tells_of(path: Path) -> None:
    checkpoint = load_checkpoint(path)
    record = TrainingRecord.from_result(read_result(path.with_suffix(".json")), path.stem)
    assert checkpoint.finished
    assert run_name(checkpoint.recipe) == path.stem
    assert weights_digest(model_of_checkpoint(checkpoint, (3, 32, 32), 10)) == record.weights_digest
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"| `{path.stem}`, CIFAR-10-JPEG | {record.top1:.2f} % | `{state_digest(checkpoint.model)[:16]}…` |" in page
