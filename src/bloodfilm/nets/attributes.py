"""AttriDet's published attribute head: regions of the backbone's maps to logits of attribute values."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

TAP_STRIDES = (4, 8)
REGION = (24, 30)
"""Rows and columns that are cut for a cell."""


class AttributeHead(nn.Module):
    """Three convolutions with pooling, then three linear layers.

    Regions are cut by aligned RoIAlign, of all cells of a batch at once; with `published` as AttriDet's code cuts
    them, from boxes in whole places of a map.
    """

    def __init__(self, channels: int, outputs: int, published: bool = False) -> None:
        super().__init__()
        self.published = published
        self.conv1 = nn.Conv2d(channels, 128, 3, padding=1)
        self.conv2 = nn.Conv2d(128, 64, 3, padding=1)
        self.conv3 = nn.Conv2d(64, 64, 3, padding=1)
        self.fc1 = nn.Linear(64 * (REGION[0] // 8) * (REGION[1] // 8), 1024)
        self.fc2 = nn.Linear(1024, 256)
        self.fc3 = nn.Linear(256, outputs)
        self.drop = nn.Dropout(0.5)

    def forward(self, taps: tuple[Tensor, Tensor], rois: Tensor) -> Tensor:
        """Return logits (K, outputs) of `rois` (K, 5): index in the batch, then x0, y0, x1, y1 in input pixels."""
        regions = [
            roi_align(tap.float(), published_rois(rois, tap, stride), REGION)
            if self.published
            else roi_align(tap.float(), rois, REGION, 1 / stride, sampling_ratio=2, aligned=True)
            for tap, stride in zip(taps, TAP_STRIDES, strict=True)
        ]
        x = torch.cat(regions, 1).to(self.conv1.weight.dtype)
        for conv in (self.conv1, self.conv2, self.conv3):
            x = F.max_pool2d(F.leaky_relu(conv(x), 0.01), 2)
        x = self.drop(x.flatten(1))
        x = self.drop(F.leaky_relu(self.fc1(x), 0.01))
        x = self.drop(F.leaky_relu(self.fc2(x), 0.01))
        return self.fc3(x)  # type: ignore[no-any-return]


def published_rois(rois: Tensor, tap: Tensor, stride: int) -> Tensor:
    """Return `rois` (K, 5) in places of the map `tap` (B, C, H, W) as AttriDet's code has them.

    Corners are rounded to a ten-thousandth of the input's sides, then cut to whole places; a box without width or
    height becomes one place wide or high.
    """
    size = torch.tensor(tap.shape[:1:-1], device=rois.device).repeat(2)
    shares = (rois[:, 1:] / (size * stride) * 10_000).round()
    corners = (shares * size).div(10_000, rounding_mode="floor")
    ends = torch.maximum(corners[:, 2:], corners[:, :2] + 1)
    return torch.cat((rois[:, :1], corners[:, :2], ends), 1)
