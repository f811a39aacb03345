from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import stdev
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.axes import Axes
from page_reader import Page
from training_samples import empty_record, made_up

from tritforge.compress.experiments.plan import experiments, method_of, setting
from tritforge.compress.run.recipe import Recipe
from tritforge.errors import ResultFileError, TritforgeError
from tritforge.records.training_record import TrainingRecord
from tritforge.reports.training.cells import NOT_RUN, points_cell
from tritforge.reports.training.gap_table import gap_table
from tritforge.reports.training.layer_pictures import stitched
from tritforge.reports.training.picture import Picture
from tritforge.reports.training.pictures import pictures
from tritforge.reports.training.published import TABLE_1, TABLE_3, TABLE_6
from tritforge.reports.training.records import Measured, Plan, data_set_of, find, full_precision_of, rows
from tritforge.reports.training.report import BEGIN, END, html_page, markdown, markdown_table, write_training_report
from tritforge.reports.training.sweep_tables import curve, matched_table, selection_table, sweep_table
from tritforge.reports.training.tables import parts, table_1, table_3, table_6
from tritforge.reports.training.target_tables import (
    deployable_table,
    latency_table,
    pruned_alike_table,
    target_selection_table,
)


def plan_of(recorded: Callable[[Recipe], bool], seeds: tuple[int, ...] = (0,), **record: Any) -> Plan:
    """A plan in which the runs of some settings have made-up records."""
    made: dict[str, list[Measured]] = {}
    for name, experiment in experiments().items():
        recipes = dict.fromkeys(replace(run, seed=0) for run in experiment.runs)
        made[name] = [
            Measured(
                setting(recipe),
                tuple(replace(made_up(replace(recipe, seed=seed)), **record) for seed in seeds)
                if recorded(recipe)
                else (),
            )
            for recipe in recipes
        ]
    return made


NOTHING = plan_of(lambda recipe: False)
ALL = plan_of(lambda recipe: True, (0, 2))
RESNET20 = plan_of(lambda recipe: recipe.topology == "resnet20" and recipe.epochs >= 10)


@pytest.fixture(scope="module")
def drawn() -> list[Picture]:
    return pictures(RESNET20)


def test_means_and_spreads_are_over_seeds() -> None:
    empty = Measured(NOTHING["table3"][0].setting)
    one = recorded(empty, top1={3: 90.0, 1: 91.0}, integer_top1={2: 80.0})
    assert one.values("top1") == {3: 90.0, 1: 91.0}
    assert one.mean("top1") == 90.5 and one.spread("top1") == stdev([90.0, 91.0])
    assert one.mean("cut_groups") is None and one.spread("cut_groups") is None
    base = recorded(empty, top1={1: 92.5, 7: 1.0})
    assert one.above(base) == -1.5
    assert one.above(None) is None and one.above(empty) is None


def test_gaps_are_to_the_same_networks_full_precision() -> None:
    one = find(ALL["sparsity"])
    base = full_precision_of(ALL, one) if one is not None else None
    assert one is not None and base is not None
    assert (base.setting.method, base.setting.model, base.setting.epochs) == ("full precision", "resnet20", 20)
    assert full_precision_of(ALL, Measured(replace(one.setting, epochs=6))) is None


def test_nothing_recorded_is_told_as_not_run() -> None:
    for part in parts(NOTHING):
        assert any(NOT_RUN in row for row in part.table.rows), part.name
        assert {len(row) for row in part.table.rows} == {len(part.table.columns)}, part.name
    assert rows(NOTHING) == [] and pictures(NOTHING) == [] and data_set_of(NOTHING) == ""
    assert "0 trainings." in html_page(NOTHING, [])


def test_everything_recorded_leaves_nothing_out(drawn: list[Picture]) -> None:
    assert not any(NOT_RUN in row for part in parts(ALL) for row in part.table.rows)
    assert [picture.name for picture in drawn] == ["lambda", "weights", "evolution", "norms", "trits"]


