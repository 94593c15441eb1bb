"""The round dark edge that an eyepiece shows around its field."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bloodfilm.training.labels import Labels, forget

RADIUS = (0.45, 0.68)
"""Limits of the radius, in sides of the picture."""

BRIGHTEST = 0.2
MIN_SHOWN = 0.75
"""Share of an object that must be in the light to be one; with less it is unknown what is there."""


def surround(image: Tensor, labels: Labels, random: np.random.Generator) -> tuple[Tensor, Labels]:
    """Darken `image` (3, S, S) uint8 outside a circle; objects that it hides become unknown."""
    side = image.shape[1]
    radius = side * random.uniform(*RADIUS)
    x, y = side * random.uniform(0.42, 0.58, 2)
    softness = side * random.uniform(0.002, 0.02)
    dark = torch.from_numpy(255 * BRIGHTEST * random.uniform() * random.uniform(0.6, 1, 3)).float()[:, None, None]

    def light(x_at: Tensor, y_at: Tensor) -> Tensor:
        return torch.sigmoid((radius - torch.hypot(x_at - x, y_at - y)) / softness)

    place = torch.arange(side) + 0.5
    seen = light(place, place[:, None])
    image = (seen * image + (1 - seen) * dark).round().byte()
    steps = torch.linspace(0, 1, 9)
    x0, y0, x1, y1 = labels.boxes.T[..., None]
    shown = light((x0 + steps * (x1 - x0))[:, None], (y0 + steps * (y1 - y0))[..., None]).mean((1, 2))
    return image, forget(labels, shown < MIN_SHOWN)
