"""Fields as training pictures: cached, placed on a canvas of fixed size, alone or four together (mosaic)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torchvision.transforms.v2.functional as TF
from torch import Tensor
from torch.utils.data import Dataset

from bloodfilm.cells import Field
from bloodfilm.detection.letterbox import fit, resize
from bloodfilm.io.images import RGB, read_image
from bloodfilm.training.labels import Labels, join, labels_of, settle
from bloodfilm.training.paste import Cutouts, paste
from bloodfilm.training.rarity import rarity
from bloodfilm.training.regions import labelled, views
from bloodfilm.training.scale import usual_sides
from bloodfilm.training.surround import surround
from bloodfilm.training.window import Axis, Window, copy_of, visible

Sample = tuple[Tensor, Labels]

PAD = 114
PASTED = 0.3
"""Probability that cells are pasted on a field."""

SURROUNDED = 0.1
"""Probability that a picture shows the edge of an eyepiece."""

MAX_SQUEEZE = (0.5, 1.3)
"""Limits of the random change of aspect, width over height: some cameras' pictures come squeezed."""

MOST_ACROSS = 4
"""Labelled regions side by side in a collage, at most."""

MIN_CELL = 12
"""Fields are not reduced so far that a typical white cell gets smaller than this."""


def read_field(field: Field) -> RGB:
    return read_image(field.path)


