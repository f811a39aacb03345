"""The log of a training: a row an epoch."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from tritforge.compress.engine.step import Losses
from tritforge.compress.run.run_folder import LOG_FILE
from tritforge.files import atomic_write


class EpochLog:
    """``log.csv`` with a row an epoch; rows after the step that a run resumes from are dropped.

    Attributes:
        sums: loss, penalty and steps gathered in the running epoch; part of a checkpoint.
    """

    def __init__(self, folder: Path, step: int, sums: tuple[float, float, int], tensorboard: bool) -> None:
        self.path = folder / LOG_FILE
        self.rows: list[dict[str, Any]] = []
        if step and self.path.exists():
            with open(self.path, newline="", encoding="utf-8") as stream:
                self.rows = [row for row in csv.DictReader(stream) if int(row["step"]) <= step]
        self.sums = sums
        self.board = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def gather(self, losses: Losses) -> None:
        """Count a step's losses in."""
        loss, penalty, count = self.sums
        self.sums = (loss + float(losses.loss), penalty + float(losses.penalty), count + 1)

    def write(self, step: int, figures: dict[str, float]) -> None:
        """Add the row of the epoch that ended: mean losses, and the figures."""
        loss, penalty, count = self.sums
        means = {"loss": loss / count, "penalty": penalty / count}
        self.sums = (0.0, 0.0, 0)
        self.rows.append({"step": step, **means, **figures})
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(self.rows[-1]), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(self.rows)
        atomic_write(self.path, text.getvalue().encode())
        if self.board is not None:
            for name, value in (means | figures).items():
                self.board.add_scalar(name, value, step)
            self.board.flush()
