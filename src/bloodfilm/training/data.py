"""Fields as training pictures: cached, placed on a canvas of fixed size, alone or four together (mosaic)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torchvision.transforms.v2.functional as TF
from torch import Tensor
from torch.utils.data import Dataset

from bloodfilm.cells import Field
from bloodfilm.detection.letterbox import letterbox
from bloodfilm.io.images import read_image
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

    def to(self, device: torch.device) -> Targets:
        return Targets(*(tensor.to(device, non_blocking=True) for tensor in self))


Sample = tuple[Tensor, Labels]

PAD = 114
MOSAIC_SCALE = 0.7
MAX_SQUEEZE = (0.5, 1.3)
"""Limits of the random change of aspect, width over height: some cameras' pictures come squeezed."""

MIN_SIDE = 3
MIN_CELL = 12
"""Fields are not reduced so far that a typical white cell gets smaller than this."""

MIN_VISIBLE = 0.4
"""Share of an object that must be left after cropping to be one; with less it is unknown what is there."""


def collate(samples: Sequence[Sample]) -> tuple[Tensor, Targets]:
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


class Window(NamedTuple):
    """A rectangle of the canvas."""

    x0: int
    y0: int
    x1: int
    y1: int


class FieldDataset(Dataset[Sample]):
    """Fields as (image (3, S, S) uint8, labels).

    Parameters
    ----------
    fields : sequence of Field
    image_size : int
        Side S of the canvas.
    mosaic : float
        Probability of four fields on one canvas rather than one.
    mirrored : float
        Probability that a field smaller than its place goes on there as in a mirror: many small cells, and
        no edge. Otherwise grey surrounds it.
    scale : (float, float)
        Limits of the random magnification of a single field, and of each part of a mosaic.
    seed : int
        Samples depend on seed, epoch and position only.
    """

    def __init__(
        self,
        fields: Sequence[Field],
        image_size: int,
        mosaic: float = 0.5,
        mirrored: float = 0.7,
        scale: tuple[float, float] = (0.25, 1.4),
        seed: int = 0,
    ) -> None:
        self.fields = fields
        self.image_size = image_size
        self.mosaic = mosaic
        self.mirrored = mirrored
        self.scale = scale
        self.seed = seed
        self.epoch = 0
        self._cache: dict[Path, Tensor] = {}

    def __len__(self) -> int:
        return len(self.fields)

    def __getitem__(self, index: int) -> Sample:
        random = np.random.default_rng((self.seed, self.epoch, index))
        if random.random() >= self.mosaic:
            return self._place(index, random, Window(0, 0, self.image_size, self.image_size))
        return self._mosaic(index, random)

    def _picture(self, index: int) -> Tensor:
        """Return the field with its longer side brought to that of the canvas."""
        path = self.fields[index].path
        if path not in self._cache:
            self._cache[path], _, _ = letterbox(read_image(path), self.image_size, pad_to=1)
        return self._cache[path]

    def _cell_side(self, index: int) -> float:
        """Return the median side of the field's white cells where its longer side is that of the canvas."""
        field = self.fields[index]
        sides = (field.cells.boxes[:, 2:] - field.cells.boxes[:, :2]).min(1)
        factor = self.image_size / max(field.width, field.height)
        return float(np.median(sides)) * factor if len(sides) else math.inf

    def _place(self, index: int, random: np.random.Generator, window: Window, reduce: float = 1.0) -> Sample:
        """Return what fills `window`: one field, magnified at random and by `reduce`, at a random place."""
        image, field = self._picture(index), self.fields[index]
        lowest = min(max(self.scale[0], MIN_CELL / (reduce * self._cell_side(index))), self.scale[1])
        magnification = reduce * math.exp(random.uniform(*np.log((lowest, self.scale[1]))))
        squeeze = math.exp(random.uniform(*np.log(MAX_SQUEEZE)) / 2)
        height = max(round(image.shape[1] * magnification / squeeze), 8)
        width = max(round(image.shape[2] * magnification * squeeze), 8)
        image = TF.resize(image, [height, width], antialias=True)
        mirrored = random.random() < self.mirrored
        across = _Axis(random, width, window.x1 - window.x0, mirrored)
        down = _Axis(random, height, window.y1 - window.y0, mirrored)
        image = image[:, down.pixels][:, :, across.pixels]
        image[:, ~down.inside] = PAD
        image[:, :, ~across.inside] = PAD
        stretch = torch.tensor([width / field.width, height / field.height] * 2)
        labels = labels_of(field)
        labels = labels._replace(boxes=labels.boxes * stretch, unknown=labels.unknown * stretch)
        copies = [_copy(labels, across, x, down, y) for x in across.copies for y in down.copies]
        return image, _visible(_join(copies), (len(across.pixels), len(down.pixels)))

    def _mosaic(self, index: int, random: np.random.Generator) -> Sample:
        side = self.image_size
        x, y = (int(v) for v in random.uniform(0.3 * side, 0.7 * side, 2))
        windows = [Window(0, 0, x, y), Window(x, 0, side, y), Window(0, y, x, side), Window(x, y, side, side)]
        chosen = random.permutation([index, *random.integers(len(self.fields), size=3)]).tolist()
        canvas = torch.empty((3, side, side), dtype=torch.uint8)
        labels = []
        for field, window in zip(chosen, windows, strict=True):
            image, part = self._place(field, random, window, MOSAIC_SCALE)
            canvas[:, window.y0 : window.y1, window.x0 : window.x1] = image
            corner = torch.tensor([window.x0, window.y0] * 2)
            labels.append(part._replace(boxes=part.boxes + corner, unknown=part.unknown + corner))
        return canvas, _join(labels)


