"""Tables of training runs beside dissertation Tables 1, 3 and 6, and those that the dissertation has no like of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

from tritforge.reports.published import TABLE_1, TABLE_3, TABLE_6, Published
from tritforge.reports.result_table import Table
from tritforge.reports.training_records import Measured, Plan, find, full_precision_of

NOT_RUN = "not run"
FLOAT_BITS = 32
"""What records call the width of activations in floating point."""
MATCHED_LEVELS = 5
"""Zero-group fractions at which naive and clipped are compared, evenly spread over those that both reach."""

LEAST = (0.25, 0.5)
"""Zero-group fractions that a choice of λ and *a* is asked for."""
GAPS_OF = ("table3", "lambda-sweep", "sparsity", "best")
"""Experiments whose gaps to full precision are told."""


@dataclass(frozen=True)
class Part:
    """A table with what is to be said of it; ``name`` is the experiment's."""

    name: str
    table: Table
    note: str


def parts(plan: Plan) -> list[Part]:
    """Every table, in order. What has no record is told as "not run"."""
    return [
        table_1(plan),
        table_3(plan),
        table_6(plan),
        sweep_table(plan),
        matched_table(plan),
        selection_table(plan),
        target_selection_table(plan),
        deployable_table(plan),
        gap_table(plan),
        latency_table(plan),
        ends_table(plan),
    ]


def table_1(plan: Plan) -> Part:
    """Full precision and clipped by network (Table 1)."""
    models = list(TABLE_1["clipped"])
    full, clipped = (
        [find(plan["table1"], method=method, model=model) for model in models]
        for method in ("full precision", "clipped")
    )
    gaps = [own.above(base) if own is not None else None for own, base in zip(clipped, full, strict=True)]
    lines = [
        ("full precision", *(_top1(one) for one in full)),
        ("clipped", *(_top1(one) for one in clipped)),
        ("gap", *(_points(gap) if gap is not None else NOT_RUN for gap in gaps)),
        *((f"Table 1, {method}", *(f"{TABLE_1[method][m]:.2f}" for m in models)) for method in TABLE_1),
        (
            "Table 1, gap",
            *(_points(TABLE_1["clipped"][m] - TABLE_1["full precision"][m]) for m in models),
        ),
    ]
    columns = ("top-1 accuracy, %", *(_network(model) for model in models))
    return Part("table1", Table("Full precision and clipped", columns, lines), _setting(plan["table1"], "Table 1"))


def table_3(plan: Plan) -> Part:
    """The five methods (Table 3)."""
    lines = []
    for one in plan["table3"]:
        model, method = one.setting["model"], one.setting["method"]
        theirs = TABLE_3.get(model, {}).get(method)
        if method == "full precision" and model in TABLE_1[method]:
            theirs = Published(TABLE_1[method][model])
        base = TABLE_1["full precision"].get(model)
        gap = theirs.top1 - base if theirs is not None and base is not None and method != "full precision" else None
        lines.append(
            (
                _network(model),
                method,
                _top1(one),
                _points(None if method == "full precision" else one.above(full_precision_of(plan, one))),
                *_sparsity(one),
                _ratio(None if method == "full precision" else one.mean("compression")),
                _seeds(one),
                *_published(theirs, gap),
            )
        )
    columns = (
        *("network", "method", "top-1, %", "gap", "zero weights, %", "zero groups, %", "compression", "seeds"),
        *(f"Table 3 {name}" for name in ("top-1", "gap", "zero weights", "zero groups", "compression")),
    )
    return Part("table3", Table("Five methods", columns, lines), _setting(plan["table3"], "Table 3"))


