"""Which output is responsible for which cell: the target assignment of YOLOv5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

MAX_RATIO = 4.0


class Matches(NamedTuple):
    """M matches on one level: place of the output (image, anchor, row, column) and the row of its cell."""

    image: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor
    cell: Tensor

    def where(self, mask: Tensor) -> Matches:
        """Return the matches that `mask` (M,) chooses."""
        return Matches(*(column[mask] for column in self))


def assign(image: Tensor, boxes: Tensor, anchors: Tensor, shapes: Sequence[tuple[int, int]]) -> list[Matches]:
    """Assign each cell, on each level, to the outputs near its centre whose anchor is like it.

    A cell matches an anchor if width and height differ by less than a factor of 4, at the grid cell of its
    centre and at the nearest neighbour in x and in y.

    Parameters
    ----------
    image : (K,) index of the image of each cell
    boxes : (K, 4) x0, y0, x1, y1 in pixels of the input
    anchors : (levels, 3, 2) in units of each level's stride
    shapes : (rows, columns) of each level, at strides 8, 16, 32
    """
    return [
        _assign_level(image, boxes / stride, anchors[level].float(), shape)
        for level, (shape, stride) in enumerate(zip(shapes, (8, 16, 32), strict=True))
    ]


def _assign_level(image: Tensor, boxes: Tensor, anchors: Tensor, shape: tuple[int, int]) -> Matches:
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    ratio = size[:, None] / anchors
    cell, anchor = torch.nonzero(torch.maximum(ratio, 1 / ratio).amax(2) < MAX_RATIO, as_tuple=True)
    limit = torch.tensor([shape[1], shape[0]], device=boxes.device)
    from_left, from_right = centre[cell], limit - centre[cell]
    near = ((from_left % 1 < 0.5) & (from_left > 1)).T
    far = ((from_right % 1 < 0.5) & (from_right > 1)).T
    chosen = torch.cat((torch.ones_like(near[:1]), near, far))
    steps = torch.tensor([[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]], device=boxes.device) * 0.5
    offset, match = torch.nonzero(chosen, as_tuple=True)
    cell, anchor = cell[match], anchor[match]
    place = (centre[cell] - steps[offset]).long()
    column, row = place[:, 0].clamp(0, shape[1] - 1), place[:, 1].clamp(0, shape[0] - 1)
    return Matches(image[cell], anchor, row, column, cell)
