"""The record of a training: what ``tritforge experiment run`` measures, writes down and ``tritforge report`` draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tritforge.errors import ResultFileError
from tritforge.records.history import History
from tritforge.records.json_fields import from_json, to_json
from tritforge.records.layers import LayerFigures, Place
from tritforge.records.setting import SETTING_FIELDS, Setting
from tritforge.results import Result

COMMAND = "tritforge experiment run"

Figure = Literal[
    "top1",
    "integer_top1",
    "validation_accuracy",
    "zero_group_fraction",
    "zero_fraction",
    "compression",
    "predicted_cycles",
    "cut_groups",
]
"""Fields of a record that are one number, and have a mean over seeds."""

_ARGUMENTS = ("run", "recipe")
_OF_RESULT = ("data_digest", "seconds")


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Latent weights of a layer.

    Attributes:
        mean: of the weights.
        std: their standard deviation.
        reach: the bins go from minus to plus this; the outermost hold all that lies beyond.
        counts: weights in each bin.
    """

    mean: float
    std: float
    reach: float
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """A training that has ended: what it was, what it gave, and what pictures of it show.

    Accuracies are percent, fractions 0 to 1; None stands for what was not measured.

    Attributes:
        run: its name.
        recipe: its recipe, as TOML.
        setting: what it was, apart from seed and data.
        dataset: name of the data set.
        seed: of the training.
        validation_accuracy: of the held-out part; only where one was held out.
        top1: of the test part, after the last epoch; only where nothing was held out.
        integer_top1: of the test part by the integer network, where there is one.
        predicted_cycles: an image's on 16 PEs, by the cycle model, where they can run the integer network.
        cut_groups: of a run with a target, groups that were not zero when they were cut.
        teacher_digest: of a run with a teacher, the SHA-256 of that one's state.
        zero_group_fraction: of the grouped layers' PE groups.
        zero_fraction: of the grouped layers' weights.
        compression: of the grouped layers' weights against 32 bits; None where no group is left.
        train_images: images trained on.
        weights_digest: SHA-256 of the model's state.
        history: columns of the log.
        layers: figures of the grouped layers.
        histograms: by layer, its latent weights.
        group_norms: by layer, sorted norms of its PE groups.
        trits: by layer, a string of ``-0+`` for each output channel.
        data_digest: of the data set.
        seconds: that training and evaluation took.
        summary: what methods without a field here tell of the run, by name.
    """

    run: str
    recipe: str
    setting: Setting
    dataset: str
    seed: int
    validation_accuracy: float | None = None
    top1: float | None = None
    integer_top1: float | None = None
    predicted_cycles: float | None = None
    cut_groups: int | None = None
    teacher_digest: str | None = None
    zero_group_fraction: float
    zero_fraction: float
    compression: float | None
    train_images: int
    weights_digest: str
    history: History
    layers: LayerFigures
    histograms: Mapping[str, Histogram]
    group_norms: Mapping[str, tuple[float, ...]]
    trits: Mapping[str, tuple[str, ...]]
    data_digest: str
    seconds: float
    summary: Mapping[str, float] | None = None

    def figure(self, name: Figure) -> float | None:
        """A number by its name."""
        value: float | None = getattr(self, name)
        return value

    def place(self, layer: str) -> Place:
        """Where a layer stands in the network.

        Raises:
            ResultFileError: the record does not tell.
        """
        place = self.layers.place(layer)
        if place is None:
            raise ResultFileError(f"the record of {self.run} does not tell the stage of layer {layer!r}")
        return place

    def metrics(self) -> dict[str, Any]:
        """The numbers as a result file holds them."""
        own = {name: value for name, value in to_json(self).items() if name not in (*_ARGUMENTS, *_OF_RESULT)}
        return own.pop("setting") | own | {"history": self.history.to_json()}

    def result(self) -> Result:
        """The record as a measurement of this program on this machine."""
        arguments = {"run": self.run, "recipe": self.recipe}
        return Result(COMMAND, self.metrics(), arguments, [self.seed], self.data_digest, self.seconds)

    @classmethod
    def from_result(cls, result: Result, file: str) -> TrainingRecord:
        """The record that a result file holds.

        Args:
            result: what it holds.
            file: its name, for the sentence.

        Raises:
            ResultFileError: another command's file, or a field that is missing, unknown or of another form.
        """
        if result.command != COMMAND:
            raise ResultFileError(f"{file} is not the record of a training run")
        own: dict[str, Any] = {}
        told: dict[str, Any] = {}
        for name, value in result.metrics.items():
            (told if name in SETTING_FIELDS else own)[name] = value
        if "history" in own:
            own["history"] = History.from_json(own["history"], file, "metrics.history")
        arguments = {name: from_json(str, result.arguments.get(name), file, f"arguments.{name}") for name in _ARGUMENTS}
        whole = {name: getattr(result, name) for name in _OF_RESULT}
        values = own | arguments | whole | {"setting": from_json(Setting, told, file, "metrics")}
        record: TrainingRecord = from_json(cls, values, file, "metrics")
        record.layers.check(file, "metrics.layers")
        return record
