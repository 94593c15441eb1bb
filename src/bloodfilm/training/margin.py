"""A training picture as a search shows it: with its mirror image around it."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import box_area

from bloodfilm.detection.letterbox import pad
from bloodfilm.training.labels import Labels, forget, join
from bloodfilm.training.window import visible
from bloodfilm.vocabulary import UNKNOWN

HALVES = (0.25, 0.75)
"""Share that must be left of an object to be one with its mirror image, and from which on it is two with it."""


def with_margin(image: Tensor, labels: Labels, margin: int) -> tuple[Tensor, Labels]:
    """Return a square picture (3, S, S) of which so many pixels on each side are a mirror image of the others.

    Two halves of a cell that is cut there are one object, of no known type.
    """
    side = image.shape[-1]
    low, high = margin, side - margin
    image = pad(image[:, low:high, low:high], margin)[:, :side, :side]
    boxes, unknown = (part.clamp(low, high) for part in (labels.boxes, labels.unknown))
    share = box_area(boxes) / box_area(labels.boxes)
    labels = forget(labels._replace(boxes=boxes, unknown=unknown), share < HALVES[0])
    halved = share[share >= HALVES[0]] < HALVES[1]
    labels = labels._replace(codes=labels.codes.masked_fill(halved[:, None], UNKNOWN))
    for axis in (0, 1):
        near, far = labels.boxes[:, axis], labels.boxes[:, axis + 2]
        at_low, at_high = halved & (near <= low), halved & (far >= high)
        boxes = labels.boxes.clone()
        boxes[at_low, axis] = 2 * low - far[at_low]
        boxes[at_high, axis + 2] = 2 * high - near[at_high]
        labels = labels._replace(boxes=boxes)
        copies = [_mirrored(labels, ~at_low, axis, low), _mirrored(labels, ~at_high, axis, high)]
        labels = join([labels, *copies])
        halved = torch.cat((halved, halved[~at_low], halved[~at_high]))
    return image, visible(labels, (side, side))


def _mirrored(labels: Labels, rows: Tensor, axis: int, edge: int) -> Labels:
    """Return `rows` of the objects, and all else, mirrored at x = `edge`, or at y for the axis 1."""

    def flip(boxes: Tensor) -> Tensor:
        flipped = boxes.clone()
        flipped[:, [axis, axis + 2]] = 2 * edge - boxes[:, [axis + 2, axis]]
        return flipped

    boxes, kinds, codes = (part[rows] for part in labels[:3])
    return Labels(flip(boxes), kinds, codes, flip(labels.unknown), labels.unknown_kinds)
