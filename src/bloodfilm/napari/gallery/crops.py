"""Small pictures of cells, cut from an Image layer when they are wanted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QImage

from bloodfilm.napari.gallery.table import bare
from bloodfilm.napari.layers import METADATA_KEY, PICTURE_ID, WITHOUT_PICTURE, picture_id

if TYPE_CHECKING:
    from napari.layers import Image, Layer

SLICE_BYTES = 2**26
"""Pictures of a stack up to this size are read as a whole, and a few kept, for the other cells on them."""

SLICES, CROPS, PENDING = 4, 3000, 300
GREY = 96

RGB = npt.NDArray[np.uint8]


class Place(NamedTuple):
    """A square of a picture: its centre and width in pixels of full resolution, and the picture's index in a stack.

    It is `high` times as many pixels high: more than one where the picture is squeezed in width.
    """

    x: float
    y: float
    side: float
    index: tuple[int, ...] = ()
    high: float = 1.0


class Cutter:
    """Cuts squares out of an Image layer, as the layer shows its values; usable in any thread."""

    def __init__(self, layer: Image) -> None:
        self.layer = layer
        self.levels = list(layer.data) if layer.multiscale else [layer.data]
        self.in_memory = all(isinstance(level, np.ndarray) for level in self.levels)
        self._slices: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    def cut(self, place: Place, size: int) -> RGB:
        """Return the square at `place` as (size, size, 3), grey where the picture ends."""
        level, factors = self._level(place.side * min(place.high, 1) / size)
        picture = self._picture(level, place.index)
        height, width = picture.shape[:2]
        sides = place.side * place.high, place.side
        side_y, side_x = (max(round(side / factor), 1) for side, factor in zip(sides, factors, strict=True))
        y0, x0 = round(place.y / factors[0] - side_y / 2), round(place.x / factors[1] - side_x / 2)
        top, left = np.clip(y0, 0, height), np.clip(x0, 0, width)
        part = np.asarray(picture[top : np.clip(y0 + side_y, 0, height), left : np.clip(x0 + side_x, 0, width)])
        square = np.full((side_y, side_x, 3), GREY, np.uint8)
        if part.size:
            inside = slice(top - y0, top - y0 + part.shape[0]), slice(left - x0, left - x0 + part.shape[1])
            square[inside] = self._shown(part)
        if square.shape[:2] == (size, size):
            return square
        return np.asarray(Pillow.fromarray(square).resize((size, size), Pillow.Resampling.BILINEAR))

    def _level(self, shrink: float) -> tuple[int, tuple[float, float]]:
        """Return the coarsest level that need not be enlarged when shrunk so much, and its pixels' height and width."""
        first = self.layer.ndim - 2
        for number in range(len(self.levels) - 1, -1, -1):
            whole, here = (self.levels[n].shape[first : first + 2] for n in (0, number))
            factors = whole[0] / here[0], whole[1] / here[1]
            if number == 0 or max(factors) <= shrink:
                break
        return number, factors

    def _picture(self, level: int, index: tuple[int, ...]) -> Any:
        data = self.levels[level]
        limits = data.shape[: self.layer.ndim - 2]
        index = tuple(int(np.clip(i, 0, n - 1)) for i, n in zip(index, limits, strict=True))
        if isinstance(data, np.ndarray) or not index:
            return data[index]
        key = (level, *index)
        if key not in self._slices:
            picture = data[index]
            small = np.prod(picture.shape) * picture.dtype.itemsize <= SLICE_BYTES
            self._slices[key] = np.asarray(picture) if small else picture
            if len(self._slices) > SLICES:
                self._slices.popitem(last=False)
        return self._slices[key]

    def _shown(self, part: npt.NDArray[Any]) -> RGB:
        """Return pixels as the layer shows them: colours as they are, grey through its contrast and colour map."""
        if self.layer.rgb:
            part = part[..., :3]
            if part.dtype == np.uint8:
                return part
            top = np.iinfo(part.dtype).max if part.dtype.kind in "iu" else 1
            return (np.clip(np.nan_to_num(part / top), 0, 1) * 255).round().astype(np.uint8)
        low, high = self.layer.contrast_limits
        grey = np.clip(np.nan_to_num((part.astype(float) - low) / max(high - low, 1e-12)), 0, 1) ** self.layer.gamma
        colours = self.layer.colormap.map(grey.ravel())[:, :3]
        return (colours * 255).round().astype(np.uint8).reshape(*part.shape, 3)


class Crops(QObject):
    """Crops as images: at once where the pixels are in memory, else later, read by a thread; the latest are kept."""

    arrived = Signal()
    _read = Signal(object, object)

    def __init__(self, layer: Image) -> None:
        super().__init__()
        self.cutter = Cutter(layer)
        self._kept: OrderedDict[Hashable, QImage] = OrderedDict()
        self._wanted: OrderedDict[Hashable, None] = OrderedDict()
        self._thread = None if self.cutter.in_memory else ThreadPoolExecutor(1, "crops")
        self._read.connect(self._keep)

    def get(self, place: Place, size: int) -> QImage | None:
        """Return the crop at `place`; None if it has still to be read, which `arrived` tells."""
        key = place, size
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if self._thread is None:
            self._keep(key, self.cutter.cut(place, size))
            return self._kept[key]
        if key not in self._wanted:
            self._wanted[key] = None
            self._thread.submit(self._load, key)
        self._wanted.move_to_end(key)
        while len(self._wanted) > PENDING:
            self._wanted.popitem(last=False)
        return None

    def _load(self, key: tuple[Place, int]) -> None:
        if key not in self._wanted:
            return
        try:
            pixels = self.cutter.cut(*key)
        except (OSError, ValueError):
            pixels = np.full((key[1], key[1], 3), GREY, np.uint8)
        self._read.emit(key, pixels)

    def _keep(self, key: tuple[Place, int], pixels: RGB) -> None:
        self._wanted.pop(key, None)
        image = QImage(np.ascontiguousarray(pixels).data, key[1], key[1], 3 * key[1], QImage.Format.Format_RGB888)
        self._kept[key] = image.convertToFormat(QImage.Format.Format_RGB32)
        if len(self._kept) > CROPS:
            self._kept.popitem(last=False)
        if self._thread is not None:
            self.arrived.emit()

    def forget(self) -> None:
        """Cut everything anew, for the picture looks different now."""
        self._kept.clear()
        self.cutter = Cutter(self.cutter.layer)

    def close(self) -> None:
        """Stop reading."""
        self._wanted.clear()
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)


def picture_below(cells: Layer, layers: list[Layer]) -> Image | None:
    """Return the Image layer that `cells` lie on, None if it is not open.

    That is the one they were made for, else that they are named after. For cells that were made for none it is else the
    highest below them, or any; for labels read without it one that was not opened with labels of its own.
    """
    from napari.layers import Image

    layers = [bare(layer) for layer in layers]
    place = layers.index(cells)
    pictures = [layer for layer in [*layers[place + 1 :], *layers[:place]] if isinstance(layer, Image)]
    about = cells.metadata.get(METADATA_KEY, {})
    own = [layer for layer in pictures if picture_id(layer) == about.get(PICTURE_ID)]
    named = [layer for layer in pictures if cells.name == f"{layer.name} cells"]
    others = pictures if PICTURE_ID not in about else []
    if about.get(WITHOUT_PICTURE):
        others = [layer for layer in pictures if PICTURE_ID not in layer.metadata.get(METADATA_KEY, {})]
    return next(reversed(own or named or others), None)