def test_table_1_stands_beside_the_published_one() -> None:
    cells = {row[0]: row[1:] for row in table_1(RESNET20).table.rows}
    full, clipped = (find(RESNET20["table1"], method=m, model="resnet20") for m in ("full precision", "clipped"))
    assert full is not None and clipped is not None
    assert cells["full precision"] == (f"{full.mean('top1'):.2f}", *[NOT_RUN] * 3)
    assert cells["gap"][0] == f"{clipped.above(full):+.2f}".replace("-", "−") and cells["gap"][1:] == (NOT_RUN,) * 3
    assert cells["Table 1, clipped"] == ("90.89", "91.62", "91.76", "92.05")
    assert cells["Table 1, gap"] == ("−0.81", "−0.74", "−0.71", "−0.63")


def test_table_3_has_a_line_for_each_network_and_method() -> None:
    lines = table_3(ALL).table.rows
    assert len({row[:2] for row in lines}) == len(lines) == 20
    (naive,) = [row for row in lines if row[:2] == ("ResNet-20", "naive")]
    one = find(ALL["table3"], method="naive", model="resnet20")
    assert one is not None
    assert naive[2] == f"{one.mean('top1'):.2f} ± {one.spread('top1'):.2f}"
    assert naive[4:8] == ("42.0", "12.0", "18.18 ×", "0, 2")
    assert naive[8:] == ("90.01", "−1.69", "70", "18", "19.5 ×")
    (full,) = [row for row in lines if row[:2] == ("ResNet-56", "full precision")]
    assert full[3:7] == ("",) * 4 and full[8:] == ("92.68", "", "", "", "")


def test_table_6_stands_beside_the_published_one() -> None:
    lines = table_6(ALL).table.rows
    assert [row[0] for row in lines] == ["PE-16", "PE-8", "PE-4", "PE-2", "PE-1"]
    assert lines[1][5:] == ("90.56", "70.75", "35.6")


def test_published_figures_agree_with_one_another() -> None:
    for method in ("pruning", "naive", "clipped"):
        for network in TABLE_3.values():
            told = network[method]
            assert told.zero_groups is not None and told.compression is not None
            ideal = (1 if method == "pruning" else 16) / (1 - told.zero_groups / 100)
            assert told.compression == pytest.approx(ideal, rel=0.1)
    assert TABLE_3["resnet20"]["clipped"].top1 == TABLE_6[16].top1 == TABLE_1["clipped"]["resnet20"]


def test_the_sweep_has_naive_beside_clipped_at_every_a() -> None:
    table = sweep_table(ALL).table
    lines = table.rows
    assert table.columns[1::3] == ("naive: top-1, %", "clipped, a = 1: top-1, %", "clipped, a = 1.2: top-1, %")
    assert [row[0] for row in lines] == ["0.000125", "0.00025", "0.0005", "0.001", "0.002"]
    assert lines[2][3] == "8.0" and lines[2][6] == "30.0"


def test_curves_are_compared_where_both_have_points() -> None:
    def settings(method: str, points: dict[float, float]) -> list[Measured]:
        known = setting(experiments()["lambda-sweep"].runs[0])
        known = replace(known, method=method, clipping=None if method == "naive" else 1.5)
        return [
            recorded(
                Measured(replace(known, penalty=float(index))),
                zero_group_fraction={0: groups},
                top1={0: points[groups]},
            )
            for index, groups in enumerate(points)
        ]

    naive = settings("naive", {0.3: 80.0, 0.1: 90.0})
    clipped = settings("clipped", {0.15: 91.0, 0.25: 90.0, 0.6: 60.0})
    assert curve(naive) == [(0.1, 90.0), (0.3, 80.0)]
    assert matched_table({"lambda-sweep": [*naive, *clipped]}).table.rows == [
        ("clipped, a = 1.5", "15.0", "91.00", "87.50", "+3.50"),
        ("clipped, a = 1.5", "18.8", "90.62", "85.62", "+5.00"),
        ("clipped, a = 1.5", "22.5", "90.25", "83.75", "+6.50"),
        ("clipped, a = 1.5", "26.2", "88.93", "81.88", "+7.05"),
        ("clipped, a = 1.5", "30.0", "85.71", "80.00", "+5.71"),
    ]
    apart = settings("clipped", {0.5: 91.0, 0.6: 90.0})
    assert matched_table({"lambda-sweep": [*naive, *apart]}).table.rows == [
        ("clipped, a = 1.5", "none in common", "", "", "")
    ]
    assert matched_table({"lambda-sweep": naive}).table.rows == [(NOT_RUN, "", "", "", "")]


