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


def pad(image: Tensor, margin: int = 0) -> Tensor:
    """Add to (3, H, W) right and below until both sides are multiples of 32: grey, or its mirror image.

    With a `margin` it lies in its mirror image, with so many pixels on each side at least: a cell that an edge cuts
    looks whole then.
    """
    down, across = ((margin, margin + -(side + 2 * margin) % PAD_TO) for side in image.shape[1:])
    if margin:
        return torch.from_numpy(np.pad(image.numpy(), ((0, 0), down, across), "symmetric"))
    return F.pad(image, (*across, *down), value=114)
