"""Random changes of training images; pixels stay unsigned integers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Draws = dict[str, Tensor]
"""What was drawn for some images, which are the last axis."""


@dataclass(frozen=True)
class Augmentation:
    """What is drawn for each image; the defaults change nothing.

    Attributes:
        shift_pixels: largest whole-pixel shift in each direction.
        rotation_degrees: largest rotation to either side.
        zoom: largest relative change of size.
        flip: mirror left to right in half of the cases.
        fill: pixel of each channel that comes in from outside the image; empty for 0 in all of them.
    """

    shift_pixels: int = 0
    rotation_degrees: float = 0.0
    zoom: float = 0.0
    flip: bool = False
    fill: tuple[int, ...] = ()

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """Draw for ``count`` images."""
        draws = {}
        if self.flip:
            draws["mirrored"] = torch.rand(count, generator=generator) < 0.5
        if self.rotation_degrees or self.zoom:
            draws["turned"] = 2 * torch.rand(2, count, generator=generator) - 1
        if self.shift_pixels:
            reach = self.shift_pixels
            draws["moved"] = torch.randint(-reach, reach + 1, (2, count), generator=generator)
        return draws

    def change(self, images: Tensor, draws: Draws) -> Tensor:
        """Changed copies of ``(B, C, H, W)`` pixels, of the same type."""
        drawn = {name: values.to(images.device) for name, values in draws.items()}
        if "mirrored" in drawn:
            images = torch.where(drawn["mirrored"][:, None, None, None], images.flip(3), images)
        if "turned" in drawn:
            turn, size = drawn["turned"]
            images = turn_images(images, turn * self.rotation_degrees, 1 + size * self.zoom, self._fill(images))
        if "moved" in drawn:
            down, right = drawn["moved"]
            images = shift_images(images, down, right, self._fill(images))
        return images

    def _fill(self, images: Tensor) -> Tensor | None:
        if not self.fill:
            return None
        return torch.tensor(self.fill, dtype=images.dtype, device=images.device).reshape(1, -1, 1, 1)


def draws_of_epoch(augment: Augmentation, images: int, seed: int, epoch: int) -> Draws:
    """Draws for every training image, which depend on seed, epoch and the image's place in the data alone."""
    (key,) = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)
    return augment.draw(images, torch.Generator().manual_seed(int(key) >> 1))


def shift_images(images: Tensor, down: Tensor, right: Tensor, fill: Tensor | None = None) -> Tensor:
    """Images ``(B, C, H, W)`` moved by whole pixels ``(B,)``; ``fill (1, C, 1, 1)`` comes in, or 0."""
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device) - down[:, None]
    columns = torch.arange(width, device=images.device) - right[:, None]
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[:, None, None, :]
    batch = torch.arange(len(images), device=images.device)[:, None, None]
    moved = images.permute(0, 2, 3, 1)[
        batch, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None]
    ]
    moved = moved.permute(0, 3, 1, 2)
    return moved * inside.to(images.dtype) if fill is None else torch.where(inside, moved, fill)


def turn_images(images: Tensor, degrees: Tensor, size: Tensor, fill: Tensor | None = None) -> Tensor:
    """Images ``(B, C, H, W)`` turned counter-clockwise by ``degrees (B,)`` and enlarged by ``size (B,)``.

    Pixels run from 0 to 255; bilinear, rounded to whole pixels; ``fill (1, C, 1, 1)`` comes in, or 0.
    """
    angle = degrees * (math.pi / 180)
    cosine, sine = torch.cos(angle) / size, torch.sin(angle) / size
    zero = torch.zeros_like(angle)
    matrix = torch.stack([torch.stack([cosine, -sine, zero], 1), torch.stack([sine, cosine, zero], 1)], 1)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    outside = 0.0 if fill is None else fill.float()
    turned = functional.grid_sample(images.float() - outside, grid, align_corners=False) + outside
    return turned.round().clamp(0, 255).to(images.dtype)
