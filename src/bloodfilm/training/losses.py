"""Supervised losses of AttriDet; whatever is not labelled is masked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import complete_box_iou_loss

from bloodfilm.nets.yolo import STRIDES, Detect, Features, decode_boxes
from bloodfilm.training.assignment import Matches, assign
from bloodfilm.training.labels import WHITE, Targets
from bloodfilm.vocabulary import UNKNOWN

BOX_GAIN, OBJECTNESS_GAIN, CLASS_GAIN = 0.2, 0.7, 0.3 * 14 / 80
AUXILIARY_GAIN = 0.3
LEVEL_WEIGHTS = (4.0, 1.0, 0.4)


def detection_losses(features: Features, targets: Targets, detect: Detect) -> dict[str, Tensor]:
    """Return YOLOv5's box (CIoU), objectness and class losses, each a mean times its gain.

    Cells of unknown class teach box and objectness only. The score of each auxiliary kind is learned as
    objectness is, and counts with the box loss of that kind under ``auxiliary``. Where objects of a kind may
    lie without a box, finding one is not punished.
    """
    levels = [level.float() for level in features.levels]
    known = _known(targets, [level.shape for level in levels], 1 + detect.auxiliary)
    losses = _kind_losses(levels, targets, detect, WHITE, [mask[:, WHITE] for mask in known])
    for kind in range(1, 1 + detect.auxiliary):
        parts = _kind_losses(levels, targets, detect, kind, [mask[:, kind] for mask in known])
        losses["auxiliary"] = losses.get("auxiliary", 0.0) + AUXILIARY_GAIN * (parts["box"] + parts["objectness"])
    return losses


def _kind_losses(
    levels: Sequence[Tensor], targets: Targets, detect: Detect, kind: int, known: Sequence[Tensor]
) -> dict[str, Tensor]:
    mine = targets.kinds == kind
    cells, codes = targets.boxes[mine], targets.codes[mine, 0]
    matched = assign(targets.image[mine], cells, detect.anchors, [(level.shape[2], level.shape[3]) for level in levels])
    zero = levels[0].new_zeros(())
    losses = {"box": zero, "objectness": zero, "class": zero}
    for index, (raw, matches) in enumerate(zip(levels, matched, strict=True)):
        scores = raw[..., detect.score_channel(kind)]
        aim, weight = torch.zeros_like(scores), known[index][:, None].expand_as(scores)
        if len(matches.cell):
            ciou_loss, picked = _box_loss(raw, matches, cells[matches.cell] / STRIDES[index], detect.anchors[index])
            losses["box"] = losses["box"] + ciou_loss.mean()
            place = (matches.image, matches.anchor, matches.row, matches.column)
            aim = aim.index_put(place, (1 - ciou_loss).detach().clamp(min=0))
            weight = weight.index_put(place, weight.new_ones(()))
            if kind == WHITE:
                types = picked[:, 5 : 5 + detect.classes]
                losses["class"] = losses["class"] + _class_loss(types, codes[matches.cell])
        objectness = F.binary_cross_entropy_with_logits(scores, aim, weight)
        losses["objectness"] = losses["objectness"] + LEVEL_WEIGHTS[index] * objectness
    gains = {"box": BOX_GAIN, "objectness": OBJECTNESS_GAIN, "class": CLASS_GAIN}
    return {name: gains[name] * loss for name, loss in losses.items()}


def _known(targets: Targets, shapes: Sequence[torch.Size], kinds: int) -> list[Tensor]:
    """Return for each level a mask (B, kinds, H, W): 0 where objects of a kind may lie without a box, else 1."""
    taught = targets.unknown_kinds < kinds
    left, top, right, bottom = targets.unknown[taught].T[..., None]
    place = (targets.unknown_image[taught], targets.unknown_kinds[taught])
    masks = []
    for stride, (images, _, height, width, _) in zip(STRIDES, shapes, strict=True):
        x, y = ((torch.arange(n, device=left.device) + 0.5) * stride for n in (width, height))
        open_ = ((y >= top) & (y < bottom))[:, :, None] & ((x >= left) & (x < right))[:, None]
        counts = torch.zeros((images, kinds, height, width), device=left.device)
        counts.index_put_(place, open_.float(), accumulate=True)
        masks.append((counts == 0).float())
    return masks


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
