"""The cells of one layer as the panel shows them: their table, colours and places on the picture; no window needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bloodfilm.napari.gallery.colouring import UNKNOWN_RGBA, Colouring, faded
from bloodfilm.napari.gallery.crops import Place
from bloodfilm.napari.gallery.table import TYPE, bounds, cell_table, squeeze, um_per_px
from bloodfilm.napari.layers import layer_vocabulary
from bloodfilm.napari.shapes import recolour

if TYPE_CHECKING:
    from napari.layers import Image, Layer, Shapes

COLOUR_BY = "bloodfilm_colour_by"
MARGIN, OUTLIER = 1.15, 1.25
"""Side of a crop over that of the largest cell, which all share, so that sizes can be compared, but for outliers."""


class LayerCells:
    """What is known about the cells of `layer`; call `reload` or `refresh` after the layer changed."""

    def __init__(self, layer: Shapes) -> None:
        self.layer = layer
        self.vocabulary = layer_vocabulary(layer.metadata)
        self.reload()

    @property
    def colour_by(self) -> str:
        """Column that colours the boxes: the layer remembers it."""
        chosen = self.layer.metadata.get(COLOUR_BY, TYPE)
        return chosen if chosen in self.table else TYPE

    @colour_by.setter
    def colour_by(self, column: str) -> None:
        self.layer.metadata[COLOUR_BY] = column
        self._colour()

    def reload(self) -> None:
        """Learn everything anew."""
        self.corners = bounds(self.layer.data, self.layer.ndim)
        self.ids = pd.Index(self.layer.features.get("id", []), dtype=object)
        self.table = cell_table(self.layer, self.corners, self.vocabulary)
        self._colour()

    def _colour(self) -> None:
        self.colouring = Colouring.of(self.table[self.colour_by], self.vocabulary)
        self.rgba = self.colouring.rgba(self.table[self.colour_by])

    def box_colours(self, features: pd.DataFrame) -> npt.NDArray[np.float32]:
        """Return the colours (N, 4) of boxes with `features`, of which those that no user sees are derived.

        Cells that are not known yet have the colour of what is not known.
        """
        if self.colour_by in features:
            return faded(self.colouring.rgba(features[self.colour_by]), features)
        rows = self.ids.get_indexer(features["id"]) if "id" in features else np.arange(len(features))
        colours = np.tile(UNKNOWN_RGBA, (len(features), 1))
        colours[rows >= 0] = self.rgba[rows[rows >= 0]]
        return faded(colours, features)

    def repaint(self) -> None:
        """Colour the boxes that have other colours."""
        recolour(self.layer, range(len(self.rgba)), self.box_colours(self.layer.features))

    def refresh(self, ids: Sequence[str]) -> npt.NDArray[np.intp] | None:
        """Learn the features of the cells `ids` anew; return their rows, or None if cells came, went or moved."""
        rows = self.ids.get_indexer(pd.Index(ids, dtype=object))
        if not len(rows) or (rows < 0).any() or len(self.layer.features) != len(self.ids):
            return None
        if (self.layer.features["id"].to_numpy(object)[rows] != self.ids[rows]).any():
            return None
        data = self.layer.data
        if not np.array_equal(bounds([data[row] for row in rows], self.layer.ndim), self.corners[rows]):
            return None
        self.table = cell_table(self.layer, self.corners, self.vocabulary)
        self.rgba[rows] = self.colouring.rgba(self.table[self.colour_by].iloc[rows])
        return rows

    def places(self, image: Image, point: Sequence[float]) -> list[Place]:
        """Return what of `image` shows each cell; `point` says where a stack is if cells do not."""
        if not len(self.corners):
            return []
        matrix, offset = _affine(self.layer, image, point)
        ends = np.sort(self.corners @ matrix.T + offset, axis=1)
        high = squeeze(um_per_px(self.layer, self.corners))
        sides = (np.ptp(ends[:, :, -2:], axis=1) / np.stack([high, np.ones_like(high)], axis=1)).max(1)
        common = min(sides.max(), OUTLIER * float(np.percentile(sides, 95))) * MARGIN
        centres = ends.mean(1)
        indices = np.rint(ends[:, 0, :-2]).astype(int).tolist()
        return [
            Place(x, y, max(common, side * MARGIN), tuple(index), each)
            for (y, x), side, index, each in zip(
                centres[:, -2:].tolist(), sides.tolist(), indices, high.tolist(), strict=True
            )
        ]


def _affine(cells: Layer, image: Layer, point: Sequence[float]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return matrix and offset that take places of `cells` to places of `image`."""

    def place(position: npt.NDArray[Any]) -> npt.NDArray[Any]:
        world = np.array(point[-image.ndim :], float)
        values = np.asarray(cells.data_to_world(position), float)[-image.ndim :]
        world[-len(values) :] = values
        return np.asarray(image.world_to_data(world))

    offset = place(np.zeros(cells.ndim))
    matrix = np.stack([place(axis) - offset for axis in np.eye(cells.ndim)], axis=1)
    return matrix, offset
