"""Pseudo-labels: what a network finds where nobody looked, and how sure one may be of it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms, box_iou

from bloodfilm.nets.yolo import Features, YOLOv5
from bloodfilm.training.losses import Known

MOST = 200
"""Candidates of a picture, before they are thinned."""


class Candidates(NamedTuple):
    """K objects that a network finds: index of the picture, kind, box (K, 4), scores of all kinds (K, kinds) there."""

    image: Tensor
    kinds: Tensor
    boxes: Tensor
    all_scores: Tensor

    @property
    def scores(self) -> Tensor:
        return self.all_scores.gather(1, self.kinds[:, None])[:, 0]

    def where(self, chosen: Tensor) -> Candidates:
        """Return those that a mask or row numbers choose."""
        return Candidates(*(column[chosen] for column in self))


def find_candidates(features: Features, detector: YOLOv5, lowest: float, max_overlap: float) -> Candidates:
    """Return what scores at least `lowest`, thinned so that boxes of a kind overlap by `max_overlap` at most."""
    boxes, objectness, _, auxiliary = detector.decode(features.levels)
    scores = torch.cat((objectness[..., None], auxiliary), 2).sigmoid()
    kinds = scores.shape[2]
    best, place = scores.flatten(1).topk(MOST, 1)
    image, rank = torch.nonzero(best >= lowest, as_tuple=True)
    place, kind = place[image, rank] // kinds, place[image, rank] % kinds
    found = Candidates(image, kind, boxes[image, place], scores[image, place])
    return found.where(batched_nms(found.boxes, found.scores, image * kinds + kind, max_overlap))


def overlaps(image: Tensor, boxes: Tensor, other_image: Tensor, others: Tensor) -> Tensor:
    """Return the IoU (K, L) of boxes with others, 0 between different pictures."""
    iou: Tensor = box_iou(boxes, others) * (image[:, None] == other_image)
    return iou


def best_overlap(found: Candidates, image: Tensor, boxes: Tensor, kinds: Tensor) -> Tensor:
    """Return the largest IoU (K,) with an object of the same kind, 0 where there is none."""
    iou = overlaps(found.image, found.boxes, image, boxes) * (found.kinds[:, None] == kinds)
    return torch.cat((iou, iou.new_zeros(len(iou), 1)), 1).amax(1)


def places(found: Candidates, level: Known, stride: int) -> tuple[Tensor, Tensor]:
    """Tell if nobody looked at the middle of each candidate, and if it is certain what is there."""
    middle = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2 / stride
    column = middle[:, 0].long().clamp(0, level.looked.shape[2] - 1)
    row = middle[:, 1].long().clamp(0, level.looked.shape[1] - 1)
    certain = level.certain[found.image, found.kinds, row, column] > 0
    return ~level.looked[found.image, row, column], certain


def entropy(scores: Tensor) -> Tensor:
    """Return how undecided each row (K, C) is, from 0 to 1: Shannon's entropy over ln C; 0 with one class."""
    shares = scores / scores.sum(1, keepdim=True)
    most = torch.tensor(float(max(shares.shape[1], 2)), device=shares.device).log()
    undecided: Tensor = torch.special.entr(shares).sum(1) / most
    return undecided


class Sureness(nn.Module):
    """How often candidates with a value were right where that is known, remembered over the last steps.

    Values go from 0 to 1, in `BINS` bins for each kind.
    """

    BINS, MEMORY, ENOUGH = 50, 0.99, 10.0
    right: Tensor
    count: Tensor

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.register_buffer("right", torch.zeros(kinds, self.BINS))
        self.register_buffer("count", torch.zeros(kinds, self.BINS))

    def learn(self, kinds: Tensor, values: Tensor, right: Tensor) -> None:
        place = (kinds, (values * self.BINS).long().clamp(0, self.BINS - 1))
        self.right.mul_(self.MEMORY).index_put_(place, right.float(), accumulate=True)
        self.count.mul_(self.MEMORY).index_put_(place, torch.ones_like(values), accumulate=True)

    def threshold(self, precision: float) -> Tensor:
        """Return for each kind the lowest value from which on so large a share was right, 2 if there is none."""
        right, count = (counts.flip(1).cumsum(1).flip(1) for counts in (self.right, self.count))
        good = (right >= precision * count) & (count >= self.ENOUGH)
        return torch.where(good.any(1), good.int().argmax(1) / self.BINS, 2.0)
