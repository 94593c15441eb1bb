"""What training knows of a picture and of a batch: objects, and where there may be more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bloodfilm.cells import Field
from bloodfilm.vocabulary import AUXILIARY, UNKNOWN

WHITE = 0
"""Kind of white cells; red cells and platelets follow in the order of `AUXILIARY`."""


class Labels(NamedTuple):
    """What is known of one picture.

    K objects: boxes (K, 4) in pixels, kinds (K,), and type and attribute codes (K, 1 + A). M regions, (M, 4) and
    the kind of each, in which objects of that kind may lie without a box: nothing is learned there from finding
    none.
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

    def plus(self, image: Tensor, boxes: Tensor, kinds: Tensor) -> Targets:
        """Return these and further objects of which no more is known."""
        codes = self.codes.new_full((len(boxes), self.codes.shape[1]), UNKNOWN)
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
    """Return what `field` says; red cells and platelets that it does not say completely are unknown all over."""
    others = [np.asarray(field.auxiliary.get(name, np.empty((0, 4)))) for name in AUXILIARY]
    kinds = np.repeat(np.arange(1 + len(others)), [len(field.cells), *map(len, others)])
    codes = np.full((len(kinds), 1 + field.cells.attributes.shape[1]), UNKNOWN)
    codes[: len(field.cells)] = np.column_stack((field.cells.codes, field.cells.attributes))
    open_kinds = [kind for kind, name in enumerate(AUXILIARY, start=1) if name not in field.complete]
    everywhere = [[0, 0, field.width, field.height]] * len(open_kinds)
    return Labels(
        torch.from_numpy(np.concatenate((field.cells.boxes, *others)).astype(np.float32)),
        torch.from_numpy(kinds),
        torch.from_numpy(codes.astype(np.int64)),
        torch.tensor([*field.ignored.tolist(), *everywhere], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([WHITE] * len(field.ignored) + open_kinds, dtype=torch.int64),
    )


def forget(labels: Labels, rows: Tensor) -> Labels:
    """Turn the objects that the mask `rows` chooses into regions where it is unknown what is there."""
    return Labels(
        labels.boxes[~rows],
        labels.kinds[~rows],
        labels.codes[~rows],
        torch.cat((labels.unknown, labels.boxes[rows])),
        torch.cat((labels.unknown_kinds, labels.kinds[rows])),
    )


def join(parts: Sequence[Labels]) -> Labels:
    """Return all of `parts` as one."""
    return Labels(*map(torch.cat, zip(*parts, strict=True)))
