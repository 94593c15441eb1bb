"""The head that reads types and attributes of cells from the picture itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.ops import roi_align

from bloodfilm.io.images import RGB
from bloodfilm.nets.blocks import Conv

VIEWS = (1.2, 3.0)
"""Sides of what is looked at, in sides of the box: the cell, and what is around it."""

SIDE = 64
"""Pixels a side of each view."""

HIDDEN = 256
"""Units between what is seen and what is said."""

REACH, PATCH = 3.6, 240
"""Side of what is cut out for a cell, in sides of its box and in pixels: the widest view, of a box that is shaken."""


class CloseUp(nn.Module):
    """A head that looks at cells in the picture itself, in views `sides` times as wide as their boxes."""

    sides: tuple[float, ...]
    last: nn.Linear

    def forward(self, images: Tensor, rois: Tensor) -> Tensor:
        """Return what `read` says of `rois` (K, 5): index in `images` (B, 3, H, W), x0, y0, x1, y1 in pixels."""
        whole = images.float()
        return self.read([look(whole, rois, side).to(self.last.weight.dtype) for side in self.sides])

    def read(self, crops: Sequence[Tensor]) -> Tensor:
        """Return what there is to say of K cells of which `crops`, each (K, 3, 64, 64), are the views."""
        raise NotImplementedError


class CellReader(CloseUp):
    """Two views of each cell, cut from the picture, through convolutions of their own and two linear layers.

    The near one shows nucleus and cytoplasm as finely as the picture does, which a detector's maps at strides 4 and 8
    do not; the far one how large the cell is beside the red cells around it, whatever the magnification. With `details`
    the near one also goes through convolutions for what is small, such as vacuoles. They are taught elsewhere, and no
    gradient reaches them.
    """

    def __init__(self, outputs: int, width: int = 24, views: tuple[float, ...] = VIEWS, details: bool = True) -> None:
        super().__init__()
        self.sides = views
        self.views = nn.ModuleList(convolutions(width) for _ in views)
        self.hidden = nn.Linear(len(views) * 8 * width, HIDDEN)
        self.last = nn.Linear(HIDDEN, outputs)
        self.drop = nn.Dropout(0.3)
        self.details = None
        if details:
            self.details, self.noticed = convolutions(width), nn.Linear(8 * width, HIDDEN, bias=False)
            nn.init.zeros_(self.noticed.weight)

    def read(self, crops: Sequence[Tensor]) -> Tensor:
        """Return logits (K, outputs) of K cells."""
        crops = [crop.contiguous(memory_format=torch.channels_last) for crop in crops]
        seen = [pooled(layers(crop)) for crop, layers in zip(crops, self.views, strict=True)]
        hidden = self.hidden(self.drop(torch.cat(seen, 1)))
        if self.details:
            with torch.no_grad():
                seen_closely = pooled(self.details(crops[0]))
            hidden = hidden + self.noticed(self.drop(seen_closely))
        return self.last(self.drop(nn.functional.silu(hidden)))  # type: ignore[no-any-return]


def pooled(maps: Tensor) -> Tensor:
    """Return mean and maximum of each of C `maps` (K, C, H, W), as (K, 2 C)."""
    return torch.cat((maps.mean((2, 3)), maps.amax((2, 3))), 1)


def cut(picture: RGB, boxes: npt.NDArray[np.floating]) -> Tensor:
    """Return what is around `boxes` (K, 4) of a picture (H, W, 3) uint8, as (K, 3, 240, 240) uint8.

    Each box becomes the square of `middles`, however large it is; beyond the picture all is black.
    """
    patches = np.zeros((len(boxes), PATCH, PATCH, 3), np.uint8)
    limits = np.array(picture.shape[1::-1] * 2)
    for patch, box in zip(patches, np.asarray(boxes, float), strict=True):
        side = REACH * (box[2:] - box[:2])
        corner = (box[:2] + box[2:] - side) / 2
        shown = np.concatenate((corner, corner + side)).clip(0, limits)
        x0, y0, x1, y1 = ((shown - np.tile(corner, 2)) * PATCH / np.tile(side, 2)).round().astype(int)
        low, high = np.floor(shown[:2]).astype(int), np.ceil(shown[2:]).astype(int)
        if x1 > x0 and y1 > y0:
            part = Image.fromarray(picture[low[1] : high[1], low[0] : high[0]])
            place = tuple((shown - np.tile(low, 2)).tolist())
            patch[y0:y1, x0:x1] = np.asarray(part.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR, place))
    return torch.from_numpy(patches).permute(0, 3, 1, 2)


def middles(count: int) -> Tensor:
    """Return where the box is on each of so many patches, as (K, 5): index, x0, y0, x1, y1."""
    low, high = PATCH / 2 - PATCH / REACH / 2, PATCH / 2 + PATCH / REACH / 2
    return torch.cat((torch.arange(count)[:, None], torch.tensor([[low, low, high, high]]).repeat(count, 1)), 1)


def look(images: Tensor, rois: Tensor, side: float, pixels: int = SIDE) -> Tensor:
    """Return what lies in `rois` (K, 5) of float `images`, `side` times as wide and high, as (K, 3, S, S)."""
    middle, half = (rois[:, 1:3] + rois[:, 3:]) / 2, side * (rois[:, 3:] - rois[:, 1:3]) / 2
    view = torch.cat((rois[:, :1], middle - half, middle + half), 1)
    return roi_align(images, view, pixels, sampling_ratio=2, aligned=True)  # type: ignore[no-any-return]


def convolutions(width: int) -> nn.Sequential:
    """Return four halvings of the side, to 4 * `width` channels."""
    channels = (3, width, width, 2 * width, 2 * width, 4 * width, 4 * width, 4 * width, 4 * width)
    steps = zip(channels, channels[1:], (2, 1) * 4, strict=False)
    return nn.Sequential(*(Conv(c_in, c_out, 3, stride) for c_in, c_out, stride in steps))
