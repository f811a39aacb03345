from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from compress_samples import NO_PENALTY, SMALL, changed, small_digits

from tritforge.cli.main import run
from tritforge.compress.data.recorded_shift import ShiftedData, camera_askew
from tritforge.compress.export.deployed import deployed_model
from tritforge.compress.export.export import export_network
from tritforge.compress.methods.group_sparsity import group_norms, grouped
from tritforge.compress.models.evaluation import settle_statistics
from tritforge.compress.models.model import Model
from tritforge.compress.training.train import TrainingRun, train
from tritforge.network.network import Network


class Deployment(NamedTuple):
    """A small trained network without its 40 % smallest groups, its run, and shifted data."""

    run: TrainingRun
    network: Network
    shifted: ShiftedData

    def model(self) -> Model:
        return deployed_model(self.run.checkpoint, self.network)


@pytest.fixture(scope="session")
def deployed(tmp_path_factory) -> Deployment:
    recipe = changed(SMALL, NO_PENALTY, epochs=8, shift_pixels=0, checkpoint_steps=1000)
    data = small_digits(600)
    done = train(recipe, tmp_path_factory.mktemp("deployed"), dataset=data)
    with torch.no_grad():
        for layer in done.model.ternary_layers().values():
            norms = group_norms(layer.weight, recipe.group_channels)
            grouped(layer.weight, recipe.group_channels)[norms < norms.quantile(0.4)] = 0
    settle_statistics(done.model, data.train.images)
    done = replace(done, checkpoint=replace(done.checkpoint, model=done.model.state_dict()))
    return Deployment(done, export_network(done.model, recipe.group_channels), camera_askew(data, 30))


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A folder with a run of a tiny network, ``run``, and its network file, ``net.safetensors``."""
    folder = tmp_path_factory.mktemp("trained")
    tiny = ["widths=[16]", "epochs=1", "batch_size=256", "checkpoint_steps=100"]
    overrides = [part for item in tiny for part in ("--set", item)]
    assert run(["train", "digits_ternary", "--run", str(folder / "run"), "--seed", "3", *overrides]) == 0
    assert run(["export", str(folder / "run"), "-o", str(folder / "net.safetensors")]) == 0
    return folder