def test_the_choice_is_told_by_validation_accuracy() -> None:
    table = selection_table(ALL).table
    one = find(ALL["lambda-clipping"], penalty=1e-3, clipping=1.2)
    assert one is not None
    assert table.columns == ("a", "λ = 0.0005", "λ = 0.001", "λ = 0.002")
    assert table.rows[1][:3:2] == ("1.2", f"{one.mean('validation_accuracy'):.2f} / 45.0")


def test_the_choice_of_a_for_a_target_is_told_by_validation_accuracy_too() -> None:
    part = target_selection_table(ALL)
    assert [row[0] for row in part.table.rows] == ["0.8", "1", "1.2", "∞ (naive)"]
    naive = find(ALL["target-clipping"], method="naive")
    assert naive is not None
    mean, spread = naive.mean("validation_accuracy"), naive.spread("validation_accuracy")
    assert part.table.rows[-1][1:] == (f"{mean:.2f} ± {spread:.2f}", "50.0", "7")
    assert part.note.startswith("6 epochs, one cycle, activations in floating point; last epoch. Pruned to 50 % zero")


def test_the_best_accuracy_is_chosen_among_those_sparse_enough() -> None:
    known = setting(experiments()["lambda-clipping"].runs[0])
    points = {(1e-4, 1.0): (95.0, 0.2), (2e-4, 1.5): (90.0, 0.3), (3e-4, 1.0): (90.0, 0.4), (4e-4, 1.2): (85.0, 0.5)}
    settings = [
        recorded(
            Measured(replace(known, penalty=penalty, clipping=clipping)),
            validation_accuracy={0: accuracy},
            zero_group_fraction={0: groups},
        )
        for (penalty, clipping), (accuracy, groups) in points.items()
    ]
    assert selection_table({"lambda-clipping": settings}).note.endswith(
        "with at least 25 % zero groups: λ = 0.0003, a = 1; with at least 50 % zero groups: λ = 0.0004, a = 1.2."
    )
    assert selection_table({"lambda-clipping": settings[:2]}).note.endswith("at least 50 % zero groups: none run.")


def test_deployable_networks_tell_the_integer_networks_accuracy_and_what_they_learnt_from() -> None:
    one = find(ALL["sparsity"], activations=8)
    assert one is not None
    mean, spread = one.mean("integer_top1"), one.spread("integer_top1")
    part = deployable_table(ALL)
    assert part.table.rows[0][4] == f"{mean:.2f} ± {spread:.2f}"
    assert [row[:3] for row in part.table.rows] == [
        *[("25", "", "20"), ("50", "", "20")],
        *[("25", "0.5", "20"), ("50", "0.5", "20"), ("50", "0.5", "40")],
    ]
    assert "From the teacher, resnet20-full_precision-a32-e20-one_cycle-s0, comes" in part.note
    assert part.note.startswith("one cycle, a = 1, 8-bit activations; last epoch.")
    longer = part.table.rows[-1]
    full = find(ALL["best"], method="full precision")
    assert longer[5] == points_cell(ALL["best"][0].above(full)) != ""
    alone = deployable_table({**ALL, "best": ALL["best"][:1]}).table.rows  # no full precision of 40 epochs
    assert [row[5] == "" for row in alone] == [False] * 4 + [True]
    other = Measured(replace(ALL["best"][0].setting, temperature=2.0, feature_matching=0.1))
    assert deployable_table({**ALL, "best": [other]}).table.rows[-1][1] == "0.5, T = 2, maps 0.1"


def recorded(one: Measured, **metrics: dict[int, float]) -> Measured:
    """A setting with given figures by seed."""
    seeds = sorted({seed for values in metrics.values() for seed in values})
    told = {seed: {name: values[seed] for name, values in metrics.items() if seed in values} for seed in seeds}
    records = (replace(empty_record(one.setting, seed), **figures) for seed, figures in told.items())  # type: ignore[arg-type]
    return replace(one, records=tuple(records))