def table_6(plan: Plan) -> Part:
    """PE sizes (Table 6)."""
    lines = []
    for one in plan["table6"]:
        size = one.setting["group_channels"]
        theirs = TABLE_6.get(size)
        told = (theirs.top1, theirs.zero, theirs.zero_groups) if theirs is not None else (None, None, None)
        lines.append((f"PE-{size}", _top1(one), *_sparsity(one), _seeds(one), *(_plain(value) for value in told)))
    columns = (
        *("PE size", "top-1, %", "zero weights, %", "zero groups, %", "seeds"),
        *(f"Table 6 {name}" for name in ("top-1", "zero weights", "zero groups")),
    )
    return Part("table6", Table("Channels of a PE group", columns, lines), _setting(plan["table6"], "Table 6"))


def sweep_series(plan: Plan) -> dict[str, list[Measured]]:
    """The settings of the sweep over λ: naive, then clipped by *a*."""
    series: dict[str, list[Measured]] = {}
    for one in sorted(plan["lambda-sweep"], key=lambda one: one.setting["clipping"] or 0.0):
        clipping = one.setting["clipping"]
        series.setdefault("naive" if clipping is None else f"clipped, a = {clipping:g}", []).append(one)
    return series


def sweep_table(plan: Plan) -> Part:
    """Naive and clipped by λ."""
    settings, series = plan["lambda-sweep"], sweep_series(plan)
    lines = []
    for penalty in sorted({one.setting["penalty"] for one in settings}):
        found = [find(alike, penalty=penalty) for alike in series.values()]
        lines.append((f"{penalty:g}", *(cell for one in found for cell in (_top1(one), *_sparsity(one)))))
    columns = ("λ", *(f"{name}: {what}" for name in series for what in _SPARSE))
    return Part("lambda-sweep", Table("Over λ", columns, lines), _setting(settings))


_SPARSE = ("top-1, %", "zero weights, %", "zero groups, %")


def matched_table(plan: Plan) -> Part:
    """Naive and clipped at equal zero-group fractions, each linear between its measured points."""
    curves = {name: curve(settings) for name, settings in sweep_series(plan).items()}
    naive = curves.pop("naive", [])
    lines = [line for name, clipped in curves.items() for line in _matched(name, naive, clipped)]
    columns = ("method", "zero groups, %", "top-1, %", "naive, %", "above naive")
    note = (
        "Interpolated linearly between the measured points of the table above, from the least to the most group "
        "sparsity that both methods reach."
    )
    return Part("matched", Table("At equal group sparsity", columns, lines or [(NOT_RUN, *[""] * 4)]), note)


def _matched(
    name: str, naive: Sequence[tuple[float, float]], clipped: Sequence[tuple[float, float]]
) -> list[tuple[str, ...]]:
    if len(naive) < 2 or len(clipped) < 2:
        return [(name, NOT_RUN, "", "", "")]
    least, most = max(naive[0][0], clipped[0][0]), min(naive[-1][0], clipped[-1][0])
    if least >= most:
        return [(name, "none in common", "", "", "")]
    lines: list[tuple[str, ...]] = []
    for level in np.linspace(least, most, MATCHED_LEVELS):
        ours, theirs = _between(clipped, float(level)), _between(naive, float(level))
        lines.append((name, f"{100 * level:.1f}", f"{ours:.2f}", f"{theirs:.2f}", _points(ours - theirs)))
    return lines


def _between(points: Sequence[tuple[float, float]], level: float) -> float:
    """The second value of points that rise in the first, linear between them."""
    return float(np.interp(level, [groups for groups, _ in points], [top1 for _, top1 in points]))


def curve(settings: Sequence[Measured]) -> list[tuple[float, float]]:
    """Mean zero-group fraction and top-1 of the settings that were run, by rising fraction."""
    points = [(one.mean("zero_group_fraction"), one.mean("top1")) for one in settings]
    return sorted((groups, top1) for groups, top1 in points if groups is not None and top1 is not None)


