"""Selection of the learning rates of partial update and full retraining on validation images.

Digits is deployed from a run of seed 0 and every camera is then turned. Old and new training images train, old and new
validation images judge; the test part is dropped before anything is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from tritforge.compress.data.dataset import Split, join
from tritforge.compress.data.recorded_shift import turned
from tritforge.compress.export.deployed import deployed_model
from tritforge.compress.export.export import export_network
from tritforge.compress.models.model import Model
from tritforge.compress.run.recipe import load_recipe
from tritforge.compress.studies.demo_run import TERNARY_RECIPE
from tritforge.compress.studies.recorded_pieces import Pieces, record_pieces
from tritforge.compress.studies.select_penalty import without_test
from tritforge.compress.training.train import recipe_dataset, train
from tritforge.compress.updates.budget import Budget
from tritforge.compress.updates.policies import POLICIES
from tritforge.compress.updates.round import update_network
from tritforge.network.network import Network
from tritforge.results import Result
from tritforge.samples.askew import DEGREES, RATIO

BUDGETS = {"partial": Budget("ratio", RATIO), "full": None}
"""By kind of update, a policy's name, what it may take in the given scenario."""
RATES = {"partial": (2e-4, 5e-4, 1e-3), "full": (0.02, 0.05, 0.1)}
"""Candidates: peak learning rates of both kinds of update."""
SEEDS = (0, 1, 2)
"""Of the order of the data in the update; the deployed network is always that of training seed 0."""
RULE = "of each kind of update the rate with the highest mean validation accuracy; of equal ones the lowest"


@dataclass(frozen=True, eq=False)
class Deployment:
    """A deployed network, its model, and what the server holds after the shift, without test images.

    ``data_digest`` is that of the data set it was trained on, without its test part.
    """

    network: Network
    model: Model
    train: Split
    validation: Split
    data_digest: str


def deploy(runs: Path) -> Deployment:
    """Train the network of seed 0 (or find its run), export it, and turn the cameras."""
    recipe = load_recipe(TERNARY_RECIPE, ["seed=0"])
    data = without_test(recipe_dataset(recipe))
    done = train(recipe, runs / "deployed", dataset=data)
    network = export_network(done.model, recipe.group_channels)
    train_pool, validation_pool = (join(part, turned(part, DEGREES)) for part in (data.train, data.validation))
    model = deployed_model(done.checkpoint, network)
    return Deployment(network, model, train_pool, validation_pool, data.digest())


def measure(deployment: Deployment, kind: str, rate: float, seed: int) -> dict[str, Any]:
    """Update the deployed network once, and its integer accuracy on the validation pool."""
    policy, budget = POLICIES[kind], BUDGETS[kind]
    settings = replace(policy.settings, learning_rate=rate, seed=seed)
    update = update_network(
        policy, deployment.model, deployment.network, deployment.train, deployment.validation, budget, settings
    )
    figures = {"kind": kind, "learning_rate": rate, "seed": seed, "validation_accuracy": update.validation_after}
    if budget is None:
        return figures
    return figures | {"validation_before": update.validation_before, "updating_ratio": update.updating_ratio}


def choose(pieces: Pieces) -> dict[str, Any]:
    """Mean of every candidate, and the one of each kind that ``RULE`` chooses."""
    candidates = []
    for kind, rate in dict.fromkeys((piece["kind"], piece["learning_rate"]) for piece in pieces.values()):
        own = [piece for piece in pieces.values() if (piece["kind"], piece["learning_rate"]) == (kind, rate)]
        mean = round(fmean(piece["validation_accuracy"] for piece in own), 6)
        candidates.append({"kind": kind, "learning_rate": rate, "validation_accuracy": mean})
    chosen = {
        kind: max(
            (one for one in candidates if one["kind"] == kind),
            key=lambda one: (one["validation_accuracy"], -one["learning_rate"]),
        )["learning_rate"]
        for kind in dict.fromkeys(one["kind"] for one in candidates)
    }
    return {"rule": RULE, "candidates": candidates, "chosen": chosen}


def select(path: str | Path, deployment: Deployment, advance: Callable[[float], None] | None = None) -> dict[str, Any]:
    """Measure every rate with every seed, and choose.

    Args:
        path: result file; pieces that it holds are not measured again.
        deployment: what is updated.
        advance: called with 1 for each piece.
    """
    measurement = Result(
        "tritforge study digits-update-rate",
        {},
        {
            "recipe": load_recipe(TERNARY_RECIPE).to_toml(),
            "rates": {kind: list(rates) for kind, rates in RATES.items()},
            "degrees": DEGREES,
            "ratio": RATIO,
            "validation_images": len(deployment.validation),
        },
        list(SEEDS),
        deployment.data_digest,
    )
    work = {
        f"{kind}, learning rate {rate}, seed {seed}": partial(measure, deployment, kind, rate, seed)
        for seed in SEEDS
        for kind, rates in RATES.items()
        for rate in rates
    }
    return record_pieces(path, measurement, work, choose, advance)
