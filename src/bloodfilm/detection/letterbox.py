"""Bring a picture to the size that the network was trained at."""

from __future__ import annotations

import torch
import torch.nn.functional as F
import torchvision.transforms.v2.functional as TF
from torch import Tensor

from bloodfilm.io.images import RGB


def letterbox(picture: RGB, side: int, pad_to: int = 32) -> tuple[Tensor, float, tuple[int, int]]:
    """Resize (H, W, 3) uint8 so that its longer side is `side`, and pad right and below.

    Returns
    -------
    image : (3, H', W') uint8 tensor
        H' and W' are multiples of `pad_to`.
    factor : float
        Pixels of the image per pixel of the picture.
    size : (int, int)
        Height and width of the image without its padding.
    """
    image = torch.from_numpy(picture).permute(2, 0, 1)
    height, width = picture.shape[:2]
    factor = side / max(height, width)
    size = (max(round(height * factor), 1), max(round(width * factor), 1))
    if size != (height, width):
        image = TF.resize(image, list(size), antialias=True)
    padding = (0, -size[1] % pad_to, 0, -size[0] % pad_to)
    return F.pad(image, padding, value=114), factor, size
