"""The pixels of an Image layer that a user means: a slice of a stack, a view, a rectangle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bloodfilm.errors import UserError
from bloodfilm.napari.layers import to_boxes

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Shapes


@dataclass(frozen=True)
class Part:
    """A part of one picture: lazy pixels (H, W) or (H, W, C), where it begins, and its place in a stack."""

    pixels: Any
    x: int
    y: int
    index: tuple[int, ...]

    def load(self) -> npt.NDArray[Any]:
        """Read the pixels into memory."""
        return np.asarray(self.pixels)


def current_picture(layer: Image, viewer: ViewerModel) -> tuple[Any, tuple[int, ...]]:
    """Return the full-resolution picture that the viewer shows of `layer`, lazily, and its index in the stack.

    Raises
    ------
    UserError
        If the viewer shows other axes than the last two.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    if layer.ndim == 2:
        return data, ()
    if tuple(viewer.dims.displayed[-2:]) != (viewer.dims.ndim - 2, viewer.dims.ndim - 1) or viewer.dims.ndisplay != 2:
        raise UserError("Show the last two axes in 2D: cells are searched on flat pictures.")
    world = np.array(viewer.dims.point[-layer.ndim :])
    place = np.rint(layer.world_to_data(world)[:-2]).astype(int)
    index = tuple(int(v) for v in np.clip(place, 0, np.array(data.shape[: layer.ndim - 2]) - 1))
    return data[index], index


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


def drawn(layer: Image, viewer: ViewerModel, region: Shapes) -> Part:
    """Return the part of the current picture that the last shape of `region` covers.

    Raises
    ------
    UserError
        If nothing is drawn, or it is outside the picture.
    """
    if region.nshapes == 0:
        raise UserError("Draw a rectangle around the part to search first.")
    corners = np.stack([layer.world_to_data(_pad(region.data_to_world(p), layer.ndim)) for p in region.data[-1]])
    return _cut(layer, viewer, tuple(to_boxes([corners])[0]))


def _pad(point: npt.ArrayLike, ndim: int) -> npt.NDArray[Any]:
    values = np.asarray(point, float)[-ndim:]
    return np.concatenate([np.zeros(ndim - len(values)), values])


def _cut(layer: Image, viewer: ViewerModel, box: tuple[float, ...]) -> Part:
    picture, index = current_picture(layer, viewer)
    height, width = picture.shape[:2]
    x0, y0 = (int(np.clip(np.floor(v), 0, limit)) for v, limit in zip(box[:2], (width, height), strict=True))
    x1, y1 = (int(np.clip(np.ceil(v), 0, limit)) for v, limit in zip(box[2:], (width, height), strict=True))
    if x1 <= x0 or y1 <= y0:
        raise UserError(f"The chosen region lies outside {layer.name}.")
    return Part(picture[y0:y1, x0:x1], x0, y0, index)