def test_gaps_are_those_of_the_densest_network_that_is_sparse_enough() -> None:
    full, *_ = table = NOTHING["table3"]
    sweep = {(one.setting.method, one.setting.penalty): one for one in NOTHING["lambda-sweep"]}
    real, _, naive, _, bits, sparser, taught, taught_sparser = NOTHING["sparsity"]

    def at(one: Measured, top1: float, groups: float) -> Measured:
        return recorded(one, top1={0: top1}, zero_group_fraction={0: groups}, integer_top1={0: top1 - 0.25})

    plan = {
        **NOTHING,
        "table3": [recorded(full, top1={0: 88.0, 1: 89.0}), *table[1:]],
        "lambda-sweep": [
            at(sweep["naive", 5e-4], 86.0, 0.26),
            at(sweep["clipped", 5e-4], 87.0, 0.3),
            at(sweep["clipped", 1e-3], 85.0, 0.5),
            at(sweep["clipped", 2e-3], 88.0, 0.6),
            at(sweep["clipped", 2.5e-4], 87.9, 0.2),
        ],
        "sparsity": [
            *[at(real, 87.3, 0.25), at(naive, 89.0, 0.25), at(bits, 86.5, 0.3), sparser],
            *[at(taught, 87.5, 0.2), at(taught_sparser, 86.0, 0.4)],
        ],
        "best": [at(NOTHING["best"][0], 88.5, 0.51)],
    }
    base = ("88.50 ± 0.71", "20")
    assert gap_table(plan).table.rows == [
        ("floating point", "", "20", "25", "to 25 %, a = 1", "25.0", "87.30", "−0.70", "−0.95", *base),
        ("floating point", "", "20", "50", "none so sparse", *[""] * 6),
        ("floating point", "", "10", "25", "λ = 0.0005, a = 1.2", "30.0", "87.00", "−1.00", "−1.25", *base),
        ("floating point", "", "10", "50", "λ = 0.001, a = 1.2", "50.0", "85.00", "−3.00", "−3.25", *base),
        ("8-bit", "", "20", "25", "to 25 %, a = 1", "30.0", "86.50", "−1.50", "−1.75", *base),
        ("8-bit", "", "20", "50", "none so sparse", *[""] * 6),
        ("8-bit", "0.5", "20", "25", "to 50 %, a = 1", "40.0", "86.00", "−2.00", "−2.25", *base),
        ("8-bit", "0.5", "20", "50", "none so sparse", *[""] * 6),
        ("8-bit", "0.5", "40", "25", "to 50 %, a = 1", "51.0", "88.50", "+0.50", "+0.25", *base),
        ("8-bit", "0.5", "40", "50", "to 50 %, a = 1", "51.0", "88.50", "+0.50", "+0.25", *base),
    ]
    assert {row[4:] for row in gap_table(NOTHING).table.rows} == {(NOT_RUN, *[""] * 6)}


def test_weightings_are_compared_seed_by_seed() -> None:
    cycles, alike = NOTHING["latency"]
    cycles = recorded(cycles, top1={0: 87.0, 1: 88.0, 2: 86.0}, integer_top1={0: 87.0})
    alike = recorded(alike, top1={0: 86.5, 1: 87.0, 9: 50.0}, integer_top1={0: 86.9, 1: 87.0})
    first, second = latency_table({**NOTHING, "latency": [alike, cycles]}).table.rows[::-1]
    assert first[3:7] == ("87.00 ± 1.00", "87.00", "+0.75 ± 0.35", "+0.10")
    assert second[3] == "74.50 ± 21.22" and second[5:7] == ("", "")


def test_naive_and_clipped_pruned_alike_are_compared_seed_by_seed() -> None:
    clipped, _, naive, *_ = NOTHING["sparsity"]
    clipped = recorded(clipped, top1={0: 87.0, 1: 88.0}, zero_group_fraction={0: 0.25, 1: 0.25})
    naive = recorded(naive, top1={0: 86.5, 2: 70.0}, zero_group_fraction={0: 0.25, 2: 0.25}, cut_groups={0: 4, 2: 6})
    full = recorded(NOTHING["table3"][0], top1={0: 88.0})
    rows = pruned_alike_table({**NOTHING, "sparsity": [clipped, naive], "table3": [full]}).table.rows
    assert rows == [
        ("25", "clipped", "87.50 ± 0.71", "+0.50", "−1.00", "0.0", "25.0", "", "0, 1"),
        ("25", "naive", "78.25 ± 11.67", "", "−1.50", "0.0", "25.0", "5", "0, 2"),
    ]
    assert [row[:2] for row in pruned_alike_table(ALL).table.rows] == [
        *[("25", "clipped"), ("50", "clipped")],
        *[("25", "naive"), ("50", "naive")],
    ]


