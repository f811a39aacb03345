from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from compress_samples import SMALL, small_digits
from hypothesis import given
from hypothesis import strategies as st

from tritforge.cli.main import run
from tritforge.compress.data.augmentation import Augmentation, draws_of_epoch
from tritforge.compress.run.checkpoint import load_checkpoint
from tritforge.compress.run.workers import Workers
from tritforge.compress.training.train import train
from tritforge.errors import RecipeError


def command(folder) -> list[str]:
    """Ten steps of which the last has an odd number of images; every kind of augmentation but zoom."""
    keys = ["widths=[16, 32]", "epochs=1", "batch_size=130", "optimizer=sgd", "learning_rate=0.1", "flip=true"]
    keys += [
        "shift_pixels=1",
        "norm_statistics=frozen",
        "augmentation_keys=sample",
        "weight_penalty_clipping.penalty=0.05",
    ]
    overrides = [part for key in keys for part in ("--set", key)]
    return ["train", "digits_ternary", "--run", str(folder), *overrides]


def test_two_processes_end_in_the_weights_of_one(tmp_path):
    assert run(command(tmp_path / "one")) == 0
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    program = [sys.executable, "-c", "from tritforge.cli.main import app_entry; app_entry()"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launcher, "--", *program, *command(tmp_path / "two")],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run folder") == 1
    one, two = (load_checkpoint(tmp_path / name) for name in ("one", "two"))
    assert one.step == two.step == 10 and two.finished
    assert (one.environment["processes"], two.environment["processes"]) == (1, 2)
    for name, weights in one.model.items():
        if weights.is_floating_point():
            difference = (two.model[name].double() - weights.double()).norm()
            assert difference <= 1e-5 * weights.double().norm(), name


@given(st.integers(2, 300), st.integers(1, 8))
def test_parts_make_the_batch_and_are_equally_long_but_for_one(length, count):
    batch = torch.arange(length)
    parts = [Workers(rank, count).part(batch) for rank in range(count)]
    assert torch.equal(torch.cat(parts), batch)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_draws_belong_to_the_image_whatever_batch_it_is_in():
    augment = Augmentation(shift_pixels=2, rotation_degrees=10, zoom=0.1, flip=True)
    images = torch.from_numpy(small_digits(40).train.images)
    draws = draws_of_epoch(augment, 40, seed=3, epoch=5)
    whole = augment.change(images, draws)
    some = torch.tensor([31, 4, 17])
    assert torch.equal(
        augment.change(images[some], {name: drawn[..., some] for name, drawn in draws.items()}), whole[some]
    )
    for other in ({"seed": 3, "epoch": 6}, {"seed": 4, "epoch": 5}):
        again = draws_of_epoch(augment, 40, **other)
        assert all(not torch.equal(drawn, again[name]) for name, drawn in draws.items())


def test_frozen_batch_norms_keep_their_statistics(tmp_path):
    recipe = replace(SMALL, epochs=1, norm_statistics="frozen")
    state = train(recipe, tmp_path, dataset=small_digits()).model.state_dict()
    means = [values for name, values in state.items() if name.endswith("running_mean")]
    assert len(means) == 5 and not any(mean.any() for mean in means)
    assert torch.equal(state["stages.stem.norm.running_var"], torch.ones(16))
    assert state["stages.stem.norm.bias"].any()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"device": "cuda"}, "device is 'cuda'; several processes train on the cpu alone"),
        ({"batch_size": 3}, "batch_size is 3; each of 2 processes needs two images of it"),
    ],
)
def test_what_processes_cannot_share_is_refused_before_they_connect(tmp_path, monkeypatch, change, sentence):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(RecipeError, match=sentence):
        train(replace(SMALL, **change), tmp_path / "run", dataset=small_digits())
    assert not (tmp_path / "run").exists()