def selection_table(plan: Plan) -> Part:
    """Validation accuracy and zero groups over λ and *a*."""
    settings = plan["lambda-clipping"]
    penalties = list(dict.fromkeys(one.setting["penalty"] for one in settings))
    lines = []
    for clipping in dict.fromkeys(one.setting["clipping"] for one in settings):
        cells = []
        for penalty in penalties:
            one = find(settings, penalty=penalty, clipping=clipping)
            accuracy = one.mean("validation_accuracy") if one is not None else None
            groups = one.mean("zero_group_fraction") if one is not None else None
            told = accuracy is not None and groups is not None
            cells.append(f"{accuracy:.2f} / {100 * groups:.1f}" if told else NOT_RUN)  # type: ignore[operator]
        lines.append((f"{clipping:g}", *cells))
    columns = ("a", *(f"λ = {penalty:g}" for penalty in penalties))
    note = (
        f"{_setting(settings)} Accuracy on the held-out tenth of the training images / zero groups, both in percent. "
        f"The test part is not looked at. The best accuracy {'; '.join(_best(settings, least) for least in LEAST)}."
    )
    return Part("lambda-clipping", Table("The choice of λ and a", columns, lines), note)


def _best(settings: Sequence[Measured], least: float) -> str:
    """The setting of the highest validation accuracy among those with enough zero groups; of equal ones the sparser."""
    told = []
    for one in settings:
        accuracy, groups = one.mean("validation_accuracy"), one.mean("zero_group_fraction")
        if accuracy is not None and groups is not None and groups >= least:
            told.append((accuracy, groups, f"λ = {one.setting['penalty']:g}, a = {one.setting['clipping']:g}"))
    return f"with at least {100 * least:g} % zero groups: {max(told)[2] if told else 'none run'}"


def target_selection_table(plan: Plan) -> Part:
    """Validation accuracy over *a* where all are pruned to the same part of zero groups."""
    settings = plan["target-clipping"]
    lines = [
        (
            _clipping(one),
            _top1(one, "validation_accuracy"),
            _sparsity(one)[1],
            "" if (cut := one.mean("cut_groups")) is None else f"{cut:g}",
        )
        for one in settings
    ]
    columns = ("a", "held-out accuracy, %", "zero groups, %", "groups cut")
    note = (
        f"{_setting(settings)} Pruned to {100 * settings[0].setting['zero_group_target']:g} % zero groups. Accuracy on "
        "the held-out tenth of the training images; the test part is not looked at. Groups cut were not empty by the "
        "penalty alone."
    )
    return Part("target-clipping", Table("The choice of a for a target", columns, lines), note)


def _clipping(one: Measured) -> str:
    return "∞ (naive)" if one.setting["clipping"] is None else f"{one.setting['clipping']:g}"


def deployable_table(plan: Plan) -> Part:
    """What the accelerator can run, without and with a teacher."""
    settings = [one for one in (*plan["sparsity"], *plan["best"]) if one.setting["activations"] < FLOAT_BITS]
    lines = [
        (
            f"{100 * one.setting['zero_group_target']:g}",
            _learnt(one),
            str(one.setting["epochs"]),
            _top1(one),
            _top1(one, "integer_top1"),
            _points(one.above(full_precision_of(plan, one))),
            *_sparsity(one),
            _ratio(one.mean("compression")),
            _cycles(one),
            _seeds(one),
        )
        for one in settings
    ]
    columns = (
        *("pruned to zero groups, %", "from the teacher", "epochs", "as trained, %", "integer network, %", "gap"),
        *("zero weights, %", "zero groups, %", "compression", "predicted cycles", "seeds"),
    )
    teachers = ", ".join(dict.fromkeys(one.setting["teacher"] for one in settings if "teacher" in one.setting))
    note = (
        f"{_setting(settings)} From the teacher, {teachers}, comes so much of the loss (T is 4 if not told). The gap "
        "is that of the trained model to full precision after as many epochs; the cycles are an image's on 16 PEs, by "
        "the cycle model."
    )
    return Part("sparsity", Table("8-bit activations, integer first and last layer", columns, lines), note)


