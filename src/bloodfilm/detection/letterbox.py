"""Bring a picture to the size that the network was trained at."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
import torchvision.transforms.v2.functional as TF
from torch import Tensor

from bloodfilm.io.images import RGB

PAD_TO = 32
"""Pixels of which the sides of what a network is shown are multiples."""

MARGIN = 32
"""Pixels of the mirror image around a picture that is searched."""


def fit(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Return height and width that bring the longer side of a picture of `shape` (H, W, ...) to `side`."""
    height, width = shape[:2]
    factor = side / max(height, width)
    return max(round(height * factor), 1), max(round(width * factor), 1)


def half(size: tuple[int, int]) -> tuple[int, int]:
    """Return half of a height and width, at least 32."""
    return max(size[0] // 2, 32), max(size[1] // 2, 32)


def resize(picture: RGB, size: tuple[int, int]) -> Tensor:
    """Bring (H, W, 3) uint8 to `size` (height, width), as (3, height, width) uint8."""
    image = torch.from_numpy(picture).permute(2, 0, 1)
    return image if size == picture.shape[:2] else TF.resize(image, list(size), antialias=True)


def pad(image: Tensor) -> Tensor:
    """Add grey to (3, H, W) right and below until both sides are multiples of 32."""
    height, width = image.shape[1:]
    return F.pad(image, (0, -width % PAD_TO, 0, -height % PAD_TO), value=114)


def mirror(image: Tensor) -> Tensor:
    """Surround (3, H, W) with its mirror image: 32 px, right and below more until both sides are multiples of 32.

    A cell that an edge cuts becomes one that looks whole.
    """
    down, across = ((MARGIN, MARGIN + -side % PAD_TO) for side in image.shape[1:])
    return torch.from_numpy(np.pad(image.numpy(), ((0, 0), down, across), "symmetric"))