def test_a_latency_stands_beside_what_was_aimed_at() -> None:
    lines = latency_table(ALL).table.rows
    assert [row[:2] for row in lines] == [("10,000", how) for how in ("by cycles", "alike")]
    assert lines[0][2] == f"{ALL['latency'][0].mean('predicted_cycles'):,.0f}"


def test_rows_hold_each_recorded_setting_once() -> None:
    found = rows(RESNET20)
    runs = {
        run for one in experiments().values() for run in one.runs if run.topology == "resnet20" and run.epochs >= 10
    }
    assert len(found) == len({replace(run, seed=0) for run in runs})
    assert {row["method"] for row in found} == {method_of(run) for run in runs}
    assert {row["dataset"] for row in found} == {"CIFAR-10-JPEG"}
    assert all(row["seeds"] == [0] and row["top1_std"] is None for row in found)
    json.dumps(found, allow_nan=False)


def test_records_of_two_data_sets_are_refused(tmp_path: Path) -> None:
    mixed = {**RESNET20, "table6": plan_of(lambda recipe: True, dataset="cifar10")["table6"]}
    with pytest.raises(ResultFileError, match="on cifar10, cifar10_jpeg; a report takes those of one data set"):
        write_training_report(tmp_path / "page.html", mixed)
    assert not any(tmp_path.iterdir())


def test_pictures_are_svg_and_the_same_each_time(drawn: list[Picture]) -> None:
    assert [one.svg for one in pictures(RESNET20)] == [one.svg for one in drawn]
    for one in drawn:
        assert ElementTree.fromstring(one.svg).tag.endswith("svg") and one.title and one.text


def test_what_layers_are_called_decides_nothing_but_titles(drawn: list[Picture]) -> None:
    def renamed(record: TrainingRecord) -> TrainingRecord:
        called = {name: f"layer{index}" for index, name in enumerate(record.layers.name)}
        columns = {}
        for name, column in record.history.columns.items():
            figure, _, layer = name.partition(".")
            columns[f"{figure}.{called[layer]}" if layer else name] = column
        return replace(
            record,
            layers=replace(record.layers, name=tuple(called.values())),
            history=replace(record.history, columns=columns),
            histograms={called[name]: one for name, one in record.histograms.items()},
            group_norms={called[name]: one for name, one in record.group_norms.items()},
            trits={called[name]: one for name, one in record.trits.items()},
        )

    table = [replace(one, records=tuple(map(renamed, one.records))) for one in RESNET20["table3"]]
    other = {one.name: one for one in pictures({**RESNET20, "table3": table})}
    known = {one.name: one for one in drawn}
    assert [name for name in known if known[name].svg != other[name].svg] == ["norms", "trits"]
    titles = (("stage2.block1.conv1 (conv8)", "layer6 (conv8)"), ("stage3.block1.conv2 (conv15)", "layer13 (conv15)"))
    for old, new in titles:
        assert old in texts(known["norms"]) and new in texts(other["norms"])


def texts(picture: Picture) -> list[str]:
    return [text.strip() for text in ElementTree.fromstring(picture.svg).itertext() if text.strip()]


def test_every_lambda_is_told_once_for_each_method(drawn: list[Picture]) -> None:
    told = texts(drawn[0])
    assert {"10 epochs", "20 epochs", "naive", "full precision, nothing pruned", "pruned to a target"} <= set(told)
    penalties = {f"{1e4 * one.setting.penalty:g}" for one in RESNET20["lambda-sweep"]}
    found = [part for text in told for part in text.split(", ") if part in penalties - {"10", "20"}]  # not an axis's
    assert sorted(found) == sorted([*(penalties - {"10", "20"})] * 3)


