"""The YOLOv5 v6/v7 detector at sizes n to x, written from its layer table."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bloodfilm.nets.blocks import C3, SPPF, Conv
from bloodfilm.nets.sizes import SIZES, Size

STRIDES = (8, 16, 32)
ANCHORS = (
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)
"""COCO anchors in pixels (width, height) of each level."""

SMALLEST = 2e-3
"""Width and height of the smallest box, in grid units; CIoU has no gradient at none."""


class Features(NamedTuple):
    """What one pass through the network gives.

    `levels` are the raw outputs (B, 3, H/s, W/s, 5 + classes + auxiliary) at strides 8, 16 and 32; `taps` are the
    backbone's maps at strides 4 and 8 that attributes are read from, `deep` its last one; `neck` is the neck's at
    stride 8.
    """

    levels: tuple[Tensor, Tensor, Tensor]
    taps: tuple[Tensor, Tensor]
    deep: Tensor
    neck: Tensor


class Candidates(NamedTuple):
    """Decoded outputs of all levels: boxes (B, N, 4) as x0, y0, x1, y1 in pixels, the others as logits."""

    boxes: Tensor
    objectness: Tensor
    classes: Tensor
    auxiliary: Tensor


class Detect(nn.Module):
    """1x1 convolutions to ``3 * (5 + classes + auxiliary)`` channels.

    `anchors` are in units of each level's stride. Objectness is the score of the cells that have a class; each
    auxiliary kind of object has a score of its own, behind the classes.
    """

    anchors: Tensor

    def __init__(self, classes: int, channels: tuple[int, int, int], auxiliary: int = 0) -> None:
        super().__init__()
        self.classes, self.auxiliary = classes, auxiliary
        self.outputs = 5 + classes + auxiliary
        strides = torch.tensor(STRIDES, dtype=torch.float32).view(3, 1, 1)
        self.register_buffer("anchors", torch.tensor(ANCHORS, dtype=torch.float32) / strides)
        self.m = nn.ModuleList(nn.Conv2d(c, 3 * self.outputs, 1) for c in channels)
        for conv, stride in zip(self.m, STRIDES, strict=True):
            bias = conv.bias.detach().view(3, self.outputs)  # type: ignore[operator]
            bias[:, 4] += math.log(8 / (640 / stride) ** 2)
            bias[:, 5 : 5 + classes] += math.log(0.6 / (classes - 0.99999))
            bias[:, 5 + classes :] += math.log(8 / (640 / stride) ** 2)

    def score_channel(self, kind: int) -> int:
        """Return the channel of the score of white cells (0) or of an auxiliary kind (from 1)."""
        return 4 + kind + (self.classes if kind else 0)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, ...]:
        levels = []
        for conv, x in zip(self.m, maps, strict=True):
            y: Tensor = conv(x)
            b, _, h, w = y.shape
            levels.append(y.view(b, 3, self.outputs, h, w).permute(0, 1, 3, 4, 2))
        return tuple(levels)


class YOLOv5(nn.Module):
    """The detector; its state dict has YOLOv5's names (``model.<index>...``) and shapes."""

    def __init__(self, size: Size = "n", classes: int = 14, auxiliary: int = 0) -> None:
        super().__init__()
        width, depth = SIZES[size]

        def c(base: int) -> int:
            return math.ceil(base * width / 8) * 8

        def n(base: int) -> int:
            return max(round(base * depth), 1)

        self.model = nn.ModuleList(
            [
                Conv(3, c(64), 6, 2, 2),
                Conv(c(64), c(128), 3, 2),
                C3(c(128), c(128), n(3)),
                Conv(c(128), c(256), 3, 2),
                C3(c(256), c(256), n(6)),
                Conv(c(256), c(512), 3, 2),
                C3(c(512), c(512), n(9)),
                Conv(c(512), c(1024), 3, 2),
                C3(c(1024), c(1024), n(3)),
                SPPF(c(1024), c(1024)),
                Conv(c(1024), c(512)),
                nn.Upsample(scale_factor=2),
                nn.Identity(),  # concat with 6
                C3(c(1024), c(512), n(3), shortcut=False),
                Conv(c(512), c(256)),
                nn.Upsample(scale_factor=2),
                nn.Identity(),  # concat with 4
                C3(c(512), c(256), n(3), shortcut=False),
                Conv(c(256), c(256), 3, 2),
                nn.Identity(),  # concat with 14
                C3(c(512), c(512), n(3), shortcut=False),
                Conv(c(512), c(512), 3, 2),
                nn.Identity(),  # concat with 10
                C3(c(1024), c(1024), n(3), shortcut=False),
                Detect(classes, (c(256), c(512), c(1024)), auxiliary),
            ]
        )
        self.tap_channels = c(128) + c(256)
        self.deep_channels = c(1024)

    @property
    def backbone(self) -> nn.ModuleList:
        return self.model[:10]

    @property
    def detect(self) -> Detect:
        return self.model[24]  # type: ignore[return-value]

    def forward(self, images: Tensor) -> Features:
        """Run on `images` (B, 3, H, W) in 0 to 1, H and W multiples of 32."""
        joins = {12: 6, 16: 4, 19: 14, 22: 10}
        kept: dict[int, Tensor] = {}
        x = images
        for index, layer in enumerate(self.model[:24]):
            x = torch.cat((x, kept[joins[index]]), 1) if index in joins else layer(x)
            kept[index] = x
        levels = self.detect([kept[17], kept[20], kept[23]])
        return Features(levels, (kept[1], kept[4]), kept[9], kept[17])

    def decode(self, levels: tuple[Tensor, ...]) -> Candidates:
        """Turn raw outputs into boxes in pixels of the network's input."""
        boxes, rest = [], []
        for raw, anchors, stride in zip(levels, self.detect.anchors, STRIDES, strict=True):
            raw = raw.float()
            found = decode_boxes(raw[..., :4], _grid(raw), anchors.view(1, 3, 1, 1, 2).float()) * stride
            boxes.append(found.flatten(1, 3))
            rest.append(raw[..., 4:].flatten(1, 3))
        logits = torch.cat(rest, 1)
        objectness, classes, auxiliary = torch.split(logits, [1, self.detect.classes, self.detect.auxiliary], -1)
        return Candidates(torch.cat(boxes, 1), objectness[..., 0], classes, auxiliary)


def decode_boxes(raw: Tensor, corners: Tensor, anchors: Tensor) -> Tensor:
    """Return boxes (..., 4) as x0, y0, x1, y1 of outputs (..., 4) at grid `corners` (..., 2), all in grid units."""
    t = raw.sigmoid()
    centre = 2 * t[..., :2] - 0.5 + corners
    half = ((2 * t[..., 2:]) ** 2 * anchors / 2).clamp(min=SMALLEST / 2)
    return torch.cat((centre - half, centre + half), -1)


def _grid(like: Tensor) -> Tensor:
    """Return x and y (H, W, 2) of each place of a level (B, 3, H, W, ...)."""
    y, x = (torch.arange(n, device=like.device, dtype=like.dtype) for n in like.shape[2:4])
    return torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)
