"""Vacuoles drawn into cells that have none, so that they are learned as what they look like, not by the cell's type."""

from __future__ import annotations

import numpy as np
import torch
from skimage.filters import threshold_otsu
from torch import Tensor

from bloodfilm.nets.reader import PATCH, REACH
from bloodfilm.synth.cytoplasm import Body, vacuoles
from bloodfilm.synth.texture import centred_grid
from bloodfilm.training.boxed import Boxed
from bloodfilm.vocabulary import UNKNOWN, Vocabulary

NAME = "cytoplasmic_vacuoles"

SIZES = 0.06, 0.14
"""Radii, in shares of the cell's."""

LIGHT = 0.85
"""Share of the optical density that is missing in a vacuole."""


def vacuolated(cells: Boxed, vocabulary: Vocabulary, seed: int) -> Boxed:
    """Return the cells whose vacuoles are known, and those without any a second time, with vacuoles drawn.

    Codes (N,) are 1 where there are vacuoles, 0 where not. N is 0 if `vocabulary` does not speak of them.
    """
    if NAME not in vocabulary.attribute_names:
        return Boxed(cells.patches[:0], cells.codes[:0, 0])
    column = vocabulary.attribute_names.index(NAME)
    codes = cells.codes[:, 1 + column]
    none = codes == vocabulary.attributes[column].code("absent")
    known = codes != UNKNOWN
    patches = torch.cat((cells.patches[known], draw_vacuoles(cells.patches[none], seed)))
    return Boxed(patches, torch.cat((~none[known], none[none])).long())


def draw_vacuoles(patches: Tensor, seed: int) -> Tensor:
    """Return a copy of `patches` (N, 3, 240, 240) uint8, as of `bloodfilm.nets.reader.cut`, with vacuoles in each cell.

    They are round holes in what is lighter in red light than the nucleus, a few, as light as the glass. A cell that is
    almost all nucleus may show none.
    """
    rng = np.random.default_rng(seed)
    y, x = (axis[:PATCH, :PATCH] + 0.5 for axis in centred_grid(PATCH // 2))
    radius = PATCH / REACH / 2
    body = Body(y, x, radius - np.hypot(y, x), radius)
    drawn = patches.clone()
    for patch in drawn:
        picture = patch.permute(1, 2, 0).numpy().astype(np.float32)
        glass = np.percentile(picture, 95, (0, 1)).clip(1)
        red = picture[..., 0]
        room = np.where(red > threshold_otsu(red[body.depth > 0]), body.depth, 0)
        cover = vacuoles(body, room, 1 + rng.geometric(0.3), rng, SIZES)
        light = glass * (picture / glass) ** (1 - LIGHT * cover[..., None])
        patch.copy_(torch.from_numpy(light.round().clip(0, 255).astype(np.uint8)).permute(2, 0, 1))
    return drawn
