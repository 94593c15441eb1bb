"""Which output is responsible for which cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from bloodfilm.nets.yolo import STRIDES

MAX_RATIO = 4.0
TAUGHT = 10
"""Outputs that a cell teaches at most."""


class Matches(NamedTuple):
    """M pairs of an output (image, place among all outputs of the image) and the row of a cell."""

    image: Tensor
    place: Tensor
    cell: Tensor


def assign(image: Tensor, boxes: Tensor, anchors: Tensor, shapes: Sequence[tuple[int, int]]) -> Matches:
    """Match each cell with the outputs near its centre whose anchor is like it, as YOLOv5 does.

    A cell matches an anchor if width and height differ by less than a factor of 4, at the grid cell of its
    centre and at the nearest neighbour in x and in y, on each level.

    Parameters
    ----------
    image : (K,) index of the image of each cell
    boxes : (K, 4) x0, y0, x1, y1 in pixels of the input
    anchors : (levels, 3, 2) in units of each level's stride
    shapes : (rows, columns) of each level
    """
    found, start = [], 0
    for stride, sizes, shape in zip(STRIDES, anchors.float(), shapes, strict=True):
        cell, anchor, row, column = _assign_level(boxes / stride, sizes, shape)
        found.append((image[cell], start + (anchor * shape[0] + row) * shape[1] + column, cell))
        start += len(sizes) * shape[0] * shape[1]
    return Matches(*map(torch.cat, zip(*found, strict=True)))


def _assign_level(boxes: Tensor, anchors: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
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
    return cell, anchor, place[:, 1].clamp(0, shape[0] - 1), place[:, 0].clamp(0, shape[1] - 1)


def align(matches: Matches, logits: Tensor, overlap: Tensor) -> tuple[Tensor, Tensor]:
    """Choose the matches that find their cells best already, and say which score each should have.

    Task-aligned learning (Feng et al., TOOD, ICCV 2021) among the matches of `assign`: of each cell the `TAUGHT`
    with the highest score^0.5 * overlap^6, each output for the one cell that it overlaps most. The best of a cell
    is to score what it overlaps, the others in proportion.

    Parameters
    ----------
    logits, overlap : (M,)
        Score, and overlap (CIoU) with its cell, of each match's output.

    Returns
    -------
    chosen : (C,) rows of `matches`
    aims : (C,) scores to reach, from 0 to 1
    """
    overlap = overlap.clamp(min=0)
    metric = logits.sigmoid().sqrt() * overlap**6
    rows = _first(matches.cell, metric, TAUGHT)
    outputs = matches.image[rows] * _span(matches.place) + matches.place[rows]
    rows = rows[_first(outputs, overlap[rows], 1)]
    cell = matches.cell[rows]
    none = metric.new_zeros(_span(matches.cell))
    best = none.scatter_reduce(0, cell, metric[rows], "amax")
    most = none.scatter_reduce(0, cell, overlap[rows], "amax")
    return rows, metric[rows] / best[cell].clamp(min=1e-9) * most[cell]


def _first(groups: Tensor, values: Tensor, count: int) -> Tensor:
    """Return the rows of the `count` highest `values` of each of `groups`."""
    order = values.argsort(descending=True, stable=True)
    order = order[groups[order].argsort(stable=True)]
    same = groups[order]
    begin = torch.searchsorted(same, same)
    return order[torch.arange(len(order), device=order.device) - begin < count]


def _span(codes: Tensor) -> int:
    return int(codes.max()) + 1 if len(codes) else 0
