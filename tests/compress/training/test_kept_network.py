"""The trained ResNet-20 that lies in the repository, against what is recorded of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tritforge.compress.data.packed_images import load_packed
from tritforge.compress.experiments.plan import find_experiment, run_name
from tritforge.compress.experiments.record import predicted_cycles
from tritforge.compress.export.integer_evaluation import IntegerEvaluator
from tritforge.compress.methods.distillation import DistillationSettings
from tritforge.compress.methods.target_pruning import TargetPruningSettings
from tritforge.compress.models.evaluation import accuracy
from tritforge.compress.training.evaluate_target import network_recipe
from tritforge.network.file import load_network
from tritforge.network.network import group_sparsity
from tritforge.results import read_result

ROOT = Path(__file__).resolve().parents[3]
NETWORK = load_network(ROOT / "reports" / "networks" / "resnet20_cifar10_jpeg.safetensors")
RESULTS = ROOT / "reports" / "results"
EXPORTED, EVALUATED, SIMULATED = (
    read_result(RESULTS / f"resnet20_cifar10_jpeg_{name}.json").metrics for name in ("export", "evaluate", "simulate")
)


def test_it_is_the_run_that_was_to_be_kept_and_sparse_enough() -> None:
    (planned,) = (run for run in find_experiment("best").runs if TargetPruningSettings.of(run).zero_groups > 0)
    recipe = network_recipe(NETWORK)
    assert run_name(recipe) == run_name(planned)
    assert DistillationSettings.of(recipe) == DistillationSettings.of(planned)
    assert group_sparsity(NETWORK) == EXPORTED["zero_group_fraction"] == SIMULATED["zero_group_fraction"] >= 0.5


def test_its_figures_are_the_records() -> None:
    record = read_result(RESULTS / "training" / f"{run_name(network_recipe(NETWORK))}.json").metrics
    told = NETWORK.provenance
    assert record["top1"] == told["fake_quantised_accuracy"] == EXPORTED["fake_quantised_accuracy"]
    assert record["integer_top1"] == told["integer_accuracy"] == EVALUATED["integer_accuracy"]
    assert told["equal_argmax_fraction"] == EXPORTED["equal_argmax_fraction"] >= 0.995
    assert predicted_cycles(NETWORK) == SIMULATED["cycles_per_image"]
    assert SIMULATED["mismatching_words"] == 0 and SIMULATED["images"] >= 100


def test_it_classifies_the_simulated_images_as_the_rtl_does() -> None:
    pack = ROOT.parent / "shared" / "data" / "cifar10_jpeg.npz"
    if not pack.exists():
        pytest.skip("the images of CIFAR-10-JPEG are not here")
    test = load_packed(pack).test.take(range(SIMULATED["images"]))
    assert accuracy(IntegerEvaluator(NETWORK).classify(test.images), test.labels) == SIMULATED["accuracy"]
