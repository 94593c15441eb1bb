"""A part of the canvas, and which pixels and objects of a field are seen through it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_area

from bloodfilm.training.labels import Labels, forget

MIN_SIDE = 3
MIN_VISIBLE = 0.4
"""Share of an object that must be left after cropping to be one; with less it is unknown what is there."""

Interval = tuple[float, float]


class Window(NamedTuple):
    """A rectangle of the canvas."""

    x0: int
    y0: int
    x1: int
    y1: int


class Axis:
    """Where the pixels of one axis of a window come from: a picture of `length`, once or mirrored on and on.

    The picture lies at random, but with as much as possible of its interval `aim` in view.
    """

    def __init__(self, random: np.random.Generator, length: int, room: int, mirrored: bool, aim: Interval) -> None:
        least, most = sorted((0, room - length))
        low, high = (min(max(round(end), least), most) for end in sorted((-aim[0], room - aim[1])))
        self.length, self.start = length, int(random.integers(low, high + 1))
        place = torch.arange(room) - self.start
        self.inside = ((place >= 0) & (place < length)) | mirrored
        place = place % (2 * length)
        self.pixels = torch.minimum(place, 2 * length - 1 - place)
        self.copies = range(-self.start // length, (room - 1 - self.start) // length + 1) if mirrored else range(1)
        self.mirrored = mirrored

    def move(self, low: Tensor, high: Tensor, copy: int) -> tuple[Tensor, Tensor]:
        """Return where an interval of the picture lies in its `copy`; odd ones are mirror images."""
        if copy % 2:
            low, high = self.length - high, self.length - low
        offset = self.start + copy * self.length
        return low + offset, high + offset

    def cut(self, low: Tensor, high: Tensor) -> Tensor:
        """Tell which intervals touch an edge at which the picture is mirrored."""
        return ((low < 1) | (high > self.length - 1)) & self.mirrored


def copy_of(labels: Labels, across: Axis, x: int, down: Axis, y: int) -> Labels:
    """Return `labels` in one copy of the picture; an object cut by a mirrored edge is nothing that exists."""

    def move(boxes: Tensor) -> Tensor:
        x0, x1 = across.move(boxes[:, 0], boxes[:, 2], x)
        y0, y1 = down.move(boxes[:, 1], boxes[:, 3], y)
        return torch.stack((x0, y0, x1, y1), 1)

    b = labels.boxes
    cut = across.cut(b[:, 0], b[:, 2]) | down.cut(b[:, 1], b[:, 3])
    moved = labels._replace(boxes=move(b), unknown=move(labels.unknown))
    return forget(moved, cut)


def visible(labels: Labels, size: tuple[int, int]) -> Labels:
    """Return `labels` cut at the edge of a window; objects of which too little is left become unknown."""
    limit = torch.tensor([*size, *size], dtype=torch.float32)
    boxes, unknown = (part.minimum(limit).clamp(min=0) for part in (labels.boxes, labels.unknown))
    enough = (box_area(boxes) > MIN_VISIBLE * box_area(labels.boxes)) & (_sides(boxes) > MIN_SIDE)
    labels = forget(labels._replace(boxes=boxes, unknown=unknown), ~enough)
    shown = _sides(labels.unknown) > 0
    return labels._replace(unknown=labels.unknown[shown], unknown_kinds=labels.unknown_kinds[shown])


def _sides(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).amin(1)
