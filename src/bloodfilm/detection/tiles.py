"""Large pictures in overlapping tiles, and one box for each cell on a seam."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torchvision.ops import nms

from bloodfilm.cells import Cells
from bloodfilm.io.images import RGB

OVERLAP = 0.3
"""Share of a tile that it has in common with its neighbour: cells up to this size are whole in one of them."""

SLACK = 0.02
"""Share of a tile by which a cell may lie beyond its core: two tiles see its centre at slightly different places."""


class Tile(NamedTuple):
    """A part of a picture, and the core of it whose cells it keeps."""

    x0: int
    y0: int
    x1: int
    y1: int
    core: tuple[float, float, float, float] = (-np.inf, -np.inf, np.inf, np.inf)

    def of(self, picture: RGB) -> RGB:
        """Return the pixels of the tile."""
        return picture[self.y0 : self.y1, self.x0 : self.x1]

    def keep_own(self, cells: Cells) -> Cells:
        """Return the cells whose centre lies in the core, or close by: those on a seam are in both tiles."""
        x, y = (cells.boxes[:, :2] + cells.boxes[:, 2:]).T / 2
        left, top, right, bottom = self.core
        across, down = SLACK * (self.x1 - self.x0), SLACK * (self.y1 - self.y0)
        return cells[(x >= left - across) & (x < right + across) & (y >= top - down) & (y < bottom + down)]


def split_tiles(width: int, height: int, side: int) -> list[Tile]:
    """Cover a picture with tiles of `side` px, the last ones moved inward, from top to bottom, left to right."""
    return [
        Tile(x0, y0, x1, y1, (left, top, right, bottom))
        for y0, y1, top, bottom in _spans(height, side)
        for x0, x1, left, right in _spans(width, side)
    ]


def _spans(length: int, side: int) -> list[tuple[int, int, float, float]]:
    """Return begin, end and the limits of the core of each tile along one axis."""
    step = max(int(side * (1 - OVERLAP)), 1)
    begins = [*range(0, max(length - side, 0), step), max(length - side, 0)]
    seams = [(a + b + side) / 2 for a, b in zip(begins, begins[1:], strict=False)]
    limits = [-np.inf, *seams, np.inf]
    return [
        (begin, min(begin + side, length), low, high)
        for begin, low, high in zip(begins, limits, limits[1:], strict=False)
    ]


def suppress_overlaps(cells: Cells, max_overlap: float) -> Cells:
    """Drop every cell that overlaps a better scored one by more than `max_overlap` (IoU)."""
    kept = nms(torch.from_numpy(cells.boxes), torch.from_numpy(cells.scores), max_overlap)
    return cells[kept.numpy()]
