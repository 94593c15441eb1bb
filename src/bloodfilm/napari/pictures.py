"""The pixels of an Image layer that a user means: a slice of a stack, a view, a rectangle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pint import DimensionalityError

from bloodfilm.cells import Cells, Field, inside
from bloodfilm.errors import UserError
from bloodfilm.napari.layers import METADATA_KEY, to_boxes

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Shapes

MAX_BYTES = 2**30

MAX_WHOLE = 4096
"""Longest side of what is read at once; detection, which loads torch, has the same."""

MARGIN = 640
"""Pixels around cells of a large picture that are read with them: red cells to measure by."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Part:
    """A part of one picture: lazy pixels (H, W) or (H, W, C), where it begins, and its place in a stack.

    `wanted` are the boxes of the picture in which cells are wanted, if not everywhere.
    """

    pixels: Any
    x: int
    y: int
    index: tuple[int, ...]
    wanted: tuple[Box, ...] = ()

    def load(self) -> npt.NDArray[Any]:
        """Read the pixels into memory.

        Raises
        ------
        UserError
            If they are too many to be searched at once.
        """
        if np.prod(self.pixels.shape, dtype=float) * np.dtype(self.pixels.dtype).itemsize > MAX_BYTES:
            height, width = self.pixels.shape[:2]
            raise UserError(f"{width} x {height} px are too many at once: search the current view or drawn rectangles.")
        return np.asarray(self.pixels)

    def place(self, cells: Cells) -> Cells:
        """Return cells found in this part where they lie in the picture, if their centre is wanted."""
        cells = cells.shifted(self.x, self.y)
        if not self.wanted:
            return cells
        return cells[inside(cells.boxes, np.array(self.wanted)).any(1)]


def full_resolution(layer: Image) -> Any:
    """Return all data of `layer`, lazily; of a multiscale one its finest level."""
    return layer.data[0] if layer.multiscale else layer.data


def current_picture(layer: Image, viewer: ViewerModel) -> tuple[Any, tuple[int, ...]]:
    """Return the full-resolution picture that the viewer shows of `layer`, lazily, and its index in the stack.

    Raises
    ------
    UserError
        If the viewer shows other axes than the last two.
    """
    data = full_resolution(layer)
    if layer.ndim == 2:
        return data, ()
    if tuple(viewer.dims.displayed[-2:]) != (viewer.dims.ndim - 2, viewer.dims.ndim - 1) or viewer.dims.ndisplay != 2:
        raise UserError("Show the last two axes in 2D: cells are searched on flat pictures.")
    world = np.array(viewer.dims.point[-layer.ndim :])
    place = np.rint(layer.world_to_data(world)[:-2]).astype(int)
    index = tuple(int(v) for v in np.clip(place, 0, np.array(data.shape[: layer.ndim - 2]) - 1))
    return data[index], index


def field_of(layer: Image, index: tuple[int, ...]) -> Field:
    """Return the picture at `index` of `layer` as a field without cells; its path is absolute if it is a file."""
    known = layer.metadata.get(METADATA_KEY, {}).get("pictures", {})
    if index in known:
        field: Field = known[index]["field"]
        name, width, height, path = field.name, field.width, field.height, field.path
    else:
        height, width = map(int, full_resolution(layer).shape[layer.ndim - 2 : layer.ndim])
        path = Path("" if index else layer.source.path or "")
        name = path.name or (f"{layer.name}[{', '.join(map(str, index))}]" if index else layer.name)
    return Field(path.absolute() if path.is_file() else Path(name), Cells.empty(), width, height, name=name)


def pixel_size(layer: Image) -> float | None:
    """Return the micrometres per pixel of `layer`; None if its scale is in no unit of length."""
    try:
        return float((layer.scale[-1] * layer.units[-1]).to("micrometer").magnitude)
    except DimensionalityError:
        return None


def whole(layer: Image, viewer: ViewerModel) -> Part:
    """Return all of the current picture."""
    picture, index = current_picture(layer, viewer)
    return Part(picture, 0, 0, index)


def current_view(layer: Image, viewer: ViewerModel) -> Part:
    """Return what the canvas shows of the current picture."""
    corners = np.asarray(layer.corner_pixels, float)
    if layer.multiscale:
        corners = corners * np.asarray(layer.downsample_factors[layer.data_level])
    (y0, x0), (y1, x1) = corners[:, -2:]
    return _cut(layer, viewer, (x0, y0, x1 + 1, y1 + 1))


