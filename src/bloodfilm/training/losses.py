"""Supervised losses of AttriDet; labels that are missing are masked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import complete_box_iou_loss

from bloodfilm.nets.yolo import Detect, Features, decode_boxes
from bloodfilm.training.assignment import Matches, assign
from bloodfilm.training.data import Targets
from bloodfilm.vocabulary import UNKNOWN

BOX_GAIN, OBJECTNESS_GAIN, CLASS_GAIN = 0.05, 0.7, 0.3 * 14 / 80
LEVEL_WEIGHTS = (4.0, 1.0, 0.4)


def detection_losses(features: Features, targets: Targets, detect: Detect) -> dict[str, Tensor]:
    """Return YOLOv5's box (CIoU), objectness and class losses, each a mean times its gain.

    Cells of unknown class teach box and objectness only.
    """
    levels = [level.float() for level in features.levels]
    shapes = [(level.shape[2], level.shape[3]) for level in levels]
    matched = assign(targets.image, targets.boxes, detect.anchors, shapes)
    zero = levels[0].new_zeros(())
    losses = {"box": zero, "objectness": zero, "class": zero}
    for index, (raw, matches) in enumerate(zip(levels, matched, strict=True)):
        aim = torch.zeros_like(raw[..., 4])
        if len(matches.cell):
            wanted = targets.boxes[matches.cell] / 2 ** (index + 3)
            ciou_loss, picked = _box_loss(raw, matches, wanted, detect.anchors[index])
            losses["box"] = losses["box"] + ciou_loss.mean()
            place = (matches.image, matches.anchor, matches.row, matches.column)
            aim = aim.index_put(place, (1 - ciou_loss).detach().clamp(min=0))
            losses["class"] = losses["class"] + _class_loss(picked[:, 5:], targets.classes[matches.cell])
        objectness = F.binary_cross_entropy_with_logits(raw[..., 4], aim)
        losses["objectness"] = losses["objectness"] + LEVEL_WEIGHTS[index] * objectness
    gains = {"box": BOX_GAIN, "objectness": OBJECTNESS_GAIN, "class": CLASS_GAIN}
    return {name: gains[name] * loss for name, loss in losses.items()}


def _box_loss(raw: Tensor, matches: Matches, wanted: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """Return 1 - CIoU of each match and the raw outputs (M, 5 + classes) there."""
    picked = raw[matches.image, matches.anchor, matches.row, matches.column]
    corners = torch.stack((matches.column, matches.row), 1)
    boxes = decode_boxes(picked[:, :4], corners, anchors.float()[matches.anchor])
    return complete_box_iou_loss(boxes, wanted), picked


def _class_loss(logits: Tensor, codes: Tensor) -> Tensor:
    known = codes != UNKNOWN
    if not known.any():
        return logits.sum() * 0
    wanted = F.one_hot(codes[known], logits.shape[1]).to(logits)
    return F.binary_cross_entropy_with_logits(logits[known], wanted)


def reading_loss(logits: Sequence[Tensor], codes: Tensor) -> Tensor:
    """Return the mean cross-entropy over all labels of K cells, be they types or attributes.

    `logits` are (K, values) for each column of `codes` (K, columns); `UNKNOWN` is masked per label, so that
    a cell with one unknown attribute still teaches the others.
    """
    parts = [
        F.cross_entropy(part, column, ignore_index=UNKNOWN, reduction="sum")
        for part, column in zip(logits, codes.T, strict=True)
    ]
    return torch.stack(parts).sum() / (codes != UNKNOWN).sum().clamp(min=1) if parts else codes.new_zeros(()).float()
