"""Keep what a network knew of red cells and platelets where nobody labels them.

It goes on saying what it said before (Li and Hoiem, Learning without Forgetting, ECCV 2016): the ruler needs red cells.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bloodfilm.cells import Field
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.yolo import Detect, decode_boxes
from bloodfilm.training.assignment import Matches
from bloodfilm.training.losses import AUXILIARY_GAIN, BOX_GAIN, LEVEL_WEIGHTS, OBJECTNESS_GAIN, box_loss
from bloodfilm.vocabulary import AUXILIARY

SEEN = 0.3
"""Score from which on the box is kept, too."""


class Memory:
    """What `network` said of auxiliary `kinds` before it was trained on."""

    def __init__(self, network: AttriDet, kinds: Sequence[int]) -> None:
        self.detector = copy.deepcopy(network.detector).eval().requires_grad_(False)
        self.kinds = kinds

    def loss(self, levels: Sequence[Tensor], images: Tensor, detect: Detect) -> Tensor:
        """Return how far raw outputs `levels` are from what was said of `images` (B, 3, S, S)."""
        with torch.no_grad():
            before = self.detector(images.contiguous(memory_format=torch.channels_last)).levels
        losses = [
            _loss(now.float(), then.float(), detect, level, kind)
            for level, (now, then) in enumerate(zip(levels, before, strict=True))
            for kind in self.kinds
        ]
        return AUXILIARY_GAIN * torch.stack(losses).sum()


def unlabelled_kinds(fields: Sequence[Field], auxiliary: int) -> list[int]:
    """Return the kinds, from 1, of a network with so many `auxiliary` ones of which no field says anything."""
    said = {name for field in fields for name in field.complete}
    said |= {name for field in fields for name, boxes in field.auxiliary.items() if len(boxes)}
    return [kind for kind, name in enumerate(AUXILIARY[:auxiliary], start=1) if name not in said]


def _loss(now: Tensor, then: Tensor, detect: Detect, level: int, kind: int) -> Tensor:
    channel, anchors = detect.score_channel(kind), detect.anchors[level]
    said = then[..., channel].sigmoid()
    loss = OBJECTNESS_GAIN * LEVEL_WEIGHTS[level] * F.binary_cross_entropy_with_logits(now[..., channel], said)
    image, anchor, row, column = torch.nonzero(said >= SEEN, as_tuple=True)
    if not len(image):
        return loss
    boxes = decode_boxes(then[image, anchor, row, column, :4], torch.stack((column, row), 1), anchors.float()[anchor])
    ciou_loss, _ = box_loss(now, Matches(image, anchor, row, column, image), boxes, anchors)
    return loss + BOX_GAIN * ciou_loss.mean()