def drawn(layer: Image, viewer: ViewerModel, region: Shapes) -> list[Part]:
    """Return the parts of the current picture that the shapes of `region` on it cover, those that overlap as one.

    Raises
    ------
    UserError
        If nothing is drawn on the current picture, or it is outside.
    """
    _, index = current_picture(layer, viewer)
    shapes = [np.stack([_place(point, layer, viewer, region) for point in shape]) for shape in region.data]
    boxes = tuple(map(tuple, to_boxes([shape for shape in shapes if tuple(np.rint(shape[0, :-2])) == index]).tolist()))
    if not boxes:
        raise UserError("Draw a rectangle around each part to search first.")
    return [replace(_cut(layer, viewer, box), wanted=boxes) for box in _join(boxes)]


def around(layer: Image, shapes: Sequence[npt.NDArray[Any]]) -> Part:
    """Return the part of a picture that a model needs to read the cells in `shapes`, all of one slice.

    That is all of it, or of a large one their surroundings.

    Raises
    ------
    UserError
        If they lie on several slices, on none of `layer`, or far from one another.
    """
    data = full_resolution(layer)
    places = {tuple(int(v) for v in np.rint(shape[0, :-2])) for shape in map(np.asarray, shapes)}
    if len(places) > 1:
        raise UserError("Select cells of one picture of the stack: they are read together.")
    (index,) = places
    lengths = data.shape[: layer.ndim - 2]
    place = index if len(index) == len(lengths) else (0,) * len(lengths)
    if not all(0 <= number < length for number, length in zip(place, lengths, strict=True)):
        raise UserError(f"{layer.name} has no picture where the cell lies: move the cell to a picture, or delete it.")
    picture = data[place]
    height, width = picture.shape[:2]
    if max(height, width) <= MAX_WHOLE:
        return Part(picture, 0, 0, index)
    boxes = to_boxes(shapes)
    x0, y0 = (int(max(v - MARGIN, 0)) for v in boxes[:, :2].min(0))
    x1, y1 = (int(v + MARGIN) for v in boxes[:, 2:].max(0))
    if max(x1 - x0, y1 - y0) > MAX_WHOLE:
        raise UserError("The selected cells are far from one another: select fewer.")
    return Part(picture[y0:y1, x0:x1], x0, y0, index)


def _place(point: npt.ArrayLike, layer: Image, viewer: ViewerModel, region: Shapes) -> npt.NDArray[Any]:
    """Return where a point of `region` lies in `layer`, on the slice shown if `region` has no slices."""
    world = np.array(viewer.dims.point[-layer.ndim :], float)
    values = np.asarray(region.data_to_world(point), float)[-layer.ndim :]
    world[-len(values) :] = values
    return np.asarray(layer.world_to_data(world))


def _join(boxes: Iterable[Box]) -> list[Box]:
    """Put one box around those that overlap, so that no cell is found twice or cut where they meet."""
    joined: list[Box] = []
    for box in boxes:
        while touching := [each for each in joined if _overlap(each, box)]:
            joined = [each for each in joined if each not in touching]
            x0, y0, x1, y1 = zip(box, *touching, strict=True)
            box = min(x0), min(y0), max(x1), max(y1)
        joined.append(box)
    return joined


def _overlap(a: Box, b: Box) -> bool:
    return max(a[0], b[0]) < min(a[2], b[2]) and max(a[1], b[1]) < min(a[3], b[3])


def _cut(layer: Image, viewer: ViewerModel, box: Box) -> Part:
    picture, index = current_picture(layer, viewer)
    height, width = picture.shape[:2]
    x0, y0 = (int(np.clip(np.floor(v), 0, limit)) for v, limit in zip(box[:2], (width, height), strict=True))
    x1, y1 = (int(np.clip(np.ceil(v), 0, limit)) for v, limit in zip(box[2:], (width, height), strict=True))
    if x1 <= x0 or y1 <= y0:
        raise UserError(f"The chosen region lies outside {layer.name}.")
    return Part(picture[y0:y1, x0:x1], x0, y0, index)
