"""A small pack of images and small runs on it, which tests of several rooms share."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tritforge.compress.experiments.plan import method_recipe
from tritforge.compress.run.recipe import Recipe


def write_small_pack(path: Path, train: int = 48, test: int = 15) -> Path:
    """A pack of 8x8 colour images of three classes, which differ in brightness."""
    draw = np.random.default_rng(0)
    arrays: dict[str, Any] = {"classes": np.array(["dark", "grey", "light"])}
    for prefix, count in (("train", train), ("test", test)):
        labels = np.arange(count) % 3
        files = [_png(draw.normal(60 + 60 * label, 30, (8, 8, 3))) for label in labels]
        arrays[f"{prefix}_bytes"] = np.frombuffer(b"".join(files), np.uint8)
        arrays[f"{prefix}_offsets"] = np.cumsum([0, *map(len, files)], dtype=np.int64)
        arrays[f"{prefix}_labels"] = labels
    np.savez(path, **arrays)
    return path


def _png(pixels: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def small_run(method: str, pack: Path, **values: Any) -> Recipe:
    """Three epochs of three steps on the pack, with a checkpoint after every other step."""
    recipe = method_recipe(method, topology="residual3", epochs=3, **values)
    return replace(
        recipe,
        widths=(16, 32),
        dataset="packed",
        data_folder=str(pack),
        batch_size=16,
        checkpoint_steps=2,
        shift_pixels=1,
    )