def mosaic_scale(red_cells: float | None) -> float:
    """Return how much four fields on one canvas are reduced: not at all if their `red_cells` are to have one side."""
    return 1.0 if red_cells else 0.7


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
    collage : float
        Probability of a canvas full of labelled regions, if there are fields labelled in part: as many of them as
        it takes, those with something rare more often (`rarity`).
    red_cells : float, optional
        Side of red cells, in pixels of the canvas, that fields are brought to before `scale`, as far as labels tell
        (`usual_sides`). Otherwise it is their own longer side that is brought to that of the canvas.
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
        collage: float = 0.0,
        red_cells: float | None = None,
    ) -> None:
        self.read = read
        self.labels = labels
        self.fields = fields
        self.image_size = image_size
        self.mosaic = mosaic
        self.mirrored = mirrored
        self.collage = collage
        sparse = any(field.is_labelled_in_part and len(labelled(field)) for field in fields)
        self.chances = rarity(fields) if sparse else None
        self.cutouts = cutouts
        self.scale = scale
        self.seed = seed
        self.epoch = 0
        self.mosaic_scale = mosaic_scale(red_cells)
        self.sides = usual_sides(fields, image_size, red_cells)
        self._cache: dict[Path, Tensor] = {}

    def __len__(self) -> int:
        return len(self.fields)

    def __getitem__(self, index: int) -> Sample:
        random = np.random.default_rng((self.seed, self.epoch, index))
        alone = Window(0, 0, self.image_size, self.image_size)
        if self.chances is not None and random.random() < self.collage:
            sample = self._collage(random)
        elif random.random() < self.mosaic:
            sample = self._mosaic(index, random)
        else:
            sample = self._place(index, random, alone)
        return surround(*sample, random) if random.random() < SURROUNDED else sample

    def _picture(self, index: int) -> Tensor:
        """Return the field at its usual size, or as it is if that is smaller."""
        path = self.fields[index].path
        if path not in self._cache:
            picture = self.read(self.fields[index])
            side = min(self.sides[index], max(picture.shape))
            self._cache[path] = resize(picture, fit(picture.shape, side), pad_to=1)
        return self._cache[path]

    def _cell_side(self, index: int) -> float:
        """Return the median side of the field's white cells at its usual size."""
        field = self.fields[index]
        sides = (field.cells.boxes[:, 2:] - field.cells.boxes[:, :2]).min(1)
        factor = self.sides[index] / max(field.width, field.height)
        return float(np.median(sides)) * factor if len(sides) else math.inf

    def _place(
        self, index: int, random: np.random.Generator, window: Window, reduce: float = 1.0, aimed: bool = False
    ) -> Sample:
        """Return what fills `window`: one field, magnified at random and by `reduce`, at a random place.

        If `aimed`, one of its labelled regions is in view.
        """
        image, field = self._picture(index), self.fields[index]
        lowest = min(max(self.scale[0], MIN_CELL / (reduce * self._cell_side(index))), self.scale[1])
        magnification = reduce * math.exp(random.uniform(*np.log((lowest, self.scale[1]))))
        magnification *= self.sides[index] / max(image.shape)
        squeeze = math.exp(random.uniform(*np.log(MAX_SQUEEZE)) / 2)
        height = max(round(image.shape[1] * magnification / squeeze), 8)
        width = max(round(image.shape[2] * magnification * squeeze), 8)
        image = TF.resize(image, [height, width], antialias=True)
        mirrored = random.random() < self.mirrored
        stretch = torch.tensor([width / field.width, height / field.height] * 2)
        left, top, right, bottom = random.choice(views(field)) * stretch.numpy() if aimed else (0, 0, width, height)
        across = Axis(random, width, window.x1 - window.x0, mirrored, (left, right))
        down = Axis(random, height, window.y1 - window.y0, mirrored, (top, bottom))
        # torch's own indexing takes several times as long
        image = torch.from_numpy(image.numpy().take(down.pixels, 1).take(across.pixels, 2))
        image.masked_fill_(~(down.inside[:, None] & across.inside), PAD)
        labels = self.labels(field)
        labels = labels._replace(boxes=labels.boxes * stretch, unknown=labels.unknown * stretch)
        copies = [copy_of(labels, across, x, down, y) for x in across.copies for y in down.copies]
        labels = visible(join(copies), (len(across.pixels), len(down.pixels)))
        if self.cutouts and random.random() < PASTED:
            return paste(image, labels, self.cutouts, random, squeeze**2)
        return image, labels

    def _mosaic(self, index: int, random: np.random.Generator) -> Sample:
        side = self.image_size
        x, y = (int(v) for v in random.uniform(0.3 * side, 0.7 * side, 2))
        windows = [Window(0, 0, x, y), Window(x, 0, side, y), Window(0, y, x, side), Window(x, y, side, side)]
        chosen = random.permutation([index, *random.integers(len(self.fields), size=3)])
        return self._join(chosen.tolist(), windows, random, self.mosaic_scale)

    def _collage(self, random: np.random.Generator) -> Sample:
        chosen = random.choice(len(self.fields), MOST_ACROSS**2, p=self.chances)
        field = self.fields[chosen[0]]
        view = views(field)
        share = (view[:, 2:] - view[:, :2]).prod(1).mean() / (field.width * field.height)
        across = int(np.clip(np.round(share**-0.5), 2, MOST_ACROSS))
        steps = list(pairwise(np.linspace(0, self.image_size, across + 1).round().astype(int).tolist()))
        windows = [Window(x0, y0, x1, y1) for y0, y1 in steps for x0, x1 in steps]
        image, labels = self._join(chosen[: across**2].tolist(), windows, random, aimed=True)
        return image, settle(labels, self.image_size)

    def _join(
        self,
        chosen: Sequence[int],
        windows: Sequence[Window],
        random: np.random.Generator,
        reduce: float = 1.0,
        aimed: bool = False,
    ) -> Sample:
        """Return a canvas with one of the `chosen` fields in each of `windows`."""
        canvas = torch.empty((3, self.image_size, self.image_size), dtype=torch.uint8)
        labels = []
        for index, window in zip(chosen, windows, strict=True):
            image, part = self._place(index, random, window, reduce, aimed)
            canvas[:, window.y0 : window.y1, window.x0 : window.x1] = image
            corner = torch.tensor([window.x0, window.y0] * 2)
            labels.append(part._replace(boxes=part.boxes + corner, unknown=part.unknown + corner))
        return canvas, join(labels)
