"""How alike cells look to the network: similarity labels and the triplet loss."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from bloodfilm.training.pseudo import overlaps

STRIDE, REGION = 8, 4
MAX_OVERLAP = 0.3


def describe_cells(neck: Tensor, image: Tensor, boxes: Tensor) -> Tensor:
    """Return a vector of length 1 for each box (K, 4): the mean over its region of the neck's map at stride 8."""
    rois = torch.cat((image[:, None].float(), boxes), 1)
    regions = roi_align(neck.float(), rois, REGION, 1 / STRIDE, sampling_ratio=2, aligned=True)
    return F.normalize(regions.mean((2, 3)), dim=1)


class References(NamedTuple):
    """What is certain: index of the picture, box (L, 4) and class of each object, -1 for what is none."""

    image: Tensor
    boxes: Tensor
    classes: Tensor


def compare(
    neck: Tensor, image: Tensor, boxes: Tensor, classes: Tensor, references: References, hardest: bool = False
) -> tuple[Tensor, Tensor]:
    """Return for each of K boxes the largest cosine to references of its class, and to others.

    With `hardest` the first is the smallest one. What overlaps in the same picture is not compared; what a box has no
    reference for is infinite.
    """
    with torch.autocast(neck.device.type, enabled=False):
        likeness = describe_cells(neck, image, boxes) @ describe_cells(neck, *references[:2]).T
    compared = overlaps(image, boxes, *references[:2]) < MAX_OVERLAP
    same = classes[:, None] == references.classes
    sign = -1.0 if hardest else 1.0
    return sign * _largest(sign * likeness, compared & same), _largest(likeness, compared & ~same)


def _largest(values: Tensor, mask: Tensor) -> Tensor:
    return F.pad(values.masked_fill(~mask, -torch.inf), (0, 1), value=-torch.inf).amax(1)


def triplet_loss(own: Tensor, others: Tensor, margin: float, sign: float = 1.0) -> Tensor:
    """Return the mean of max(0, sign (others - own + margin)) over the rows that have both likenesses."""
    both = torch.isfinite(own) & torch.isfinite(others)
    return F.relu(sign * (others[both] - own[both] + margin)).sum() / both.sum().clamp(min=1)
