"""A second look at each box, in the picture itself, that makes it tighter."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bloodfilm.nets.blocks import Conv
from bloodfilm.nets.reader import SIDE, CloseUp, convolutions

VIEWS = (1.6,)
"""Side of what is looked at, in sides of the box: all of a cell whose box is too small, and what is beside it."""

STEP = 0.1
"""What an output of 1 moves a side by, in widths or heights of the box."""


class BoxRefiner(CloseUp):
    """One view of each cell, cut from the picture, through convolutions of its own and two linear layers.

    As in cascaded detectors (Cai and Vasconcelos, Cascade R-CNN, CVPR 2018) a box is found once more, in a picture of
    which it is the middle; but as finely as the picture was taken. Untrained, it leaves every box as it is.
    """

    def __init__(self, width: int = 24, seen: int = 32) -> None:
        super().__init__()
        self.sides = VIEWS
        places = (SIDE // 16) ** 2
        self.convolutions = nn.Sequential(*convolutions(width), Conv(4 * width, seen, 1))
        self.hidden = nn.Linear(places * seen, 128)
        self.last = nn.Linear(128, 4)
        self.drop = nn.Dropout(0.2)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def read(self, crops: Sequence[Tensor]) -> Tensor:
        """Return how far the left, upper, right and lower side of each box are to be moved (K, 4).

        In widths or heights of the box, to the right or down.
        """
        (crop,) = crops
        maps = self.convolutions(crop.contiguous(memory_format=torch.channels_last)).flatten(1)
        hidden = nn.functional.silu(self.hidden(self.drop(maps)))
        return STEP * self.last(hidden).float()  # type: ignore[no-any-return]


def moved(boxes: Tensor, moves: Tensor) -> Tensor:
    """Return `boxes` (K, 4) with each side moved by so many widths or heights."""
    return boxes + moves * (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