def _learnt(one: Measured) -> str:
    """What part of the loss comes from a teacher; empty without one."""
    told = one.setting
    if "teacher" not in told:
        return ""
    softened = f", T = {told['temperature']:g}" if told["temperature"] != 4 else ""
    maps = f", maps {told['feature_matching']:g}" if told["feature_matching"] > 0 else ""
    return f"{told['distillation']:g}{softened}{maps}"


def gap_table(plan: Plan) -> Part:
    """What clipped networks lose to full precision, by the least part of zero groups."""
    settings = [one for name in GAPS_OF for one in plan[name]]
    model = settings[0].setting["model"]
    clipped = [one for one in settings if one.setting["model"] == model and one.setting["method"] == "clipped"]
    lines = []
    for kind in sorted({_kind(one) for one in clipped}):
        alike = [one for one in clipped if _kind(one) == kind]
        lines += [(*_kind_cells(alike[0]), f"{100 * least:g}", *_least_loss(plan, alike, least)) for least in LEAST]
    columns = (
        *("activations", "from the teacher", "epochs", "zero groups, at least %", "pruned", "zero groups, %"),
        *("top-1, %", "gap", "integer network's gap", "full precision, %", "its epochs"),
    )
    note = (
        "Method clipped, ResNet-20. Of the recorded settings with so many zero groups, the one with the fewest: no "
        "accuracy on the test part decides. The gap is to full precision on the same data, after as many epochs where "
        "that was planned, else after those told in the last column."
    )
    return Part("gaps", Table("Gaps to full precision", columns, lines), note)


def _kind(one: Measured) -> tuple[int, str, int]:
    """What settings must share to be compared, in the order of the lines."""
    taught = "teacher" in one.setting
    return -one.setting["activations"], _learnt(one), one.setting["epochs"] if taught else -one.setting["epochs"]


def _kind_cells(one: Measured) -> tuple[str, str, str]:
    bits = one.setting["activations"]
    return "floating point" if bits == FLOAT_BITS else f"{bits}-bit", _learnt(one), str(one.setting["epochs"])


def _least_loss(plan: Plan, settings: Sequence[Measured], least: float) -> tuple[str, ...]:
    """Cells on the setting with the fewest zero groups among those with enough of them."""
    held = [one for one in settings if one.mean("top1") is not None]
    sparse = [one for one in held if (one.mean("zero_group_fraction") or 0.0) >= least]
    if not sparse:
        return ("none so sparse" if held else NOT_RUN, *[""] * 6)
    one = min(sparse, key=lambda one: one.mean("zero_group_fraction") or 0.0)
    base = full_precision_of(plan, one) or find(
        plan["table3"], method="full precision", model=one.setting["model"], schedule=one.setting["schedule"]
    )
    return (
        _pruned(one),
        _sparsity(one)[1],
        _top1(one),
        _points(one.above(base)),
        _points(one.above(base, "integer_top1", "top1")),
        _top1(base),
        str(base.setting["epochs"]) if base is not None else "",
    )


def _pruned(one: Measured) -> str:
    """How far, or how strongly, a clipped network is pruned."""
    clipping = f"a = {one.setting['clipping']:g}"
    if "zero_group_target" in one.setting:
        return f"to {100 * one.setting['zero_group_target']:g} %, {clipping}"
    return f"λ = {one.setting['penalty']:g}, {clipping}"


def latency_table(plan: Plan) -> Part:
    """Pruned to given cycles an image, by weighting of the layers."""
    lines = []
    for one in plan["latency"]:
        weighted = one.setting["latency_weighting"] == "cycles"
        target = one.setting["latency_target"]
        alike = find(plan["latency"], latency_target=target, latency_weighting="uniform") if weighted else None
        lines.append(
            (
                f"{target:,.0f}",
                "by cycles" if weighted else "alike",
                _cycles(one),
                _top1(one),
                _top1(one, "integer_top1"),
                _difference(one.differences(alike)),
                _difference(one.differences(alike, "integer_top1")),
                *_sparsity(one),
                _seeds(one),
            )
        )
    columns = (
        *("cycles aimed at", "layers weighted", "predicted cycles", "as trained, %", "integer network, %"),
        *("above alike, as trained", "above alike, integer", "zero weights, %", "zero groups, %", "seeds"),
    )
    note = (
        f"{_setting(plan['latency'])} λ is where the training begins; it is moved so that the cycles come out. What "
        "weighting by cycles is above weighting alike is the mean over seeds of both, ± the standard deviation of "
        "their differences."
    )
    return Part("latency", Table("Pruned to a latency", columns, lines), note)


