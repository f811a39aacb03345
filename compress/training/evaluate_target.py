"""Test accuracy of whatever there is: a network file, a ternary run or a full-precision run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tritforge.compress.data.dataset import Dataset
from tritforge.compress.export.export import export_network
from tritforge.compress.export.integer_evaluation import IntegerEvaluator
from tritforge.compress.models.evaluation import accuracy, model_accuracy
from tritforge.compress.models.restored import model_of_checkpoint
from tritforge.compress.run.checkpoint import load_checkpoint
from tritforge.compress.run.recipe import Recipe, parse_recipe
from tritforge.compress.training.train import recipe_dataset
from tritforge.errors import DataError
from tritforge.network.file import load_network
from tritforge.network.network import Network


@dataclass(frozen=True)
class TargetFigures:
    """Accuracies in percent of the test part, by their result-file names, and what they were measured on."""

    accuracies: dict[str, float]
    images: int
    seeds: tuple[int, ...]
    data_digest: str


def evaluate_target(path: str | Path, dataset: str | None = None, data_folder: str | None = None) -> TargetFigures:
    """Evaluate the network file or run folder at ``path``.

    Args:
        path: a folder is a run, anything else a network file.
        dataset: data set instead of the one it was trained on.
        data_folder: folder instead of the one used in training.

    Raises:
        TritforgeError: a file that cannot be read, or images that do not fit the network.
    """
    path = Path(path)
    if not path.is_dir():
        network = load_network(path)
        recipe = network_recipe(network)
        data = _data(recipe, dataset, data_folder)
        return _figures({"integer_accuracy": network_accuracy(network, data)}, data, recipe)
    checkpoint = load_checkpoint(path)
    torch.set_num_threads(checkpoint.recipe.threads)
    data = _data(checkpoint.recipe, dataset, data_folder)
    model = model_of_checkpoint(checkpoint, data.image_shape, data.classes)
    trained = model_accuracy(model, data.test)
    if model.precision == "float":
        return _figures({"full_precision_accuracy": trained}, data, checkpoint.recipe)
    if model.why_not_integer() is not None:
        return _figures({"fake_quantised_accuracy": trained}, data, checkpoint.recipe)
    network = export_network(model, checkpoint.recipe.group_channels)
    accuracies = {"fake_quantised_accuracy": trained, "integer_accuracy": network_accuracy(network, data)}
    return _figures(accuracies, data, checkpoint.recipe)


def network_recipe(network: Network) -> Recipe:
    """The recipe that a network file's provenance holds; the defaults where it holds none."""
    text = network.provenance.get("recipe", "")
    return parse_recipe(text if isinstance(text, str) else "", "the network's provenance")


def network_dataset(network: Network, data_folder: str | None = None) -> Dataset:
    """The data set that a network was trained on, from ``data_folder`` where that is given."""
    return _data(network_recipe(network), None, data_folder)


def network_accuracy(network: Network, data: Dataset) -> float:
    """Percent of the test part that the integer network classifies rightly.

    Raises:
        DataError: the images do not have the network's input shape.
    """
    wanted = (network.input.channels, network.input.height, network.input.width)
    if data.image_shape != wanted:
        raise DataError(f"images of {data.name} have shape {data.image_shape}; the network's input is {wanted}")
    return accuracy(IntegerEvaluator(network).classify(data.test.images), data.test.labels)


def _data(recipe: Recipe, dataset: str | None, data_folder: str | None) -> Dataset:
    return recipe_dataset(
        replace(recipe, dataset=dataset or recipe.dataset, data_folder=data_folder or recipe.data_folder)
    )


def _figures(accuracies: dict[str, float], data: Dataset, recipe: Recipe) -> TargetFigures:
    return TargetFigures(accuracies, len(data.test), (recipe.seed,), data.digest())
