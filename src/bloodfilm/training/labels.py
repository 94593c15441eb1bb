"""What training knows of a picture and of a batch: objects, and where there may be more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bloodfilm.cells import Field
from bloodfilm.review.states import kept
from bloodfilm.training.regions import Boxes, end_on_border, outside_of_regions
from bloodfilm.vocabulary import AUXILIARY, UNKNOWN

WHITE = 0
"""Kind of white cells; red cells and platelets follow in the order of `AUXILIARY`."""

ANY = -1
"""Kind of a region where nobody looked for anything."""

SETTLED = 51
"""Kind of a region where nothing is guessed, too; no loss knows it."""

HIDDEN = 100
"""Added to the kind of what is known but not to be learned from: truth to measure by."""

BORDER = 0.25
"""Width of a region's border in sides of a usual object."""


class Labels(NamedTuple):
    """What is known of one picture.

    K objects: boxes (K, 4) in pixels, kinds (K,), and type and attribute codes (K, 1 + A). M regions, (M, 4) and
    the kind of each, or `ANY`, in which objects of that kind may lie without a box: nothing is learned there from
    finding none.
    """

    boxes: Tensor
    kinds: Tensor
    codes: Tensor
    unknown: Tensor
    unknown_kinds: Tensor


class Targets(NamedTuple):
    """`Labels` of a batch, with the index of the image of each object and each region."""

    image: Tensor
    boxes: Tensor
    kinds: Tensor
    codes: Tensor
    unknown_image: Tensor
    unknown: Tensor
    unknown_kinds: Tensor

    def of(self, images: Tensor) -> Targets:
        """Return what is known of some images, chosen by their rising indices, and numbered anew."""
        mine, theirs = torch.isin(self.image, images), torch.isin(self.unknown_image, images)
        objects = (torch.searchsorted(images, self.image[mine]), *(part[mine] for part in self[1:4]))
        regions = (torch.searchsorted(images, self.unknown_image[theirs]), *(part[theirs] for part in self[5:]))
        return Targets(*objects, *regions)

    def plus(self, image: Tensor, boxes: Tensor, kinds: Tensor, types: Tensor) -> Targets:
        """Return these and further objects of which no more is known."""
        codes = self.codes.new_full((len(boxes), self.codes.shape[1]), UNKNOWN)
        codes[:, 0] = types
        return self._replace(
            image=torch.cat((self.image, image)),
            boxes=torch.cat((self.boxes, boxes)),
            kinds=torch.cat((self.kinds, kinds)),
            codes=torch.cat((self.codes, codes)),
        )

    def to(self, device: torch.device) -> Targets:
        return Targets(*(tensor.to(device, non_blocking=True) for tensor in self))


def collate(samples: Sequence[tuple[Tensor, Labels]]) -> tuple[Tensor, Targets]:
    """Join samples to images (B, 3, S, S) uint8 and their targets."""
    images, labels = zip(*samples, strict=True)
    boxes, kinds, codes, unknown, unknown_kinds = zip(*labels, strict=True)

    def index(parts: tuple[Tensor, ...]) -> Tensor:
        return torch.cat([torch.full((len(part),), i) for i, part in enumerate(parts)])

    columns = (index(boxes), *map(torch.cat, (boxes, kinds, codes)))
    regions = (index(unknown), *map(torch.cat, (unknown, unknown_kinds)))
    return torch.stack(images), Targets(*columns, *regions)


def labels_of(field: Field) -> Labels:
    """Return what `field` says; red cells and platelets that it does not say completely are unknown all over.

    Outside of its labelled regions everything is unknown, and for each kind so is a border inside of them: objects
    with their middle near the edge may have been labelled or not. Labelled objects that end on the edge, perhaps cut
    there, are unknown, too. Cells that a reviewer rejected are none.
    """
    cells = kept(field.cells)
    others = [np.asarray(field.auxiliary.get(name, np.empty((0, 4)))) for name in AUXILIARY]
    kinds = np.repeat(np.arange(1 + len(others)), [len(cells), *map(len, others)])
    codes = np.full((len(kinds), 1 + cells.attributes.shape[1]), UNKNOWN)
    codes[: len(cells)] = np.column_stack((cells.codes, cells.attributes))
    open_kinds = [kind for kind, name in enumerate(AUXILIARY, start=1) if name not in field.complete]
    everywhere = [[0, 0, field.width, field.height]] * len(open_kinds)
    boxes = np.concatenate((cells.boxes, *others)).astype(np.float32)
    unknown, unknown_kinds = _unlabelled(field, boxes, kinds)
    labels = Labels(
        torch.from_numpy(boxes),
        torch.from_numpy(kinds),
        torch.from_numpy(codes.astype(np.int64)),
        torch.tensor([*field.ignored.tolist(), *everywhere, *unknown], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([WHITE] * len(field.ignored) + open_kinds + unknown_kinds, dtype=torch.int64),
    )
    return forget(labels, torch.from_numpy(end_on_border(field, boxes))) if unknown else labels


def _unlabelled(field: Field, boxes: Boxes, kinds: npt.NDArray[np.int_]) -> tuple[list[list[float]], list[int]]:
    """Return where nobody looked for anything, and with its border for each kind; and the kinds of both."""
    outside = outside_of_regions(field)
    unknown, unknown_kinds = outside.tolist(), [ANY] * len(outside)
    sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1))
    for kind in range(1 + len(AUXILIARY)):
        own = sides[kinds == kind] if (kinds == kind).any() else sides
        border = BORDER * float(np.median(own)) if len(own) else 0.0
        unknown += (outside + np.array([-border, -border, border, border])).tolist()
        unknown_kinds += [kind] * len(outside)
    return unknown, unknown_kinds


def forget(labels: Labels, rows: Tensor) -> Labels:
    """Turn the objects that the mask `rows` chooses into regions where it is unknown what is there."""
    return Labels(
        labels.boxes[~rows],
        labels.kinds[~rows],
        labels.codes[~rows],
        torch.cat((labels.unknown, labels.boxes[rows])),
        torch.cat((labels.unknown_kinds, labels.kinds[rows])),
    )


def settle(labels: Labels, side: int) -> Labels:
    """Let nothing be guessed on a canvas of this side."""
    whole, kind = torch.tensor([[0.0, 0.0, side, side]]), torch.tensor([SETTLED])
    return labels._replace(
        unknown=torch.cat((labels.unknown, whole)), unknown_kinds=torch.cat((labels.unknown_kinds, kind))
    )


def join(parts: Sequence[Labels]) -> Labels:
    """Return all of `parts` as one."""
    return Labels(*map(torch.cat, zip(*parts, strict=True)))
