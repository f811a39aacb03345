"""Training checkpoints: everything that makes a killed run continue bit for bit.

The file is the ZIP archive of ``torch.save``, sealed: its comment is the SHA-256 of all bytes before the comment.
"""

from __future__ import annotations

import hashlib
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

FORMAT = 2
UNSEALED_FORMAT = 1
"""Before archives were sealed; still read."""

_SEAL = b"tritforge checkpoint SHA-256 "
_COMMENT_BYTES = len(_SEAL) + hashlib.sha256().digest_size


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
    atomic_write(path, _sealed(buffer.getvalue()))


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint; ``path`` may also be the run folder that holds it. No code in it is run.

    Raises:
        CheckpointError: the file is missing, damaged, or of another format.
    """
    target = Path(path)
    if target.is_dir():
        target = target / CHECKPOINT_FILE
    try:
        stored = target.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {target}: {reason(error)}") from error
    sealed = _is_sealed(stored, target)
    try:
        content = torch.load(io.BytesIO(stored), map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(f"{target} is not a training checkpoint, or it is damaged") from error
    found = content.pop("format", None) if isinstance(content, dict) else None
    if found not in (UNSEALED_FORMAT, FORMAT):
        raise CheckpointError(f"{target} is not a training checkpoint of format {UNSEALED_FORMAT} or {FORMAT}")
    if found == FORMAT and not sealed:
        raise CheckpointError(f"checkpoint {target} is damaged: it lacks its SHA-256")
    required = [item.name for item in fields(Checkpoint) if item.default is MISSING and item.default_factory is MISSING]
    missing = set(required) - set(content)
    if missing:
        raise CheckpointError(f"checkpoint {target} lacks {', '.join(sorted(missing))}")
    if not isinstance(content["recipe"], dict) or not all(isinstance(key, str) for key in content["recipe"]):
        raise CheckpointError(f"checkpoint {target}: its recipe is no table of keys")
    content["recipe"] = replace_values(Recipe(), content["recipe"], f"checkpoint {target}")
    content.setdefault("methods", states_of_methods(content))
    return Checkpoint(**{item.name: content[item.name] for item in fields(Checkpoint) if item.name in content})


def _sealed(archive: bytes) -> bytes:
    """The ZIP archive, which has no comment yet, with its seal."""
    content = archive[:-2] + _COMMENT_BYTES.to_bytes(2, "little")
    return content + _SEAL + hashlib.sha256(content).digest()


def _is_sealed(stored: bytes, path: Path) -> bool:
    content, comment = stored[:-_COMMENT_BYTES], stored[-_COMMENT_BYTES:]
    if not comment.startswith(_SEAL):
        return False
    if comment.removeprefix(_SEAL) != hashlib.sha256(content).digest():
        raise CheckpointError(f"checkpoint {path} is damaged: its SHA-256 is not that of its content")
    return True
