"""Fields as training pictures: cached, placed on a canvas of fixed size, alone or four together (mosaic)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torchvision.transforms.v2.functional as TF
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.ops import box_area

from bloodfilm.cells import Field
from bloodfilm.detection.letterbox import fit, resize
from bloodfilm.io.images import RGB, read_image
from bloodfilm.training.labels import Labels, forget, join, labels_of
from bloodfilm.training.paste import Cutouts, paste
from bloodfilm.training.surround import surround

Sample = tuple[Tensor, Labels]

PAD = 114
MOSAIC_SCALE = 0.7
PASTED = 0.3
"""Probability that cells are pasted on a field."""

SURROUNDED = 0.1
"""Probability that a picture shows the edge of an eyepiece."""

MAX_SQUEEZE = (0.5, 1.3)
"""Limits of the random change of aspect, width over height: some cameras' pictures come squeezed."""

MIN_SIDE = 3
MIN_CELL = 12
"""Fields are not reduced so far that a typical white cell gets smaller than this."""

MIN_VISIBLE = 0.4
"""Share of an object that must be left after cropping to be one; with less it is unknown what is there."""


def read_field(field: Field) -> RGB:
    return read_image(field.path)


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
    cutouts : Cutouts, optional
        Cells to paste on fields, where `PASTED` says so.
    labels, read : callable
        What is learned from a field, and its picture.
    """

    def __init__(
        self,
        fields: Sequence[Field],
        image_size: int,
        mosaic: float = 0.5,
        mirrored: float = 0.0,
        scale: tuple[float, float] = (0.5, 1.4),
        seed: int = 0,
        cutouts: Cutouts | None = None,
        labels: Callable[[Field], Labels] = labels_of,
        read: Callable[[Field], RGB] = read_field,
    ) -> None:
        self.read = read
        self.labels = labels
        self.fields = fields
        self.image_size = image_size
        self.mosaic = mosaic
        self.mirrored = mirrored
        self.cutouts = cutouts
        self.scale = scale
        self.seed = seed
        self.epoch = 0
        self._cache: dict[Path, Tensor] = {}

    def __len__(self) -> int:
        return len(self.fields)

    def __getitem__(self, index: int) -> Sample:
        random = np.random.default_rng((self.seed, self.epoch, index))
        alone = Window(0, 0, self.image_size, self.image_size)
        sample = self._mosaic(index, random) if random.random() < self.mosaic else self._place(index, random, alone)
        return surround(*sample, random) if random.random() < SURROUNDED else sample

    def _picture(self, index: int) -> Tensor:
        """Return the field with its longer side brought to that of the canvas."""
        path = self.fields[index].path
        if path not in self._cache:
            picture = self.read(self.fields[index])
            self._cache[path] = resize(picture, fit(picture.shape, self.image_size), pad_to=1)
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
        labels = self.labels(field)
        labels = labels._replace(boxes=labels.boxes * stretch, unknown=labels.unknown * stretch)
        copies = [_copy(labels, across, x, down, y) for x in across.copies for y in down.copies]
        labels = _visible(join(copies), (len(across.pixels), len(down.pixels)))
        if self.cutouts and random.random() < PASTED:
            return paste(image, labels, self.cutouts, random, squeeze**2)
        return image, labels

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
        return canvas, join(labels)


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
    return forget(moved, cut)


def _visible(labels: Labels, size: tuple[int, int]) -> Labels:
    """Return `labels` cut at the edge of a window; objects of which too little is left become unknown."""
    limit = torch.tensor([*size, *size], dtype=torch.float32)
    boxes, unknown = (part.minimum(limit).clamp(min=0) for part in (labels.boxes, labels.unknown))
    enough = (box_area(boxes) > MIN_VISIBLE * box_area(labels.boxes)) & (_sides(boxes) > MIN_SIDE)
    labels = forget(labels._replace(boxes=boxes, unknown=unknown), ~enough)
    shown = _sides(labels.unknown) > 0
    return labels._replace(unknown=labels.unknown[shown], unknown_kinds=labels.unknown_kinds[shown])


def _sides(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).amin(1)
