"""What a teacher finds on unlabelled pictures as labels, and its surest parts on labelled pictures."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bloodfilm.training.labels import WHITE, Targets
from bloodfilm.vocabulary import UNKNOWN

FREE = 50
"""Kind of a region where only the teacher says what is there; no loss knows it."""


class Guesses(NamedTuple):
    """K cells that a teacher found on a batch: index of the image, boxes (K, 4), scores."""

    image: Tensor
    boxes: Tensor
    scores: Tensor

    def where(self, chosen: Tensor) -> Guesses:
        return Guesses(*(column[chosen] for column in self))

    def inside(self, targets: Targets) -> Guesses:
        """Return those whose middle lies in a region of the kind `FREE`."""
        free = targets.unknown_kinds == FREE
        middle = (self.boxes[:, :2] + self.boxes[:, 2:]) / 2
        regions = targets.unknown[free]
        within = ((middle[:, None] >= regions[:, :2]) & (middle[:, None] < regions[:, 2:])).all(2)
        return self.where((within & (self.image[:, None] == targets.unknown_image[free])).any(1))


def with_guesses(targets: Targets, found: Guesses, sure: float) -> Targets:
    """Return `targets` with the cells `found`: those with a score of `sure` are labels, it is unknown if others are."""
    labels, rest = found.where(found.scores >= sure), found.where(found.scores < sure)
    kinds, types = torch.full_like(labels.image, WHITE), torch.full_like(labels.image, UNKNOWN)
    return targets.plus(labels.image, labels.boxes, kinds, types)._replace(
        unknown_image=torch.cat((targets.unknown_image, rest.image)),
        unknown=torch.cat((targets.unknown, rest.boxes)),
        unknown_kinds=torch.cat((targets.unknown_kinds, torch.full_like(rest.image, WHITE))),
    )


def mix(images: Tensor, targets: Targets, found: Guesses) -> tuple[Tensor, Targets]:
    """Put, on every second labelled image, the quarter of an unlabelled one of which the teacher is surest.

    ConfMix (Mattolin, Zanella, Ricci and Wang, WACV 2023): the quarter has the highest mean score. Objects of both that
    the edge cuts become unknown.

    Parameters
    ----------
    images : (B, 3, S, S)
    targets : Targets
        With the guesses in them.
    found : Guesses
        What tells how sure the teacher is.
    """
    side = images.shape[3]
    free = _unlabelled(targets, len(images), side)
    to, of = torch.nonzero(~free)[::2, 0], torch.nonzero(free)[:, 0]
    if not len(to) or not len(of):
        return images, targets
    of = of[torch.arange(len(to), device=of.device) % len(of)]
    quarter = _surest(found, len(images), side)[of]
    half = side // 2
    left, top = (quarter % 2) * half, (quarter // 2) * half
    corners = torch.stack((left, top, left + half, top + half), 1).float()
    place = torch.arange(side, device=images.device)
    across = (place >= left[:, None]) & (place < left[:, None] + half)
    down = (place >= top[:, None]) & (place < top[:, None] + half)
    mask = (down[:, :, None] & across[:, None])[:, None]
    mixed = images.index_copy(0, to, torch.where(mask, images[of], images[to]))
    return mixed, _mixed(targets, to, of, corners)


def _unlabelled(targets: Targets, count: int, side: int) -> Tensor:
    """Tell which images (B,) are to more than half unlabelled."""
    free = targets.unknown_kinds == FREE
    area = (targets.unknown[free][:, 2:] - targets.unknown[free][:, :2]).prod(1)
    return torch.zeros(count, device=area.device).index_add(0, targets.unknown_image[free], area) > side * side / 2


def _surest(found: Guesses, count: int, side: int) -> Tensor:
    """Return the quarter (B,), 0 to 3 row by row, with the highest mean score on each image."""
    middle = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    column, row = (middle >= side / 2).long().unbind(1)
    place = found.image * 4 + row * 2 + column
    total = torch.zeros(count * 4, device=middle.device).index_add(0, place, found.scores.float())
    number = torch.zeros_like(total).index_add(0, place, torch.ones_like(found.scores, dtype=total.dtype))
    return (total / number.clamp(min=1)).view(count, 4).argmax(1)


def _mixed(targets: Targets, to: Tensor, of: Tensor, corners: Tensor) -> Targets:
    """Return `targets` where on the images `to` the rectangles `corners` show those of the images `of`."""
    row, image, boxes = _copies(targets.image, targets.boxes, to, of, corners)
    hidden, cut = _covered(targets.image, targets.boxes, to, corners)
    partly = (boxes != targets.boxes[row]).any(1)
    kept = torch.nonzero(~hidden & ~cut)[:, 0]
    whole = torch.cat((kept, row[~partly]))
    region, region_image, regions = _copies(targets.unknown_image, targets.unknown, to, of, corners)
    kinds = (targets.unknown_kinds, targets.unknown_kinds[region], targets.kinds[cut], targets.kinds[row[partly]])
    return Targets(
        torch.cat((targets.image[kept], image[~partly])),
        torch.cat((targets.boxes[kept], boxes[~partly])),
        targets.kinds[whole],
        targets.codes[whole],
        torch.cat((targets.unknown_image, region_image, targets.image[cut], image[partly])),
        torch.cat((targets.unknown, regions, targets.boxes[cut], boxes[partly])),
        torch.cat(kinds),
    )


def _copies(image: Tensor, boxes: Tensor, to: Tensor, of: Tensor, corners: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what of `boxes` goes with the rectangles: the row of each, its new image, and itself cut at the edge."""
    place, row = torch.nonzero(image == of[:, None], as_tuple=True)
    low = torch.maximum(boxes[row, :2], corners[place, :2])
    high = torch.minimum(boxes[row, 2:], corners[place, 2:])
    there = (low < high).all(1)
    return row[there], to[place][there], torch.cat((low, high), 1)[there]


def _covered(image: Tensor, boxes: Tensor, to: Tensor, corners: Tensor) -> tuple[Tensor, Tensor]:
    """Tell which boxes lie with their middle under a rectangle, and which others touch it."""
    place, row = torch.nonzero(image == to[:, None], as_tuple=True)
    middle, rectangle = (boxes[row, :2] + boxes[row, 2:]) / 2, corners[place]
    reach = ((boxes[row, :2] < rectangle[:, 2:]) & (boxes[row, 2:] > rectangle[:, :2])).all(1)
    under = ((middle >= rectangle[:, :2]) & (middle < rectangle[:, 2:])).all(1)
    hidden, cut = torch.zeros((2, len(image)), dtype=torch.bool, device=image.device)
    hidden[row], cut[row] = under, reach & ~under
    return hidden, cut
