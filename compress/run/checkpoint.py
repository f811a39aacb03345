"""Training checkpoints: everything that makes a killed run continue bit for bit."""

from __future__ import annotations

import io
import os
import pickle
import platform
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from tritforge.compress.run.old_keys import states_of_methods
from tritforge.compress.run.recipe import Recipe, replace_values
from tritforge.compress.run.run_folder import CHECKPOINT_FILE
from tritforge.compress.run.workers import workers_around
from tritforge.errors import TritforgeError
from tritforge.files import atomic_write, reason

FORMAT = 1


class CheckpointError(TritforgeError):
    """A checkpoint that cannot be read, or that does not belong to what it is used for."""


@dataclass
class Checkpoint:
    """A point of a training run.

    Attributes:
        recipe: the resolved recipe.
        step: optimiser steps done.
        zero_point: the input's ``z``.
        model: state of the model, latent weights among it.
        optimizer: state of the optimiser; empty once finished.
        generator: state of the generator that draws the order of the data and the augmentation.
        order: permutation of the training images of the running epoch.
        sums: loss, penalty and steps gathered in the running epoch, for the log.
        environment: torch version, threads and machine, which decide the last bits of a result.
        finished: whether training has ended and batch-norm statistics are final.
        network_digest: digest of the integer network exported from these latent weights, once there is one.
        frozen: by layer, the deployed threshold and scale, once a partial update has moved weights under them.
        methods: by name, the state of each method.
    """

    recipe: Recipe
    step: int
    zero_point: tuple[int, ...]
    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    generator: torch.Tensor
    order: torch.Tensor
    sums: tuple[float, float, int] = (0.0, 0.0, 0)
    environment: dict[str, Any] = field(default_factory=lambda: environment())
    finished: bool = False
    network_digest: str = ""
    frozen: dict[str, tuple[float, float]] = field(default_factory=dict)
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)


def environment() -> dict[str, Any]:
    """What must be equal for two runs to agree bit for bit."""
    return {
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
        "processes": workers_around().count,
        "machine": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }


def environment_differences(checkpoint: Checkpoint) -> list[str]:
    """One sentence for each part of the environment that is not what the checkpoint was written under."""
    now = environment()
    return [
        f"the checkpoint was written with {name} {value}, this run has {now.get(name)}: the last bits may differ"
        for name, value in checkpoint.environment.items()
        if now.get(name) != value
    ]


def save_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write atomically: a reader, or a killed run, finds the old checkpoint or the new one.

    Raises:
        TritforgeError: the file cannot be written.
    """
    content = {item.name: getattr(checkpoint, item.name) for item in fields(Checkpoint)}
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content, "recipe": checkpoint.recipe.values()}, buffer)
    atomic_write(path, buffer.getvalue())


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint; ``path`` may also be the run folder that holds it. No code in it is run.

    Raises:
        CheckpointError: the file is missing, damaged, or of another format.
    """
    target = Path(path)
    if target.is_dir():
        target = target / CHECKPOINT_FILE
    try:
        stored = io.BytesIO(target.read_bytes())
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {target}: {reason(error)}") from error
    try:
        content = torch.load(stored, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(f"{target} is not a training checkpoint, or it is damaged") from error
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise CheckpointError(f"{target} is not a training checkpoint of format {FORMAT}")
    required = [item.name for item in fields(Checkpoint) if item.default is MISSING and item.default_factory is MISSING]
    missing = set(required) - set(content)
    if missing:
        raise CheckpointError(f"checkpoint {target} lacks {', '.join(sorted(missing))}")
    if not isinstance(content["recipe"], dict) or not all(isinstance(key, str) for key in content["recipe"]):
        raise CheckpointError(f"checkpoint {target}: its recipe is no table of keys")
    content["recipe"] = replace_values(Recipe(), content["recipe"], f"checkpoint {target}")
    content.setdefault("methods", states_of_methods(content))
    return Checkpoint(**{item.name: content[item.name] for item in fields(Checkpoint) if item.name in content})