class _Axis:
    """Where the pixels of one axis of a window come from: a picture of `length`, once or mirrored on and on."""

    def __init__(self, random: np.random.Generator, length: int, room: int, mirrored: bool) -> None:
        free = room - length
        self.length, self.start = length, int(random.integers(min(free, 0), max(free, 0) + 1))
        place = torch.arange(room) - self.start
        self.inside = ((place >= 0) & (place < length)) | mirrored
        place = place % (2 * length)
        self.pixels = torch.minimum(place, 2 * length - 1 - place)
        self.copies = range(-self.start // length, (room - 1 - self.start) // length + 1) if mirrored else range(1)
        self.mirrored = mirrored

    def move(self, low: Tensor, high: Tensor, copy: int) -> tuple[Tensor, Tensor]:
        """Return where an interval of the picture lies in its `copy`; odd ones are mirror images."""
        if copy % 2:
            low, high = self.length - high, self.length - low
        offset = self.start + copy * self.length
        return low + offset, high + offset

    def cut(self, low: Tensor, high: Tensor) -> Tensor:
        """Tell which intervals touch an edge at which the picture is mirrored."""
        return ((low < 1) | (high > self.length - 1)) & self.mirrored


def _copy(labels: Labels, across: _Axis, x: int, down: _Axis, y: int) -> Labels:
    """Return `labels` in one copy of the picture; an object cut by a mirrored edge is nothing that exists."""

    def move(boxes: Tensor) -> Tensor:
        x0, x1 = across.move(boxes[:, 0], boxes[:, 2], x)
        y0, y1 = down.move(boxes[:, 1], boxes[:, 3], y)
        return torch.stack((x0, y0, x1, y1), 1)

    b = labels.boxes
    cut = across.cut(b[:, 0], b[:, 2]) | down.cut(b[:, 1], b[:, 3])
    moved = labels._replace(boxes=move(b), unknown=move(labels.unknown))
    return _forget(moved, cut)


def _forget(labels: Labels, rows: Tensor) -> Labels:
    """Turn the objects that the mask `rows` chooses into regions where it is unknown what is there."""
    return Labels(
        labels.boxes[~rows],
        labels.kinds[~rows],
        labels.codes[~rows],
        torch.cat((labels.unknown, labels.boxes[rows])),
        torch.cat((labels.unknown_kinds, labels.kinds[rows])),
    )


def _visible(labels: Labels, size: tuple[int, int]) -> Labels:
    """Return `labels` cut at the edge of a window; objects of which too little is left become unknown."""
    limit = torch.tensor([*size, *size], dtype=torch.float32)
    boxes, unknown = (part.minimum(limit).clamp(min=0) for part in (labels.boxes, labels.unknown))
    enough = (_area(boxes) > MIN_VISIBLE * _area(labels.boxes)) & (_sides(boxes) > MIN_SIDE)
    labels = _forget(labels._replace(boxes=boxes, unknown=unknown), ~enough)
    shown = _sides(labels.unknown) > 0
    return labels._replace(unknown=labels.unknown[shown], unknown_kinds=labels.unknown_kinds[shown])


def _join(parts: Sequence[Labels]) -> Labels:
    return Labels(*map(torch.cat, zip(*parts, strict=True)))


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _sides(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).amin(1)
