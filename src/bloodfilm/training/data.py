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

from bloodfilm.cells import Cells, Field
from bloodfilm.detection.letterbox import letterbox
from bloodfilm.io.images import read_image


class Targets(NamedTuple):
    """K cells of a batch: index of the image, boxes (K, 4) in pixels, class codes, attribute codes (K, A)."""

    image: Tensor
    boxes: Tensor
    classes: Tensor
    attributes: Tensor

    def to(self, device: torch.device) -> Targets:
        return Targets(*(tensor.to(device, non_blocking=True) for tensor in self))


Sample = tuple[Tensor, Tensor, Tensor, Tensor]

PAD = 114
MOSAIC_SCALE = 0.7
MAX_SQUEEZE = 0.2
"""Limit of the random change of aspect, as a logarithm."""

MIN_SIDE = 3
MIN_VISIBLE = 0.4
"""Share of a cell that must be left after cropping; less is neither a cell nor background worth learning."""


def collate(samples: Sequence[Sample]) -> tuple[Tensor, Targets]:
    """Join samples to images (B, 3, S, S) uint8 and their targets."""
    images, boxes, classes, attributes = zip(*samples, strict=True)
    index = torch.cat([torch.full((len(b),), i) for i, b in enumerate(boxes)])
    return torch.stack(images), Targets(index, torch.cat(boxes), torch.cat(classes), torch.cat(attributes))


class FieldDataset(Dataset[Sample]):
    """Fields as (image (3, S, S) uint8, boxes, classes, attributes).

    Parameters
    ----------
    fields : sequence of Field
    image_size : int
        Side S of the canvas.
    mosaic : float
        Probability of four fields on one canvas rather than one.
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
        scale: tuple[float, float] = (0.5, 1.4),
        seed: int = 0,
    ) -> None:
        self.fields = fields
        self.image_size = image_size
        self.mosaic = mosaic
        self.scale = scale
        self.seed = seed
        self.epoch = 0
        self._cache: dict[Path, Tensor] = {}

    def __len__(self) -> int:
        return len(self.fields)

    def __getitem__(self, index: int) -> Sample:
        random = np.random.default_rng((self.seed, self.epoch, index))
        if random.random() >= self.mosaic:
            return self._place(index, random, (0, 0, self.image_size, self.image_size))
        return self._mosaic(index, random)

    def _picture(self, index: int) -> Tensor:
        """Return the field with its longer side brought to that of the canvas."""
        path = self.fields[index].path
        if path not in self._cache:
            self._cache[path], _, _ = letterbox(read_image(path), self.image_size, pad_to=1)
        return self._cache[path]

    def _place(
        self, index: int, random: np.random.Generator, window: tuple[int, int, int, int], reduce: float = 1.0
    ) -> Sample:
        """Return a canvas with one field, magnified at random and by `reduce`, at a random place of `window`."""
        image = self._picture(index)
        magnification = reduce * math.exp(random.uniform(*np.log(self.scale)))
        squeeze = math.exp(random.uniform(-MAX_SQUEEZE, MAX_SQUEEZE))
        height = max(round(image.shape[1] * magnification * squeeze), 8)
        width = max(round(image.shape[2] * magnification / squeeze), 8)
        image = TF.resize(image, [height, width], antialias=True)
        x0, y0, x1, y1 = window
        left = _offset(random, width, x1 - x0)
        top = _offset(random, height, y1 - y0)
        canvas = torch.full((3, self.image_size, self.image_size), PAD, dtype=torch.uint8)
        part = image[:, max(-top, 0) : y1 - y0 - top, max(-left, 0) : x1 - x0 - left]
        y, x = y0 + max(top, 0), x0 + max(left, 0)
        canvas[:, y : y + part.shape[1], x : x + part.shape[2]] = part
        field = self.fields[index]
        stretch = np.array([width / field.width, height / field.height] * 2)
        boxes = torch.from_numpy((field.cells.boxes * stretch + [x0 + left, y0 + top] * 2).astype(np.float32))
        return canvas, *_visible(boxes, field.cells, window)

    def _mosaic(self, index: int, random: np.random.Generator) -> Sample:
        side = self.image_size
        x, y = (int(v) for v in random.uniform(0.3 * side, 0.7 * side, 2))
        windows = [(0, 0, x, y), (x, 0, side, y), (0, y, x, side), (x, y, side, side)]
        chosen = [index, *random.integers(len(self.fields), size=3).tolist()]
        parts = [
            self._place(i, random, w, MOSAIC_SCALE)
            for i, w in zip(random.permutation(chosen).tolist(), windows, strict=True)
        ]
        canvas = torch.empty_like(parts[0][0])
        for (image, *_), (x0, y0, x1, y1) in zip(parts, windows, strict=True):
            canvas[:, y0:y1, x0:x1] = image[:, y0:y1, x0:x1]
        return canvas, *(torch.cat(column) for column in list(zip(*parts, strict=True))[1:])  # type: ignore[return-value]


def _visible(boxes: Tensor, cells: Cells, window: tuple[int, int, int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return boxes cut at `window`, classes and attributes of the cells of which enough is left."""
    x0, y0, x1, y1 = window
    low, high = torch.tensor([x0, y0, x0, y0]), torch.tensor([x1, y1, x1, y1])
    shown = boxes.maximum(low).minimum(high)
    kept = (_area(shown) > MIN_VISIBLE * _area(boxes)) & ((shown[:, 2:] - shown[:, :2]).min(1).values > MIN_SIDE)
    codes = torch.from_numpy(cells.codes.astype(np.int64))
    attributes = torch.from_numpy(cells.attributes.astype(np.int64))
    return shown[kept], codes[kept], attributes[kept]


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _offset(random: np.random.Generator, length: int, room: int) -> int:
    """Return where something of `length` begins in `room`: inside if it fits, else covering it."""
    return int(random.integers(min(room - length, 0), max(room - length, 0) + 1))
