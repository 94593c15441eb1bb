"""How wide and tall red cells are, by their edges rather than by the boxes around them, which may be loose."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.ops import roi_align

from bloodfilm.io.images import RGB

MANY_FREE, FEW_FREE = 20, 4
"""Cells with free edges that are enough by themselves, and to say how loose the boxes are."""

MEASURED = 96

SAMPLES = 48
MARGIN = 0.125
"""What is looked at around a box, as a share of its sides."""

BAND = 0.25
"""Share of the other side over which the darkest counts, so that tilted cells have their whole extent."""

RIM = 0.3
"""Share of a cut within which its end must lie; the pale centre of the cell is farther in."""

MIN_CONTRAST = 10
GAP = 0.35
"""How dark, from background to cell, it may be beside a cell whose edge is free of neighbours."""


def red_cell_sizes(picture: RGB, boxes: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return width and height (M, 2), in pixels, of those red cells in `boxes` (N, 4) that no edge of `picture` cuts.

    Where many stand free, it is their sizes from edge to edge; where few do, those of all boxes, less what the free
    ones say the boxes are too large by.
    """
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    inside = np.array(picture.shape[1::-1]) - 1
    whole = boxes[(boxes[:, :2] > 1).all(1) & (boxes[:, 2:] < inside).all(1)]
    some = whole[:: max(1, -(-len(whole) // MEASURED))]
    edges = measure_edges(picture, some)
    seen = ~np.isnan(edges)
    if np.count_nonzero(seen.all(1)) >= MANY_FREE:
        return edges[seen.all(1)]
    sizes = whole[:, 2:] - whole[:, :2]
    if seen.sum(0).min() < FEW_FREE:
        return sizes
    tight: npt.NDArray[np.float32] = np.nanmedian(edges / (some[:, 2:] - some[:, :2]), axis=0)
    return sizes * tight


def measure_edges(picture: RGB, boxes: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return width and height (N, 2), in pixels, of the red cells in `boxes` (N, 4) of `picture` (H, W, 3).

    An edge lies where the green light is half way from cell to background. NaN where another cell hides one.
    """
    inner = torch.as_tensor(np.asarray(boxes, np.float32).reshape(-1, 4))
    if not len(inner):
        return np.empty((0, 2), np.float32)
    around = MARGIN * (inner[:, 2:] - inner[:, :2])
    outer = torch.cat((inner[:, :2] - around, inner[:, 2:] + around), 1)
    green = torch.from_numpy(np.ascontiguousarray(picture[..., 1])).float()[None, None]
    patches = roi_align(green, [outer], SAMPLES, sampling_ratio=1, aligned=True)[:, 0]
    background = patches[:, ::2, ::2].flatten(1).quantile(0.95, 1)
    middle = patches[:, SAMPLES // 5 : -SAMPLES // 5 : 2, SAMPLES // 5 : -SAMPLES // 5 : 2]
    contrast = background - middle.flatten(1).quantile(0.3, 1)
    darkness = (background[:, None, None] - patches) / contrast.clamp(min=1e-6)[:, None, None]
    band = slice(round(SAMPLES * (1 - BAND) / 2), round(SAMPLES * (1 + BAND) / 2))
    cuts = torch.stack((darkness[:, band].amax(1), darkness[:, :, band].amax(2)), 1)
    shares = (_end(cuts) + _end(cuts.flip(2)) - SAMPLES) / SAMPLES
    sizes = shares * (outer[:, 2:] - outer[:, :2])
    sizes[contrast < MIN_CONTRAST] = torch.nan
    return sizes.numpy()


def _end(cuts: Tensor) -> Tensor:
    """Return where in `cuts` (..., S), from 0 background to 1 cell, the cell ends towards S; NaN if that is hidden."""
    start = round(SAMPLES * (1 - RIM))
    tail = cuts[..., start:]
    gap = tail.argmin(-1, keepdim=True)
    place = torch.arange(tail.shape[-1])
    last = torch.where((tail > 0.5) & (place < gap), place, -1).amax(-1, keepdim=True)
    inside, outside = tail.gather(-1, last.clamp(min=0)), tail.gather(-1, (last + 1).clamp(max=tail.shape[-1] - 1))
    end = start + last + 0.5 + (inside - 0.5) / (inside - outside).clamp(min=1e-6)
    return torch.where((last >= 0) & (tail.gather(-1, gap) < GAP), end, torch.nan)[..., 0]
