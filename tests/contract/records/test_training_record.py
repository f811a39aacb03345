"""Records of trainings: every recorded file is read and written again to the byte, and a damaged one is told."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritforge.errors import ResultFileError
from tritforge.records.layers import Place
from tritforge.records.setting import Setting
from tritforge.records.training_record import Figure, TrainingRecord
from tritforge.results import Result, read_result, write_result

TRAININGS = sorted((Path(__file__).parents[3] / "reports" / "results" / "training").glob("*.json"))
TAUGHT = read_result(next(path for path in TRAININGS if "-kd0.5-e40-" in path.name))
FULL = read_result(next(path for path in TRAININGS if "-full_precision-" in path.name))


def read(result: Result) -> TrainingRecord:
    return TrainingRecord.from_result(result, "it.json")


def changed(**metrics: Any) -> Result:
    return replace(TAUGHT, metrics={**TAUGHT.metrics, **metrics})


def test_there_are_records() -> None:
    assert len(TRAININGS) > 80


@pytest.mark.parametrize("path", TRAININGS, ids=lambda path: path.stem)
def test_a_recorded_file_is_written_again_to_the_byte(path: Path, tmp_path: Path) -> None:
    result = read_result(path)
    record = TrainingRecord.from_result(result, str(path))
    assert record.run == path.stem
    again = replace(record.result(), versions=result.versions, revision=result.revision, machine=result.machine)
    write_result(tmp_path / "again.json", again)
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_what_is_recorded_is_told_by_attributes() -> None:
    record, metrics = read(TAUGHT), TAUGHT.metrics
    assert record.setting.teacher == metrics["teacher"] and record.setting.latency_target is None
    assert (record.recipe, record.seconds) == (TAUGHT.arguments["recipe"], TAUGHT.seconds)
    assert record.histograms["stage2.block1.conv2"].counts == tuple(
        metrics["histograms"]["stage2.block1.conv2"]["counts"]
    )
    for name in get_args(Figure):
        assert record.figure(name) == metrics.get(name)
    history = record.history
    assert history.epoch == tuple(metrics["history"]["epoch"])
    assert history.zero_group_fraction == tuple(metrics["history"]["zero_group_fraction"])
    assert [*history.zero_groups] == [*history.thresholds] == [*record.layers.name]
    assert history.thresholds["stage1.block1.conv1"] == tuple(metrics["history"]["delta.stage1.block1.conv1"])


def test_the_layers_of_an_older_record_stand_where_their_names_say() -> None:
    for record in map(read, (TAUGHT, FULL)):
        assert record.layers.stage is None
        assert record.place("stage2.block1.conv1") == Place(2, 1, "conv1")
        with pytest.raises(
            ResultFileError, match=rf"the record of {record.run} does not tell the stage of layer 'stem'"
        ):
            record.place("stem")


def test_a_layers_place_is_what_is_recorded_whatever_it_is_called() -> None:
    names = ["stage2.block1.conv1", "b"]
    record = read(changed(layers={"name": names, "stage": [5, 3], "block": [4, 1], "role": ["shortcut", "conv1"]}))
    assert [record.place(name) for name in names] == [Place(5, 4, "shortcut"), Place(3, 1, "conv1")]
    with pytest.raises(ResultFileError, match=r"does not tell the stage of layer 'stage1\.block1\.conv1'"):
        record.place("stage1.block1.conv1")
    assert read(record.result()) == record


OPTIONAL = {entry.name for kind in (Setting, TrainingRecord) for entry in fields(kind) if entry.default is None}


@given(st.sampled_from(sorted(set(TAUGHT.metrics) - OPTIONAL)))
def test_a_missing_field_is_told(name: str) -> None:
    metrics = {key: value for key, value in TAUGHT.metrics.items() if key != name}
    with pytest.raises(ResultFileError, match=rf"^it\.json lacks the field 'metrics\.{name}'$"):
        read(replace(TAUGHT, metrics=metrics))


@given(st.sampled_from(sorted(TAUGHT.metrics)), st.sampled_from([True, [[]], {"a": {}}, object]))
def test_a_value_of_another_form_is_told(name: str, value: Any) -> None:
    with pytest.raises(ResultFileError, match=rf"^it\.json[: ].*metrics\.{name}\b"):
        read(changed(**{name: value}))


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        ({"epochs": 2.5}, "it.json: metrics.epochs is 2.5, but must be a whole number"),
        ({"top1": "x" * 99}, f"it.json: metrics.top1 is '{'x' * 56}..., but must be a number"),
        ({"model": 20}, "it.json: metrics.model is 20, but must be a string"),
        ({"trits": {"a": "+0"}}, "it.json: metrics.trits.a is '+0', but must be a list"),
        ({"group_norms": []}, "it.json: metrics.group_norms is [], but must be an object"),
        ({"group_norms": {"a": [1, "b"]}}, "it.json: metrics.group_norms.a[1] is 'b', but must be a number"),
        ({"layers": []}, "it.json: metrics.layers is [], but must be an object"),
        ({"histograms": {"a": {"mean": 0}}}, "it.json lacks the field 'metrics.histograms.a.std'"),
        ({"layers": {"depth": [1]}}, "it.json has the unknown field 'metrics.layers.depth'; allowed are name, stage,"),
        ({"accuracy": 1}, "it.json has the unknown field 'metrics.accuracy'; allowed are run, recipe, setting,"),
        ({"layers": {"name": ["a"], "role": []}}, "metrics.layers.role has 0 values, but 1 layers are named"),
        ({"history": {"loss": []}}, "it.json lacks the field 'metrics.history.epoch'"),
        ({"history": {"epoch": []}}, "it.json lacks the field 'metrics.history.zero_group_fraction'"),
        (
            {"history": {"epoch": [1], "zero_group_fraction": [0.5, 0.5]}},
            "it.json: metrics.history.zero_group_fraction has 2 values, but 1 epochs",
        ),
        (
            {"history": {"epoch": [None], "zero_group_fraction": [0.5]}},
            "it.json: metrics.history.epoch[0] is None, but must be a whole number",
        ),
    ],
)
def test_damage_is_told_in_one_sentence(metrics: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ResultFileError) as raised:
        read(changed(**metrics))
    assert sentence in str(raised.value)


def test_another_commands_file_is_told() -> None:
    with pytest.raises(ResultFileError, match=r"^it\.json is not the record of a training run$"):
        read(replace(TAUGHT, command="tritforge train"))
    with pytest.raises(ResultFileError, match=r"^it\.json: arguments\.recipe is None, but must be a string$"):
        read(replace(TAUGHT, arguments={"run": "x"}))


def test_figures_are_fields_of_a_record() -> None:
    assert set(get_args(Figure)) < {entry.name for entry in fields(TrainingRecord)}
