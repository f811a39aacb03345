"""Named experiments: the training runs behind the tables and figures of dissertation chapter 2.

A run is its resolved recipe; its method and its name follow from the recipe. Runs that are equal have one name, and so
one record, whichever experiments they belong to.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from tritforge.compress.data.sources import data_place
from tritforge.compress.methods.chosen import every_setting, settings_of
from tritforge.compress.methods.settings import with_settings
from tritforge.compress.methods.weight_penalty_clipping import WeightPenaltyClippingSettings
from tritforge.compress.run.recipe import Recipe, load_recipe, replace_values
from tritforge.errors import DataError, RecipeError
from tritforge.records.setting import FLOAT_BITS, SETTING_FIELDS, Setting

PENALTY, CLIPPING = 1e-3, 1.0
"""λ and *a* of every table that does not vary them."""
ZERO_GROUPS = (0.25, 0.5)
"""Parts of zero groups that ``sparsity`` prunes to."""
DISTILLATION = 0.5
"""Part of the loss that comes from the teacher, where there is one: full-precision ResNet-20 of Table 3, seed 0. A
recipe of an experiment names its teacher by the name of that run."""
LATENCY_TARGET = 10000.0
"""Cycles an image that ``latency`` prunes ResNet-20 to; with every group it takes 19,635 on 16 PEs."""
SWEEP_CLIPPING = (1.0, 1.2)
SWEEP = (1.25e-4, 2.5e-4, 5e-4, 1e-3, 2e-3)
SEEDED_SWEEP = SWEEP[-2:]
"""Values of λ of the sweep that several seeds are trained with: those that empty groups enough for methods to part."""
GRID = ((5e-4, 1e-3, 2e-3), (1.0, 1.2, 1.6, 2.0))
TARGET_PENALTY = 2.5e-4
"""λ of trainings that are pruned to a target, to begin with."""
TARGET_GRID = (0.8, 1.0, 1.2, math.inf)
"""Values of *a* to choose from there."""
HELD_OUT = 0.1
"""Part of the training images that a choice of λ and *a* is made on."""
SEEDS = (0, 1, 2)
TOPOLOGIES = ("resnet20", "resnet32", "resnet44", "resnet56")
PE_SIZES = (16, 8, 4, 2, 1)
ENDS: tuple[dict[str, Any], ...] = (
    {"end_layers": "float"},
    {"end_layers": "integer", "end_layer_bits": 8},
    {"end_layers": "integer", "end_layer_bits": 5},
    {"end_layers": "ternary"},
)

METHODS = ("full precision", "ternary", "pruning", "naive", "clipped")
"""Dissertation Table 3: nothing; ternary weights; group lasso; both at once (eq. 2.5); both with clipping (eq. 2.6)."""


@dataclass(frozen=True)
class Schedule:
    """A training schedule.

    Attributes:
        suffix: what its recipes end in.
        epochs: of a run.
        long_epochs: of the run that is to be as good as it can.
        compared_epochs: of runs whose accuracies stand beside each other's alone.
        short_epochs: of runs that choose among many settings.
    """

    suffix: str
    epochs: int
    long_epochs: int
    compared_epochs: int
    short_epochs: int


SCHEDULES = {"modern": Schedule("", 20, 40, 10, 6), "paper": Schedule("_paper", 160, 160, 160, 160)}


@dataclass(frozen=True)
class Experiment:
    """A name, what it is for, and its runs in the order in which they are done."""

    name: str
    purpose: str
    runs: tuple[Recipe, ...]


def method_recipe(
    method: str,
    *,
    schedule: str = "modern",
    penalty: float = PENALTY,
    clipping: float = CLIPPING,
    **values: Any,
) -> Recipe:
    """The recipe of a method, by default as dissertation 2.3.1 sets it: real activations, real first and last layer.

    Args:
        method: one of :data:`METHODS`.
        schedule: one of :data:`SCHEDULES`.
        penalty: λ of a method that prunes.
        clipping: *a* of the method ``clipped``.
        values: further keys of the recipe, those of a method as ``method.key``.
    """
    kind = SCHEDULES[schedule]
    real = method in ("full precision", "pruning")
    recipe = load_recipe(f"cifar10_{'float' if real else 'ternary'}{kind.suffix}")
    chosen: dict[str, Any] = {
        "epochs": kind.epochs,
        "validation_fraction": 0.0,
        "threads": 1,
    }
    if not real:
        chosen |= {"activation_bits": FLOAT_BITS, "end_layers": "float"}
    pruned = WeightPenaltyClippingSettings(
        0.0 if method in ("full precision", "ternary") else penalty, clipping if method == "clipped" else math.inf
    )
    return replace_values(with_settings(recipe, pruned), chosen | values, "the experiment")


def method_of(recipe: Recipe) -> str:
    """The method that a recipe is."""
    pruned = WeightPenaltyClippingSettings.of(recipe)
    if recipe.precision == "float":
        return "pruning" if pruned.penalty > 0 else "full precision"
    if pruned.penalty == 0:
        return "ternary"
    return "clipped" if math.isfinite(pruned.clipping) else "naive"


def activations_of(recipe: Recipe) -> int:
    """Bits of the activations, :data:`FLOAT_BITS` for floating point."""
    return FLOAT_BITS if recipe.precision == "float" else recipe.activation_bits


def setting(recipe: Recipe) -> Setting:
    """What a run is, apart from its seed and data."""
    told: dict[str, Any] = {}
    for settings in every_setting(recipe).values():
        told |= settings.setting()
    named = {name: told.pop(name) for name in told.keys() & SETTING_FIELDS}
    return Setting(
        method=method_of(recipe),
        model=recipe.topology,
        epochs=recipe.epochs,
        schedule=recipe.schedule,
        activations=activations_of(recipe),
        end_layers=end_layers_of(recipe),
        group_channels=recipe.group_channels,
        further=told or None,
        **named,
    )


def run_name(recipe: Recipe) -> str:
    """What a run is called: ``resnet20-clipped-a32-l5e-4-c1.2-e20-one_cycle-s0``.

    In order: topology, method, activation bits, what each method tells of its settings (λ, *a*; cycles or zero groups
    aimed at; distillation and its temperature if not 4, feature matching), PE group size if not 16, end layers if they
    are not of the activations' kind, part held out, epochs, schedule, seed. Who the teacher is, the recipe tells.
    """
    parts = [recipe.topology, method_of(recipe).replace(" ", "_"), f"a{activations_of(recipe)}"]
    for settings in settings_of(recipe).values():
        parts += settings.name_parts()
    if recipe.group_channels != 16:
        parts.append(f"g{recipe.group_channels}")
    ends = end_layers_of(recipe)
    if ends != ("float" if activations_of(recipe) == FLOAT_BITS else "integer8"):
        parts.append(f"ends_{ends}")
    if recipe.validation_fraction > 0:
        parts.append(f"v{recipe.validation_fraction:g}")
    return "-".join([*parts, f"e{recipe.epochs}", recipe.schedule, f"s{recipe.seed}"])


def end_layers_of(recipe: Recipe) -> str:
    """``float``, ``ternary``, or ``integer`` with its bits."""
    if recipe.precision == "float":
        return "float"
    return f"integer{recipe.end_layer_bits}" if recipe.end_layers == "integer" else recipe.end_layers


def experiments(schedule: str = "modern") -> dict[str, Experiment]:
    """All experiments by name.

    Raises:
        RecipeError: an unknown schedule.
    """
    if schedule not in SCHEDULES:
        raise RecipeError(f"the schedule is {schedule!r}; allowed are {', '.join(SCHEDULES)}")

    def run(method: str, **values: Any) -> Recipe:
        return method_recipe(method, schedule=schedule, **values)

    kind = SCHEDULES[schedule]
    deeper = TOPOLOGIES[1:]
    whole = ("full precision", "clipped")
    deployed: dict[str, Any] = {"activation_bits": 8, "end_layers": "integer"}
    taught: dict[str, Any] = {
        "distillation.teacher": run_name(run("full precision")),
        "distillation.weight": DISTILLATION,
    }
    made = (
        Experiment(
            "table3",
            "Table 3: five methods, ResNet-20 with seeds, then deeper",
            (
                *(run(method) for method in METHODS),
                *(run(method, seed=seed) for seed in SEEDS[1:] for method in ("full precision", "naive", "clipped")),
                *(run(method, topology=topology) for topology in deeper for method in METHODS),
            ),
        ),
        Experiment(
            "table1",
            "Table 1: full precision and clipped, ResNet-20 to 56, three seeds",
            (
                *(run(method, seed=seed) for seed in SEEDS for method in whole),
                *(
                    run(method, topology=topology, seed=seed)
                    for seed in SEEDS
                    for topology in deeper
                    for method in whole
                ),
            ),
        ),
        Experiment(
            "table6",
            "Table 6: PE groups of 16, 8, 4, 2 and 1 channels",
            tuple(run("clipped", epochs=kind.short_epochs, group_channels=size) for size in PE_SIZES),
        ),
        Experiment(
            "lambda-sweep",
            "accuracy against zero groups, naive and clipped, over λ; where many are zero with three seeds",
            (
                *(
                    run(method, epochs=kind.compared_epochs, penalty=penalty, clipping=clipping)
                    for penalty in SWEEP
                    for method, clipping in (("naive", math.inf), *(("clipped", a) for a in SWEEP_CLIPPING))
                ),
                *(
                    run(method, epochs=kind.compared_epochs, penalty=penalty, seed=seed)
                    for seed in SEEDS[1:]
                    for penalty in SEEDED_SWEEP
                    for method in ("naive", "clipped")
                ),
            ),
        ),
        Experiment(
            "lambda-clipping",
            "the choice of λ and a on held-out training images",
            tuple(
                run(
                    "clipped",
                    epochs=kind.short_epochs,
                    penalty=penalty,
                    clipping=clipping,
                    validation_fraction=HELD_OUT,
                )
                for penalty in GRID[0]
                for clipping in GRID[1]
            ),
        ),
        Experiment(
            "target-clipping",
            "the choice of a for pruning to half of the groups, on held-out training images",
            tuple(
                run(
                    "clipped" if math.isfinite(clipping) else "naive",
                    epochs=kind.short_epochs,
                    penalty=TARGET_PENALTY,
                    clipping=clipping,
                    validation_fraction=HELD_OUT,
                    **{"target_pruning.zero_groups": ZERO_GROUPS[-1]},
                )
                for clipping in TARGET_GRID
            ),
        ),
        Experiment(
            "sparsity",
            "pruned to a quarter and a half of zero groups: float, three seeds; 8-bit as deployed; with a teacher",
            tuple(
                run(method, penalty=TARGET_PENALTY, **{"target_pruning.zero_groups": target}, **how)
                for method, how in (
                    *(("clipped", {}), ("naive", {})),
                    *(("clipped", deployed), ("clipped", deployed | taught)),
                    *((method, {"seed": seed}) for seed in SEEDS[1:] for method in ("clipped", "naive")),
                )
                for target in ZERO_GROUPS
            ),
        ),
        Experiment(
            "best",
            "half of the groups zero, 8-bit, with a teacher, for longer: a candidate for what is kept; full precision",
            (
                run(
                    "clipped",
                    epochs=kind.long_epochs,
                    penalty=TARGET_PENALTY,
                    **{"target_pruning.zero_groups": ZERO_GROUPS[-1]},
                    **deployed,
                    **taught,
                ),
                run("full precision", epochs=kind.long_epochs),
            ),
        ),
        Experiment(
            "latency",
            "pruned to given cycles an image, penalty weighted by a group's cycles or alike, three seeds",
            tuple(
                run(
                    "clipped",
                    epochs=kind.compared_epochs,
                    penalty=TARGET_PENALTY,
                    seed=seed,
                    **{"target_pruning.cycles": LATENCY_TARGET, "target_pruning.weighting": weighting},
                    **deployed,
                )
                for seed in SEEDS
                for weighting in ("cycles", "uniform")
            ),
        ),
        Experiment(
            "ends",
            "first and last layer float, 8-bit, 5-bit and ternary, with 8-bit activations",
            tuple(run("clipped", epochs=kind.short_epochs, activation_bits=8, **ends) for ends in ENDS),
        ),
    )
    return {experiment.name: experiment for experiment in made}


def find_experiment(name: str, schedule: str = "modern") -> Experiment:
    """An experiment by name.

    Raises:
        RecipeError: an unknown name or schedule.
    """
    known = experiments(schedule)
    if name not in known:
        raise RecipeError(f"there is no experiment {name!r}; there are {', '.join(known)}")
    return known[name]


def find_run(name: str) -> Recipe:
    """A run of any experiment by its name.

    Raises:
        RecipeError: no experiment has it.
    """
    for schedule in SCHEDULES:
        for experiment in experiments(schedule).values():
            for run in experiment.runs:
                if run_name(run) == name:
                    return run
    raise RecipeError(f"no experiment has a run {name!r}")


def with_seeds(runs: Iterable[Recipe], seeds: Sequence[int]) -> tuple[Recipe, ...]:
    """Every distinct run with each of the seeds instead of its own."""
    return tuple(dict.fromkeys(replace(run, seed=seed) for seed in seeds for run in runs))


def matching(runs: Iterable[Recipe], pattern: str) -> tuple[Recipe, ...]:
    """Runs whose name holds the pattern, in which ``*`` and ``?`` stand for any text and any character.

    Raises:
        RecipeError: there is none.
    """
    runs = tuple(runs)
    found = tuple(run for run in runs if fnmatchcase(run_name(run), f"*{pattern}*"))
    if not found:
        raise RecipeError(f"no run's name holds {pattern!r}; the runs are {', '.join(map(run_name, runs))}")
    return found


def data_values(data_folder: str) -> dict[str, str]:
    """``dataset`` and ``data_folder`` of a recipe for what lies at a path; an empty one is looked up for CIFAR-10.

    Raises:
        DataError: neither a folder of an unpacked CIFAR-10 archive nor a pack of images.
    """
    path = data_place("cifar10", data_folder)
    if path.is_file() and path.suffix == ".npz":
        return {"dataset": "packed", "data_folder": str(path)}
    if any((path / name).is_file() for name in ("data_batch_1.bin", "data_batch_1")):
        return {"dataset": "cifar10", "data_folder": str(path)}
    raise DataError(f"{path} is neither the folder of an unpacked CIFAR-10 archive nor a .npz pack of images")
