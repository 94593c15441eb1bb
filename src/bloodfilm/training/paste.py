"""Cut single cells out of their pictures and put them on other fields, apart or touching."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torchvision.transforms.v2.functional as TF
from scipy import ndimage
from torch import Tensor
from torchvision.ops import box_area

from bloodfilm.cells import Field
from bloodfilm.io.images import read_image
from bloodfilm.training.labels import WHITE, Labels, forget

MARGIN = 0.06
"""Share of a box's side that is cut out around it."""

MEAN_CELLS = 3.0
TOUCHING = 0.5
SIZES = (0.7, 1.4)
"""Limits of the size of a pasted cell, in that of the field's own cells."""

COVERED = 0.5
"""An object covered by more than this is no longer there to be found."""


class Cutouts:
    """White cells that fields show one by one, each cut out with its outline.

    Parameters
    ----------
    fields : sequence of Field
        Each with one white cell that has a box.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields = fields
        self._cache: dict[int, tuple[Tensor, Tensor]] = {}

    def __len__(self) -> int:
        return len(self.fields)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return transmitted light (3, H, W), 1 where the film is empty, and cover (1, H, W) from 0 to 1."""
        if index not in self._cache:
            field = self.fields[index]
            self._cache[index] = cut_out(read_image(field.path), field.cells.boxes[0])
        return self._cache[index]

    def codes(self, index: int) -> Tensor:
        """Return type and attribute codes (1 + A,)."""
        cells = self.fields[index].cells
        return torch.from_numpy(np.concatenate((cells.codes[:1], cells.attributes[0])).astype(np.int64))


def cut_out(picture: np.ndarray, box: np.ndarray) -> tuple[Tensor, Tensor]:
    """Cut the cell in `box` out of `picture` (H, W, 3).

    Its outline is where red light is absorbed, which red cells hardly do, joined with the inner part of the
    ellipse that fills the box; nothing lies outside that ellipse.
    """
    light = picture / background(torch.from_numpy(picture).permute(2, 0, 1)).numpy()
    half = (box[2:] - box[:2]) / 2
    x0, y0 = np.maximum(box[:2] - 2 * MARGIN * half, 0).astype(int)
    x1, y1 = np.ceil(box[2:] + 2 * MARGIN * half).astype(int)
    part = light[y0:y1, x0:x1].clip(0, 1)
    y, x = np.mgrid[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] + 0.5
    middle = (box[:2] + box[2:]) / 2
    distance = np.hypot((x - middle[0]) / half[0], (y - middle[1]) / half[1])
    stained = ndimage.binary_fill_holes(ndimage.binary_opening(part[..., 0] < 0.85, iterations=2))
    outline = (stained | (distance < 0.85)) & (distance < 1 + MARGIN)
    cover = ndimage.gaussian_filter(outline.astype(np.float32), 0.012 * half.mean() + 0.5)
    return torch.from_numpy(part.astype(np.float32)).permute(2, 0, 1), torch.from_numpy(cover)[None]


def background(image: Tensor) -> Tensor:
    """Return the colour (3,) of the empty film on `image` (3, H, W)."""
    return torch.quantile(image[:, ::7, ::7].flatten(1).float(), 0.9, dim=1).clamp(min=32)


def paste(
    image: Tensor, labels: Labels, cutouts: Cutouts, random: np.random.Generator, squeeze: float
) -> tuple[Tensor, Labels]:
    """Put a few cells on `image` (3, S, S) uint8, in the sizes of the white cells that it shows.

    `squeeze` is the width over the height that something round has there.
    """
    own = labels.boxes[labels.kinds == WHITE]
    if not len(own):
        return image, labels
    usual = float(box_area(own).sqrt().median())
    image = image.clone()
    for index in random.integers(len(cutouts), size=random.poisson(MEAN_CELLS)).tolist():
        side = usual * math.exp(random.uniform(*np.log(SIZES)))
        light, cover = _resized(cutouts[index], side, squeeze, random)
        height, width = cover.shape[1:]
        if max(height, width) > 0.8 * min(image.shape[1:]):
            continue
        own = labels.boxes[labels.kinds == WHITE]
        left, top = _place(own, random, (width, height), (image.shape[2], image.shape[1]))
        box = torch.tensor([[left, top, left + width, top + height]], dtype=torch.float32)
        covered = _covered(labels.boxes, box)
        if (covered[labels.kinds == WHITE] > 0.3).any():
            continue
        view = image[:, top : top + height, left : left + width]
        pasted = light * background(image)[:, None, None]
        view.copy_((cover * pasted + (1 - cover) * view).round().clamp(0, 255).byte())
        labels = forget(labels, covered > COVERED)
        inner = torch.tensor([[MARGIN * width / 2, MARGIN * height / 2]]).repeat(1, 2) * torch.tensor([1, 1, -1, -1])
        labels = labels._replace(
            boxes=torch.cat((labels.boxes, box + inner)),
            kinds=torch.cat((labels.kinds, torch.tensor([WHITE]))),
            codes=torch.cat((labels.codes, cutouts.codes(index)[None])),
        )
    return image, labels


def _resized(
    cutout: tuple[Tensor, Tensor], side: float, squeeze: float, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return light and cover of a cell with the area of a square of `side`, squeezed, and half of them mirrored."""
    factor = side / math.sqrt(cutout[1].numel())
    height, width = (
        max(round(length * factor * stretch), 4)
        for length, stretch in zip(cutout[1].shape[1:], (squeeze**-0.5, squeeze**0.5), strict=True)
    )
    light, cover = (TF.resize(part, [height, width], antialias=True) for part in cutout)
    return (light.flip(2), cover.flip(2)) if random.random() < 0.5 else (light, cover)


def _place(cells: Tensor, random: np.random.Generator, size: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
    """Return left and top of a new cell of `size` (width, height): anywhere, or beside one of `cells`."""
    free = np.array(room) - size
    corner = random.uniform(0, free)
    if random.random() < TOUCHING:
        x0, y0, x1, y1 = cells[random.integers(len(cells))].tolist()
        angle = random.uniform(0, 2 * math.pi)
        reach = (np.array([x1 - x0, y1 - y0]) + size) / 2
        middle = np.array([x0 + x1, y0 + y1]) / 2 + 0.95 * reach * [math.cos(angle), math.sin(angle)]
        corner = np.clip(middle - np.array(size) / 2, 0, free)
    left, top = corner.astype(int).tolist()
    return left, top


def _covered(boxes: Tensor, box: Tensor) -> Tensor:
    """Return the share of each of `boxes` (K, 4) that lies in `box` (1, 4)."""
    sides = torch.minimum(boxes[:, 2:], box[:, 2:]) - torch.maximum(boxes[:, :2], box[:, :2])
    share: Tensor = sides.clamp(min=0).prod(1) / box_area(boxes)
    return share