def ends_table(plan: Plan) -> Part:
    """First and last layer in four forms."""
    lines = [(_ends(one.setting["end_layers"]), _top1(one), *_sparsity(one), _seeds(one)) for one in plan["ends"]]
    columns = ("first and last layer", *_SPARSE, "seeds")
    return Part("ends", Table("Weights of the first and last layer", columns, lines), _setting(plan["ends"]))


def _ends(name: str) -> str:
    return f"{name.removeprefix('integer')}-bit integer" if name.startswith("integer") else name


def _network(model: str) -> str:
    return model.replace("resnet", "ResNet-")


def _top1(one: Measured | None, name: str = "top1") -> str:
    mean = one.mean(name) if one is not None else None
    if one is None or mean is None:
        return NOT_RUN
    spread = one.spread(name)
    return f"{mean:.2f} ± {spread:.2f}" if spread is not None else f"{mean:.2f}"


def _sparsity(one: Measured | None) -> tuple[str, str]:
    if one is None or one.setting["method"] == "full precision":
        return "", ""
    means = (one.mean("zero_fraction"), one.mean("zero_group_fraction"))
    weights, groups = (f"{100 * mean:.1f}" if mean is not None else "" for mean in means)
    return weights, groups


def _seeds(one: Measured) -> str:
    return ", ".join(str(record["seed"]) for record in one.records)


def _points(difference: float | None) -> str:
    return "" if difference is None else f"{difference:+.2f}".replace("-", "−")


def _difference(differences: Sequence[float]) -> str:
    """Mean and standard deviation of differences in percentage points."""
    if not differences:
        return ""
    spread = f" ± {stdev(differences):.2f}" if len(differences) > 1 else ""
    return _points(fmean(differences)) + spread


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.4g} ×"


def _cycles(one: Measured) -> str:
    mean = one.mean("predicted_cycles")
    return "" if mean is None else f"{mean:,.0f}"


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _published(theirs: Published | None, gap: float | None) -> tuple[str, ...]:
    if theirs is None:
        return ("",) * 5
    return (
        f"{theirs.top1:.2f}",
        _points(gap),
        _plain(theirs.zero),
        _plain(theirs.zero_groups),
        _ratio(theirs.compression),
    )


def _setting(settings: Sequence[Measured], table: str = "") -> str:
    """What the settings of a table have in common, and which one of the dissertation stands beside it."""
    held = {name: {one.setting[name] for one in settings} for name in settings[0].setting}

    def common(name: str) -> object:
        return next(iter(held[name])) if len(held[name]) == 1 else None

    told = ["one cycle" if common("schedule") == "one_cycle" else "steps"]
    if len(held["epochs"]) == 1:
        told.insert(0, f"{common('epochs')} epochs")
    clipped = [one.setting for one in settings if one.setting["clipping"] is not None]
    if len({one["penalty"] for one in clipped}) == 1 and not any("zero_group_target" in one for one in clipped):
        told.append(f"λ = {clipped[0]['penalty']:g}")
    if len({one["clipping"] for one in clipped}) == 1:
        told.append(f"a = {clipped[0]['clipping']:g}")
    bits = common("activations")
    told.append("activations in floating point" if bits == FLOAT_BITS else f"{bits}-bit activations")
    beside = f" Beside it {table} of the dissertation: CIFAR-10, 160 epochs." if table else ""
    return f"{', '.join(told)}; last epoch.{beside}"