def test_points_that_lie_close_together_share_a_label() -> None:
    def naive(groups: tuple[float, ...]) -> Plan:
        sweep = [one for one in NOTHING["lambda-sweep"] if one.setting.method == "naive"]
        held = [
            recorded(one, top1={0: 90.0}, zero_group_fraction={0: part})
            for one, part in zip(sweep, groups, strict=True)
        ]
        return {**NOTHING, "lambda-sweep": held}

    (apart,), (close,) = pictures(naive((0.1, 0.2, 0.3, 0.4, 0.5))), pictures(naive((0.1, 0.12, 0.15, 0.4, 0.5)))
    assert {"1.25", "2.5", "5"} <= set(texts(apart))
    assert {"1.25, 2.5", "5"} <= set(texts(close)) and not {"1.25", "2.5"} & set(texts(close))


def test_longer_trainings_are_drawn_with_their_spread_and_float_activations_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[tuple[str, list[tuple[float, ...]]]] = []
    draw = Axes.errorbar

    def noted(axes: Axes, x: list[float], y: list[float], spread: list[float], *, fmt: str, **form: Any) -> Any:
        drawn.append((fmt, [*zip(x, y, spread, strict=True)]))
        return draw(axes, x, y, spread, fmt=fmt, **form)

    monkeypatch.setattr(Axes, "errorbar", noted)
    groups = {0: 0.25, 1: 0.25}
    held = [
        recorded(one, top1={0: 80.0 + place, 1: 82.0 + place}, zero_group_fraction=groups)
        for place, one in enumerate(NOTHING["sparsity"])
    ]
    sparser = replace(held[1], records=tuple(replace(record, zero_group_fraction=0.125) for record in held[1].records))
    pictures({**NOTHING, "lambda-sweep": RESNET20["lambda-sweep"], "sparsity": [held[0], sparser, *held[2:]]})
    spread = stdev([80.0, 82.0])
    assert [points for form, points in drawn if form == "s--"] == [
        [(25.0, 83.0, spread), (25.0, 84.0, spread)],  # naive
        [(12.5, 82.0, spread), (25.0, 81.0, spread)],  # clipped, from the fewest zero groups on
    ]


def test_kernels_are_stitched_by_output_and_input() -> None:
    trits = np.random.default_rng(0).integers(-1, 2, (4, 2, 3, 3))
    picture = stitched(["".join("0+-"[trit] for trit in row.ravel()) for row in trits])
    assert picture.shape == (6, 12)
    for output in range(4):
        for channel in range(2):
            kernel = picture[3 * channel : 3 * channel + 3, 3 * output : 3 * output + 3]
            assert (kernel == trits[output, channel]).all()


def test_the_page_holds_tables_and_pictures(drawn: list[Picture]) -> None:
    page = Page(html_page(RESNET20, drawn))
    ids = {element.attributes.get("id") for element in page.elements}
    assert {part.name for part in parts(RESNET20)} <= ids and {one.name for one in drawn} <= ids
    cells = [element.text for element in page.elements if element.tag == "td"]
    assert cells == [cell for part in parts(RESNET20) for row in part.table.rows for cell in row]
    assert sum(element.attributes.get("src", "").startswith("data:image/svg+xml") for element in page.elements) == 5


def test_a_markdown_page_gets_its_part_and_pictures(tmp_path: Path, drawn: list[Picture]) -> None:
    page = tmp_path / "experiments.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_training_report(page, RESNET20)
    assert page.read_text() == f"before\n{BEGIN}\n\n{markdown(RESNET20, drawn)}\n\n{END}\nafter\n"
    for one in drawn:
        assert f"(images/training_{one.name}.svg)" in page.read_text()
        assert (tmp_path / "images" / f"training_{one.name}.svg").read_bytes() == one.svg
    for part in parts(RESNET20):
        assert markdown_table(part.table) in page.read_text()


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "plain.md").write_text("no markers")
    for name, sentence in (
        ("plain.md", "lacks the markers"),
        ("missing.md", "cannot read"),
        ("page.pdf", "can only be an .html or .md file"),
    ):
        with pytest.raises(TritforgeError, match=sentence):
            write_training_report(tmp_path / name, NOTHING)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain.md"]
