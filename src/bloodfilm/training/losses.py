"""Supervised losses of AttriDet; whatever is not labelled is masked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import complete_box_iou_loss

from bloodfilm.nets.yolo import STRIDES, Detect, Features, decode_boxes
from bloodfilm.training.assignment import Matches, assign
from bloodfilm.training.labels import ANY, WHITE, Targets
from bloodfilm.vocabulary import UNKNOWN

BOX_GAIN, OBJECTNESS_GAIN, CLASS_GAIN = 0.2, 0.7, 0.3 * 14 / 80
AUXILIARY_GAIN = 0.3
LEVEL_WEIGHTS = (4.0, 1.0, 0.4)


class Guess(NamedTuple):
    """What is taken as true where nobody looked.

    What is `known` of each level, which of the K targets are guessed, and how much each target counts.
    """

    known: list[Known]
    guessed: Tensor
    trust: Tensor


def detection_losses(
    features: Features, targets: Targets, detect: Detect, guess: Guess | None = None
) -> dict[str, Tensor]:
    """Return YOLOv5's box (CIoU), objectness and class losses, each a mean times its gain.

    Cells of unknown class teach box and objectness only. The score of each auxiliary kind is learned as
    objectness is, and counts with the box loss of that kind under ``auxiliary``. Where objects of a kind may
    lie without a box, finding one is not punished; where nobody looked, labelled objects teach nothing either.

    With a `guess` those of `targets` that are guessed teach wherever they are, each as much as it is trusted, and
    objectness is a mean over what is known or guessed.
    """
    levels = [level.float() for level in features.levels]
    masks = guess.known if guess else known(targets, [level.shape for level in levels], 1 + detect.auxiliary)
    losses = _kind_losses(levels, targets, detect, WHITE, masks, guess)
    for kind in range(1, 1 + detect.auxiliary):
        parts = _kind_losses(levels, targets, detect, kind, masks, guess)
        losses["auxiliary"] = losses.get("auxiliary", 0.0) + AUXILIARY_GAIN * (parts["box"] + parts["objectness"])
    return losses


def _kind_losses(
    levels: Sequence[Tensor], targets: Targets, detect: Detect, kind: int, masks: Sequence[Known], guess: Guess | None
) -> dict[str, Tensor]:
    mine = targets.kinds == kind
    cells, codes = targets.boxes[mine], targets.codes[mine, 0]
    trust = guess.trust[mine] if guess else torch.ones_like(cells[:, 0])
    matched = assign(targets.image[mine], cells, detect.anchors, [(level.shape[2], level.shape[3]) for level in levels])
    zero = levels[0].new_zeros(())
    losses = {"box": zero, "objectness": zero, "class": zero}
    for index, (raw, matches) in enumerate(zip(levels, matched, strict=True)):
        scores = raw[..., detect.score_channel(kind)]
        looked, certain = masks[index].looked, masks[index].certain[:, kind]
        taught = looked[matches.image, matches.row, matches.column]
        if guess:
            taught = taught | guess.guessed[mine][matches.cell]
        unsaid, matches = matches.where(~taught), matches.where(taught)
        aim, weight = torch.zeros_like(scores), certain[:, None].expand_as(scores)
        weight = weight.index_put(tuple(unsaid[:4]), weight.new_zeros(()))
        if len(matches.cell):
            ciou_loss, picked = box_loss(raw, matches, cells[matches.cell] / STRIDES[index], detect.anchors[index])
            share = trust[matches.cell]
            losses["box"] = losses["box"] + (share * ciou_loss).sum() / share.sum()
            place = (matches.image, matches.anchor, matches.row, matches.column)
            aim = aim.index_put(place, (1 - ciou_loss).detach().clamp(min=0))
            weight = weight.index_put(place, share)
            if kind == WHITE:
                types = picked[:, 5 : 5 + detect.classes]
                losses["class"] = losses["class"] + _class_loss(types, codes[matches.cell])
        objectness = F.binary_cross_entropy_with_logits(scores, aim, weight)
        if guess:
            objectness = objectness / weight.mean().clamp(min=1e-3)
        losses["objectness"] = losses["objectness"] + LEVEL_WEIGHTS[index] * objectness
    gains = {"box": BOX_GAIN, "objectness": OBJECTNESS_GAIN, "class": CLASS_GAIN}
    return {name: gains[name] * loss for name, loss in losses.items()}


class Known(NamedTuple):
    """What is known at each place of a level.

    If anybody looked there (B, H, W); and from 0 to 1 how sure it is that nothing is there but what has a box
    (B, kinds, H, W).
    """

    looked: Tensor
    certain: Tensor


def known(targets: Targets, shapes: Sequence[torch.Size], kinds: int) -> list[Known]:
    """Return what is known on each level of these `shapes` (B, 3, H, W, ...)."""
    taught = targets.unknown_kinds < kinds
    left, top, right, bottom = targets.unknown[taught].T[..., None]
    place = (targets.unknown_image[taught], targets.unknown_kinds[taught] - ANY)
    masks = []
    for stride, (images, _, height, width, _) in zip(STRIDES, shapes, strict=True):
        x, y = ((torch.arange(n, device=left.device) + 0.5) * stride for n in (width, height))
        open_ = ((y >= top) & (y < bottom))[:, :, None] & ((x >= left) & (x < right))[:, None]
        counts = torch.zeros((images, kinds - ANY, height, width), device=left.device)
        counts.index_put_(place, open_.float(), accumulate=True)
        looked, own = counts[:, 0] == 0, counts[:, WHITE - ANY :] == 0
        masks.append(Known(looked, (own & looked[:, None]).float()))
    return masks


def box_loss(raw: Tensor, matches: Matches, wanted: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """Return 1 - CIoU of each match and the raw outputs (M, 5 + classes + auxiliary) there."""
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
