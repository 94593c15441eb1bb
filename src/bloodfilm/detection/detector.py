"""A picture in, its white blood cells out."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bloodfilm.cells import Cells, concatenate
from bloodfilm.detection.devices import describe, fastest_precision, resolve_device
from bloodfilm.detection.letterbox import fit, half, resize
from bloodfilm.detection.look import Look
from bloodfilm.detection.naming import named
from bloodfilm.detection.red_cells import red_cell_sizes
from bloodfilm.detection.ruler import Ruler, is_rough, learned, measure, right_size, surest, too_large
from bloodfilm.detection.tiles import Tile, split_tiles, suppress_overlaps
from bloodfilm.errors import UserError
from bloodfilm.io.images import RGB, as_rgb, read_image
from bloodfilm.nets.attridet import MIN_READ_SCORE, AttriDet, Found
from bloodfilm.nets.checkpoint import Card, load
from bloodfilm.nets.reader import cut, middles
from bloodfilm.nets.refiner import moved
from bloodfilm.weights import DEFAULT_MODEL, MIN_SCORE

LOWEST_SCORE = 0.001
"""Cells below this are never reported."""

MAX_OVERLAP = 0.45

MAX_WHOLE = 4096
"""Pictures with a longer side than this are searched in tiles; smaller ones as a whole, if cells are large enough."""

DEFAULT_TILE = 640

MAX_REDUCED = 2
"""Pictures that would be reduced more than so to be searched as a whole have their red cells measured before."""

MEASURED = 4
"""Parts of a picture in which its red cells are measured, at most; half of all of them are enough."""

MAX_CELLS = 1000
"""Of one part of a picture that is searched."""

ONLY_MEASURED = 1.0
"""Lowest score of a search that is for red cells alone."""

READ_TOGETHER = 64
"""Cells that are looked at closely in one pass."""

MAX_LOOKS = 3
"""How often a picture is searched, at most, until its red cells are as large as the network knows them."""

Progress = Callable[[int, int], None]


class Cancelled(Exception):  # noqa: N818  a request, not an error
    """Detection was stopped by its caller."""


class Detector:
    """A network ready to search pictures.

    Parameters
    ----------
    model : str or Path
        Name of a shipped model or a checkpoint file.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    precision : torch.dtype, optional
        By default bfloat16 where the device calculates in it, else float32.

    Raises
    ------
    CheckpointError
        If the model cannot be used.
    DeviceError
        If the device is not there.
    """

    def __init__(
        self, model: str | Path = DEFAULT_MODEL, device: str = "auto", precision: torch.dtype | None = None
    ) -> None:
        network, card = load(model)
        self._set_up(network, card, resolve_device(device), precision)

    @classmethod
    def from_network(cls, network: AttriDet, card: Card, device: torch.device) -> Detector:
        """Wrap a network in memory, which is changed for inference: give a copy."""
        detector = cls.__new__(cls)
        detector._set_up(network, card, device, None)
        return detector

    def _set_up(self, network: AttriDet, card: Card, device: torch.device, precision: torch.dtype | None) -> None:
        self.card = card
        self.device = device
        self.precision = precision or fastest_precision(device)
        self.novelty = copy.deepcopy(network.novelty).to(device)
        network = network.fuse().to(device, self.precision)
        self.network = network.to(memory_format=torch.channels_last)
        self._limits = learned(card.red_cells)

    @property
    def running_on(self) -> str:
        """Device and precision in words."""
        return describe(self.device, self.precision)

    @property
    def small(self) -> int:
        """Longer side up to which pictures are searched as a whole before their red cells are measured."""
        return MAX_REDUCED * self.card.image_size

    def detect(
        self,
        image: npt.ArrayLike,
        min_score: float = MIN_SCORE,
        tile: int | None = None,
        batch: int = 8,
        pixel_size: float | None = None,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Cells:
        """Find the white blood cells of one picture.

        Parameters
        ----------
        image : array
            Grey, RGB or RGBA; `bloodfilm.io.images` says what becomes of each kind.
        min_score : float
            Cells with a lower score are left out.
        tile : int, optional
            Search in tiles of this many pixels a side. By default pictures up to 4096 px are searched as a
            whole, larger ones, and those whose cells would be too small, in tiles of 640 px.
        batch : int
            Tiles in one pass.
        pixel_size : float, optional
            Micrometres per pixel, used where the red cells do not tell.
        progress : callable, optional
            Called with the number of tiles done and in all.
        cancelled : callable, optional
            Asked before each batch; once it says yes, `Cancelled` is raised.

        Returns
        -------
        Cells
            By falling score, boxes in pixels of `image`.

        Raises
        ------
        PictureError
            If `image` is no picture.
        Cancelled
            If `cancelled` said yes.
        """
        picture = as_rgb(image)
        tiles, ruler = self._plan(picture, tile, pixel_size)
        found: list[Cells] = []
        for first in range(0, len(tiles), check_batch(batch)):
            if cancelled and cancelled():
                raise Cancelled
            chunk = tiles[first : first + batch]
            parts = [tile.of(picture) for tile in chunk]
            tables = self._find(parts, min_score, [pixel_size] * len(parts), ruler)
            own = [tile.keep_own(cells.shifted(tile.x0, tile.y0)) for tile, cells in zip(chunk, tables, strict=True)]
            found += [self._look_closely(picture, cells) for cells in own]
            if progress:
                progress(len(found), len(tiles))
        if len(found) == 1 and not ruler:
            return found[0]
        whole = tile is None and max(picture.shape[:2]) <= MAX_WHOLE
        novelty = self._novelty(picture) if whole else median_novelty(found)
        together = replace(concatenate(found), novelty=novelty)
        return suppress_overlaps(together, MAX_OVERLAP).in_order()

    def read_boxes(self, image: npt.ArrayLike, boxes: npt.ArrayLike, pixel_size: float | None = None) -> Cells:
        """Tell type and attributes of cells that somebody boxed, in the order of `boxes`, with scores of 1.

        Parameters
        ----------
        image : array
            As in `detect`, of at most 4096 px a side.
        boxes : (N, 4) array
            ``x0, y0, x1, y1`` in pixels of `image`.
        pixel_size : float, optional
            As in `detect`.

        Raises
        ------
        UserError
            If the picture is too large, or a box has no area in it.
        """
        picture = as_rgb(image)
        height, width = shape = picture.shape[:2]
        if max(shape) > MAX_WHOLE:
            raise UserError(f"{width} x {height} px are too many: give a part of at most {MAX_WHOLE} px a side.")
        corners = np.clip(np.asarray(boxes, np.float32).reshape(-1, 4), 0, np.array([width, height] * 2, np.float32))
        if not (corners[:, 2:] > corners[:, :2]).all():
            raise UserError(f"A box has no area inside the picture of {width} x {height} px.")
        _, ruler = self._plan(picture, None, pixel_size)
        size = self._size(shape, ruler)
        if ruler is None:
            (look,) = self._look([picture], ONLY_MEASURED, [pixel_size])
            size, ruler = look.size, look.ruler
        cells = Cells(corners, vocabulary=self.card.vocabulary, scale=ruler.scale(shape, size) if ruler else None)
        if self.network.head == "own":
            return self._read(picture, cells)
        given = torch.from_numpy(corners * np.array([size[1] / width, size[0] / height] * 2, np.float32))
        place = torch.zeros(len(given), dtype=torch.long, device=self.device)
        found = self.network.find_again(self._as_input(resize(picture, size)[None]), place, given.to(self.device)).cpu()
        return named(cells, found.classes, found.attributes, self.card)

    def _plan(self, picture: RGB, tile: int | None, pixel_size: float | None) -> tuple[list[Tile], Ruler | None]:
        """Return the parts of a picture to search, and its ruler; None if that is to be seen on the whole picture."""
        height, width = shape = picture.shape[:2]
        size = fit(shape, self.card.image_size)
        whole, tiles = [Tile(0, 0, width, height)], split_tiles(width, height, tile or DEFAULT_TILE)
        in_one = tile is None and max(shape) <= MAX_WHOLE
        if len(tiles) == 1 or (in_one and max(shape) <= self.small):
            return whole, None
        ruler = surest(self._measure(picture, tiles) if self.card.auxiliary else None, pixel_size)
        if not in_one:
            return tiles, ruler
        if ruler is None or not ruler.sure:
            return whole, None
        return (tiles if too_large(ruler, shape, size, self._limits) else whole), ruler

    def _measure(self, picture: RGB, tiles: Sequence[Tile]) -> Ruler | None:
        """Measure the red cells on a few tiles from all over the picture."""
        count = min(MEASURED, -(-len(tiles) // 2))
        rows = np.linspace(0, len(tiles) - 1, count + 2)[1:-1].round().astype(int)
        chosen = [tiles[row] for row in dict.fromkeys(rows.tolist())]
        looks = self._look([tile.of(picture) for tile in chosen], ONLY_MEASURED)
        return measure(np.concatenate([look.red_cells for look in looks]))

    def detect_batch(
        self,
        pictures: Sequence[RGB],
        min_score: float = MIN_SCORE,
        pixel_sizes: Sequence[float | None] | None = None,
    ) -> list[Cells]:
        """Find the cells of several (H, W, 3) uint8 pictures; those that come to one size share a pass.

        Where the red cells say that a picture is squeezed, or magnified unlike those that the network learned
        from, it is searched again as it should be; so it is by its one of `pixel_sizes`, in micrometres,
        where they do not say it.
        """
        tables = self._find(pictures, min_score, pixel_sizes)
        return [self._look_closely(picture, cells) for picture, cells in zip(pictures, tables, strict=True)]

    def _find(
        self,
        pictures: Sequence[RGB],
        min_score: float,
        pixel_sizes: Sequence[float | None] | None = None,
        ruler: Ruler | None = None,
    ) -> list[Cells]:
        """Return the cells of pictures as `_search` does; with `ruler`, all of them are searched by that at once."""
        if ruler is None:
            return [look.told() for look in self._look(pictures, min_score, pixel_sizes)]
        sizes = [self._size(picture.shape[:2], ruler) for picture in pictures]
        return [
            replace(cells, scale=ruler.scale(picture.shape[:2], size))
            for (cells, _), picture, size in zip(self._search(pictures, sizes, min_score), pictures, sizes, strict=True)
        ]

    def _size(self, shape: tuple[int, int], ruler: Ruler | None = None) -> tuple[int, int]:
        """Return height and width at which a picture of `shape` is searched by a ruler, or at first."""
        return right_size(ruler, shape, fit(shape, self.card.image_size), self._limits)

    def _look(
        self, pictures: Sequence[RGB], min_score: float, pixel_sizes: Sequence[float | None] | None = None
    ) -> list[Look]:
        """Search pictures at the size that the network was trained at, then as their own red cells say.

        Where none are seen, they are looked for at half the size, too.
        """
        given = pixel_sizes or [None] * len(pictures)

        def see(rows: Sequence[int], sizes: Sequence[tuple[int, int]], lowest: float) -> list[Look]:
            looks = []
            seen = self._search([pictures[row] for row in rows], sizes, lowest)
            for row, size, (cells, red) in zip(rows, sizes, seen, strict=True):
                red_cells = red_cell_sizes(pictures[row], red)
                ruler = surest(measure(red_cells), given[row])
                looks.append(Look(pictures[row].shape[:2], size, cells, red_cells, ruler))
            return looks

        looks = see(range(len(pictures)), [self._size(picture.shape[:2]) for picture in pictures], min_score)
        blind = [row for row, look in enumerate(looks) if self.card.auxiliary and not is_rough(look.ruler)]
        for row, look in zip(blind, see(blind, [half(looks[row].size) for row in blind], ONLY_MEASURED), strict=True):
            looks[row] = looks[row]._replace(red_cells=look.red_cells, ruler=look.ruler)
        for _ in range(MAX_LOOKS - 1):
            sizes = [look.better_size(self._limits) for look in looks]
            rows = [row for row, look in enumerate(looks) if look.size != sizes[row]]
            for row, look in zip(rows, see(rows, [sizes[row] for row in rows], min_score), strict=True):
                looks[row] = look.after(looks[row])
        return looks

    def _search(
        self, pictures: Sequence[RGB], sizes: Sequence[tuple[int, int]], min_score: float
    ) -> list[tuple[Cells, npt.NDArray[np.float32]]]:
        """Return the cells, and the boxes of the red cells, of each picture searched at its size (height, width)."""
        images = [resize(picture, size) for picture, size in zip(pictures, sizes, strict=True)]
        results = {}
        for shape in dict.fromkeys(image.shape for image in images):
            rows = [row for row, image in enumerate(images) if image.shape == shape]
            batch = torch.stack([images[row] for row in rows])
            found = self.network.find(self._as_input(batch), max(min_score, LOWEST_SCORE), MAX_OVERLAP, MAX_CELLS)
            novelties = self.novelty(found.described).tolist()
            found = found.cpu()
            for place, row in enumerate(rows):
                height, width = pictures[row].shape[:2]
                back = np.array([width / sizes[row][1], height / sizes[row][0]] * 2, np.float32)
                red = [part.boxes[part.image == place].numpy() * back for part in found.auxiliary[:1]]
                cells = self._cells(found, found.image == place, back, (width, height)).in_order()
                results[row] = (
                    replace(cells, novelty=_known(novelties[place])),
                    red[0] if red else np.empty((0, 4), np.float32),
                )
        return [results[row] for row in range(len(pictures))]

    def _as_input(self, images: Tensor) -> Tensor:
        images = images.to(self.device)
        if self.card.stain:
            images = 255 * self.card.stain.apply(images.float() / 255)
        return images.to(self.precision, memory_format=torch.channels_last) / 255

    def describe(self, picture: RGB) -> Tensor:
        """Return what a picture (H, W, 3) uint8 looks like to the network, for `bloodfilm.nets.novelty`."""
        images = self._as_input(resize(picture, fit(picture.shape, self.card.image_size))[None])
        return self.network.find(images, ONLY_MEASURED).described[0].cpu()

    def _novelty(self, picture: RGB) -> float | None:
        return _known(float(self.novelty(self.describe(picture)[None].to(self.device))))

    def _cells(self, found: Found, mine: Tensor, back: npt.NDArray[np.float32], picture: tuple[int, int]) -> Cells:
        boxes = np.minimum(found.boxes.numpy() * back, np.array(picture * 2, np.float32))
        mine = mine & torch.from_numpy((boxes[:, 2:] > boxes[:, :2]).all(1))
        cells = Cells(boxes[mine.numpy()], scores=found.scores[mine].numpy(), vocabulary=self.card.vocabulary)
        own = self.network.head == "own"
        return cells if own else named(cells, found.classes[mine], found.attributes[mine], self.card)

    def _look_closely(self, picture: RGB, cells: Cells) -> Cells:
        """Return `cells` with tighter boxes, and read, if the network does that in the picture itself."""
        return self._read(picture, self._refine(picture, cells)) if self.network.head == "own" else cells

    @torch.inference_mode()
    def _refine(self, picture: RGB, cells: Cells) -> Cells:
        """Return `cells` with tighter boxes; of those that then lie on each other, the best one."""
        boxes = torch.from_numpy(cells.boxes.copy())
        for rows, patches, rois in self._patches(picture, cells):
            boxes[rows] = moved(boxes[rows], self.network.refiner(patches, rois).cpu())
        height, width = picture.shape[:2]
        inside = boxes.numpy().clip(0, np.array([width, height] * 2, np.float32))
        solid = (inside[:, 2:] - inside[:, :2] > 1).all(1, keepdims=True)
        return suppress_overlaps(replace(cells, boxes=np.where(solid, inside, cells.boxes)), MAX_OVERLAP)

    @torch.inference_mode()
    def _read(self, picture: RGB, cells: Cells) -> Cells:
        """Return `cells` with types and attributes as the picture itself shows them."""
        read = torch.zeros(len(cells), sum(self.network.outputs))
        for rows, patches, rois in self._patches(picture, cells):
            parts = self.network.read(patches, rois)
            read[rows] = torch.cat([part.softmax(1) for part in parts], 1).cpu()
        classes = self.network.outputs[0]
        return named(cells, read[:, :classes], read[:, classes:], self.card)

    def _patches(self, picture: RGB, cells: Cells) -> Iterator[tuple[npt.NDArray[np.int64], Tensor, Tensor]]:
        """Yield rows of the cells that are worth a look, a few at once, cut out, and where on that their boxes are."""
        worth = np.flatnonzero(cells.scores >= MIN_READ_SCORE)
        for first in range(0, len(worth), READ_TOGETHER):
            rows = worth[first : first + READ_TOGETHER]
            yield rows, self._as_input(cut(picture, cells.boxes[rows])), middles(len(rows)).to(self.device)


def detect(
    image: npt.ArrayLike | str | Path,
    model: str | Path = DEFAULT_MODEL,
    device: str = "auto",
    **options: Any,
) -> Cells:
    """Find the white blood cells of one picture, given as an array or a file.

    Further options are those of `Detector.detect`. To search many pictures, make one `Detector`.
    """
    picture = read_image(image) if isinstance(image, str | Path) else image
    return Detector(model, device).detect(picture, **options)


def _known(novelty: float) -> float | None:
    """Return a novelty, None for that of a network that knows nothing usual."""
    return novelty if math.isfinite(novelty) else None


def median_novelty(tables: Sequence[Cells]) -> float | None:
    """Return the median novelty of the parts of a picture; None if none has one."""
    known = [table.novelty for table in tables if table.novelty is not None]
    return float(np.median(known)) if known else None


def check_batch(batch: int) -> int:
    """Return `batch`, or raise `UserError` if it is less than 1."""
    if batch < 1:
        raise UserError(f"A batch of {batch} searches nothing; give 1 or more.")
    return batch
