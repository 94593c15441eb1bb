"""Supervised losses of AttriDet; whatever is not labelled is masked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import complete_box_iou_loss

from bloodfilm.nets.yolo import STRIDES, Candidates, Detect, Features
from bloodfilm.training.assignment import align, assign
from bloodfilm.training.labels import WHITE, Targets
from bloodfilm.vocabulary import UNKNOWN

BOX_GAIN, OBJECTNESS_GAIN, CLASS_GAIN, AUXILIARY_GAIN = 7.5, 0.5, 0.5, 0.3


def detection_losses(features: Features, targets: Targets, detect: Detect) -> dict[str, Tensor]:
    """Return box (CIoU), objectness and class losses, each a mean over cells times its gain.

    Which outputs a cell teaches is decided by how well they find it already (`assignment.align`). Cells of unknown
    class teach box and objectness only. The score of each auxiliary kind is learned as objectness is, and counts
    with the box loss of that kind under ``auxiliary``. Where objects of a kind may lie without a box, finding one
    is not punished.
    """
    levels = tuple(level.float() for level in features.levels)
    found = detect.decode(levels)
    known = _known(targets, [level.shape for level in levels], 1 + detect.auxiliary)
    losses = _kind_losses(found, levels, targets, detect, WHITE, known[:, WHITE])
    for kind in range(1, 1 + detect.auxiliary):
        parts = _kind_losses(found, levels, targets, detect, kind, known[:, kind])
        losses["auxiliary"] = losses.get("auxiliary", 0.0) + AUXILIARY_GAIN * (parts["box"] + parts["objectness"])
    return losses


def _kind_losses(
    found: Candidates, levels: Sequence[Tensor], targets: Targets, detect: Detect, kind: int, known: Tensor
) -> dict[str, Tensor]:
    mine = targets.kinds == kind
    cells, codes = targets.boxes[mine], targets.codes[mine, 0]
    scores = found.auxiliary[..., kind - 1] if kind else found.objectness
    matches = assign(targets.image[mine], cells, detect.anchors, [(level.shape[2], level.shape[3]) for level in levels])
    place = (matches.image, matches.place)
    ciou_loss = complete_box_iou_loss(found.boxes[place], cells[matches.cell])
    chosen, aims = align(matches, scores[place].detach(), 1 - ciou_loss.detach())
    place = (matches.image[chosen], matches.place[chosen])
    total = aims.sum().clamp(min=1)
    wanted = torch.zeros_like(scores).index_put(place, aims)
    weight = known.index_put(place, known.new_ones(()))
    objectness = F.binary_cross_entropy_with_logits(scores, wanted, weight, reduction="sum")
    losses = {
        "box": BOX_GAIN * (ciou_loss[chosen] * aims).sum() / total,
        "objectness": OBJECTNESS_GAIN * objectness / total,
    }
    if kind == WHITE:
        losses["class"] = CLASS_GAIN * _class_loss(found.classes[place], codes[matches.cell[chosen]])
    return losses


def _known(targets: Targets, shapes: Sequence[torch.Size], kinds: int) -> Tensor:
    """Return a mask (B, kinds, N) over all outputs: 0 where objects of a kind may lie without a box, else 1."""
    taught = targets.unknown_kinds < kinds
    left, top, right, bottom = targets.unknown[taught].T[..., None]
    place = (targets.unknown_image[taught], targets.unknown_kinds[taught])
    masks = []
    for stride, (images, anchors, height, width, _) in zip(STRIDES, shapes, strict=True):
        x, y = ((torch.arange(n, device=left.device) + 0.5) * stride for n in (width, height))
        open_ = ((y >= top) & (y < bottom))[:, :, None] & ((x >= left) & (x < right))[:, None]
        counts = torch.zeros((images, kinds, height, width), device=left.device)
        counts.index_put_(place, open_.float(), accumulate=True)
        masks.append((counts == 0).float().flatten(2).repeat(1, 1, anchors))
    return torch.cat(masks, 2)


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
