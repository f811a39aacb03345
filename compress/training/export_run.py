"""A finished run to a network file, with what makes the file trustworthy: its agreement with the trained model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tritforge.compress.data.dataset import Dataset
from tritforge.compress.data.sources import load_dataset
from tritforge.compress.export.agreement import Agreement, compare
from tritforge.compress.export.export import export_network
from tritforge.compress.methods.chosen import without_places
from tritforge.compress.models.evaluation import accuracy
from tritforge.compress.models.model import Model
from tritforge.compress.models.restored import model_of_checkpoint
from tritforge.compress.run.checkpoint import load_checkpoint, save_checkpoint
from tritforge.compress.run.run_folder import CHECKPOINT_FILE
from tritforge.errors import NetworkError
from tritforge.network.digest import network_digest
from tritforge.network.file import NETWORK_FILE, save_network
from tritforge.network.network import Network, group_sparsity


@dataclass(frozen=True, eq=False)
class ExportedRun:
    """A run's integer network and how it compares with the trained model, on the test part.

    Accuracies are percent.
    """

    path: Path
    network: Network
    model: Model
    dataset: Dataset
    agreement: Agreement
    fake_quantised_accuracy: float
    integer_accuracy: float
    zero_group_fraction: float


def export_run(folder: str | Path, path: str | Path | None = None, data_folder: str | None = None) -> ExportedRun:
    """Export the run in ``folder`` to ``path`` (by default into the run folder), and note the digest in its checkpoint.

    The network's provenance holds the recipe (with ``data_folder`` where that is given), the data set's name and
    digest, the seed, accuracies in percent, and the agreement with the model as fractions.

    Raises:
        CheckpointError: no finished checkpoint in the folder.
        NetworkError: a run with a part in full precision.
        DataError: the run's data set cannot be read.
        TritforgeError: the file cannot be written; an old one then stays as it was.
    """
    folder = Path(folder)
    target = Path(path) if path is not None else folder / NETWORK_FILE
    checkpoint = load_checkpoint(folder)
    recipe = replace(checkpoint.recipe, data_folder=data_folder or checkpoint.recipe.data_folder)
    torch.set_num_threads(recipe.threads)
    dataset = load_dataset(recipe.dataset, recipe.data_folder, recipe.validation_fraction)
    model = model_of_checkpoint(checkpoint, dataset.image_shape, dataset.classes)
    refusal = model.why_not_integer()
    if refusal is not None:
        raise NetworkError(f"run {folder} cannot be exported: {refusal}")
    network = export_network(model, recipe.group_channels)
    agreement = compare(model, network, dataset.test.images)
    fake, integer = (
        accuracy(classes, dataset.test.labels) for classes in (agreement.model_classes, agreement.integer_classes)
    )
    provenance = {
        # A teacher's run folder is none of a network's users' business; its name is.
        "recipe": without_places(recipe).to_toml(),
        "dataset": dataset.name,
        "data_digest": dataset.digest(),
        "seed": recipe.seed,
        "fake_quantised_accuracy": fake,
        "integer_accuracy": integer,
        "equal_argmax_fraction": agreement.equal_argmax_fraction,
        "within_one_fraction": agreement.worst_layer,
    }
    network = replace(network, provenance=provenance)
    save_network(target, network)
    save_checkpoint(folder / CHECKPOINT_FILE, replace(checkpoint, network_digest=network_digest(network)))
    return ExportedRun(target, network, model, dataset, agreement, fake, integer, group_sparsity(network))
