"""Settings of training runs and what was recorded of them, over seeds: what tables and pictures of training draw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, get_args

from tritforge.errors import ResultFileError
from tritforge.records.json_fields import to_json
from tritforge.records.setting import Setting
from tritforge.records.training_record import Figure, TrainingRecord

MEANS: tuple[Figure, ...] = tuple(name for name in get_args(Figure) if name != "cut_groups")
LEAST = (0.25, 0.5)
"""Zero-group fractions that choices of settings and gaps to full precision are asked for."""
DATA_SETS = {"cifar10": "CIFAR-10", "cifar10_jpeg": "CIFAR-10-JPEG"}


@dataclass(frozen=True)
class Measured:
    """A setting and its records, one a seed."""

    setting: Setting
    records: tuple[TrainingRecord, ...] = ()

    def values(self, name: Figure) -> dict[int, float]:
        """A figure by seed, of the records that hold it."""
        told = {record.seed: record.figure(name) for record in self.records}
        return {seed: value for seed, value in told.items() if value is not None}

    def mean(self, name: Figure) -> float | None:
        """A figure's mean over the seeds; None where there is no record."""
        values = self.values(name)
        return fmean(values.values()) if values else None

    def spread(self, name: Figure) -> float | None:
        """A figure's standard deviation over two or more seeds (n - 1 in the divisor)."""
        values = self.values(name)
        return stdev(values.values()) if len(values) > 1 else None

    def differences(
        self, baseline: Measured | None, name: Figure = "top1", beside: Figure | None = None
    ) -> list[float]:
        """What a figure is above a baseline's, seed by seed of those that both have.

        Args:
            baseline: the other setting.
            name: this one's figure.
            beside: the baseline's; None stands for the same.
        """
        mine, theirs = self.values(name), baseline.values(beside or name) if baseline is not None else {}
        return [mine[seed] - theirs[seed] for seed in sorted(mine.keys() & theirs.keys())]

    def above(self, baseline: Measured | None, name: Figure = "top1", beside: Figure | None = None) -> float | None:
        """Mean of :meth:`differences`; None where there are none."""
        found = self.differences(baseline, name, beside)
        return fmean(found) if found else None


Plan = Mapping[str, Sequence[Measured]]
"""By experiment, its settings in order, recorded or not."""


def find(settings: Iterable[Measured], **wanted: Any) -> Measured | None:
    """The first setting with the wanted values."""
    return next(
        (one for one in settings if all(getattr(one.setting, key) == value for key, value in wanted.items())), None
    )


def record_of(plan: Plan, method: str) -> TrainingRecord | None:
    """The record of a method's first setting in Table 3, of its lowest seed."""
    one = find(plan["table3"], method=method)
    return one.records[0] if one is not None and one.records else None


def full_precision_of(plan: Plan, one: Measured) -> Measured | None:
    """The full-precision run of the same network, epochs and schedule."""
    told = one.setting
    alike = {"model": told.model, "epochs": told.epochs, "schedule": told.schedule}
    return find((*plan["table3"], *plan["best"]), method="full precision", **alike)


def data_set_of(plan: Plan) -> str:
    """The name of the data set that all records are on, as it is shown; empty where there is no record.

    Raises:
        ResultFileError: records on different data sets.
    """
    names = {record.dataset for settings in plan.values() for one in settings for record in one.records}
    if len(names) > 1:
        raise ResultFileError(f"the records are on {', '.join(sorted(names))}; a report takes those of one data set")
    return shown_data_set(names.pop()) if names else ""


def shown_data_set(name: str) -> str:
    """A data set's name as it is shown."""
    return DATA_SETS.get(name, name)


def rows(plan: Plan) -> list[dict[str, Any]]:
    """A row for each recorded setting, means over its seeds, as a result file holds them."""
    found: list[dict[str, Any]] = []
    for one in (one for settings in plan.values() for one in settings if one.records):
        means = {name: one.mean(name) for name in MEANS}
        row = {
            **to_json(one.setting),
            **{name: round(value, 6) for name, value in means.items() if value is not None},
            "top1_std": one.spread("top1"),
            "seeds": [record.seed for record in one.records],
            "dataset": shown_data_set(one.records[0].dataset),
        }
        if row not in found:  # tables share runs
            found.append(row)
    return found
