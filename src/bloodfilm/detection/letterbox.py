"""Bring a picture to the size that the network was trained at."""

from __future__ import annotations

import torch
import torch.nn.functional as F
import torchvision.transforms.v2.functional as TF
from torch import Tensor

from bloodfilm.io.images import RGB


def fit(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Return height and width that bring the longer side of a picture of `shape` (H, W, ...) to `side`."""
    height, width = shape[:2]
    factor = side / max(height, width)
    return max(round(height * factor), 1), max(round(width * factor), 1)


def half(size: tuple[int, int]) -> tuple[int, int]:
    """Return half of a height and width, at least 32."""
    return max(size[0] // 2, 32), max(size[1] // 2, 32)


def resize(picture: RGB, size: tuple[int, int], pad_to: int = 32) -> Tensor:
    """Bring (H, W, 3) uint8 to `size` (height, width), as (3, H', W') uint8.

    Grey is added right and below until H' and W' are multiples of `pad_to`.
    """
    image = torch.from_numpy(picture).permute(2, 0, 1)
    if size != picture.shape[:2]:
        image = TF.resize(image, list(size), antialias=True)
    return F.pad(image, (0, -size[1] % pad_to, 0, -size[0] % pad_to), value=114)
