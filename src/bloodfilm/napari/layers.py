"""Cells as napari Shapes layers and back; no window needed."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bloodfilm.cells import Cells
from bloodfilm.palette import colour
from bloodfilm.vocabulary import LLD, NOT_PREDICTED, Vocabulary

if TYPE_CHECKING:
    from napari.layers import Image, Shapes

METADATA_KEY = "bloodfilm"
ID = "id"
SPATIAL = ("scale", "translate", "rotate", "shear", "affine", "units")


def to_rectangles(boxes: npt.ArrayLike, index: Sequence[int] = ()) -> list[npt.NDArray[np.float64]]:
    """Return rectangles (4, len(index) + 2) in napari's order (row, column), at `index` of a stack."""
    rectangles = []
    for x0, y0, x1, y1 in np.asarray(boxes, float):
        corners = np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]])
        rectangles.append(np.hstack([np.tile(np.asarray(index, float), (4, 1)), corners]))
    return rectangles


def to_boxes(shapes: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    """Return the bounding boxes (N, 4) as x0, y0, x1, y1 of shapes of any kind."""
    boxes = [[*shape[:, [-1, -2]].min(0), *shape[:, [-1, -2]].max(0)] for shape in map(np.asarray, shapes)]
    return np.array(boxes, np.float32).reshape(-1, 4)


def new_ids(count: int) -> list[str]:
    """Return names for new cells that no other cell has."""
    return [uuid.uuid4().hex[:8] for _ in range(count)]


def edge_colours(features: pd.DataFrame, vocabulary: Vocabulary) -> list[str]:
    """Return the colour of each cell's type."""
    return [colour(str(name), vocabulary.classes) for name in features.get("class", [])]


def spatial(layer: Image) -> dict[str, Any]:
    """Return scale, translation, rotation, shear, affine and units of `layer`, for a layer on top of it."""
    return {name: getattr(layer, name) for name in SPATIAL}


def cells_layer(
    cells: Cells,
    name: str,
    index: Sequence[int] = (),
    metadata: dict[str, Any] | None = None,
    missing: str = NOT_PREDICTED,
) -> dict[str, Any]:
    """Return the arguments of a Shapes layer that shows `cells`, every column in its features."""
    features = cells.to_frame(missing)
    if ID not in features:
        features.insert(0, ID, new_ids(len(cells)))
    return shapes_arguments(to_rectangles(cells.boxes, index), features, cells.vocabulary, name, len(index) + 2) | {
        "metadata": {METADATA_KEY: {"vocabulary": cells.vocabulary.to_dict(), **(metadata or {})}}
    }


def shapes_arguments(
    rectangles: list[npt.NDArray[np.float64]],
    features: pd.DataFrame,
    vocabulary: Vocabulary,
    name: str,
    ndim: int,
) -> dict[str, Any]:
    """Return the arguments of a Shapes layer with transparent rectangles coloured by type."""
    side = float(np.median([np.ptp(r[:, -2:], axis=0).max() for r in rectangles])) if rectangles else 60.0
    return {
        "data": rectangles,
        "shape_type": "rectangle",
        "name": name,
        "ndim": ndim,
        "features": features,
        "edge_color": edge_colours(features, vocabulary) or "white",
        "face_color": "transparent",
        "edge_width": min(max(side / 30, 1.0), 8.0),
        "opacity": 1.0,
    }


def layer_vocabulary(metadata: dict[str, Any]) -> Vocabulary:
    """Return the vocabulary that a layer's metadata holds, else LLD's."""
    content = metadata.get(METADATA_KEY, {}).get("vocabulary")
    return Vocabulary.from_dict(content) if content else LLD


def layer_cells(data: Sequence[npt.NDArray[Any]], features: pd.DataFrame, metadata: dict[str, Any]) -> Cells:
    """Return the cells that a Shapes layer shows; shapes without area are left out."""
    boxes = to_boxes(data)
    solid = (boxes[:, 2:] > boxes[:, :2]).all(1)
    return Cells.from_frame(boxes[solid], features[solid].reset_index(drop=True), layer_vocabulary(metadata))


@dataclass
class Candidates:
    """All cells found on a picture, of which a layer shows those above a score.

    What the user does in the layer, edits, new boxes and deletions, is taken over before the layer changes.
    """

    rectangles: list[npt.NDArray[np.float64]]
    features: pd.DataFrame
    vocabulary: Vocabulary
    shown: set[str]

    @classmethod
    def of(cls, cells: Cells, index: Sequence[int], layer: Shapes) -> Candidates:
        """Return `cells`, all of which `layer` has just been made to show."""
        features = layer.features.copy()
        return cls(to_rectangles(cells.boxes, index), features, cells.vocabulary, set(features[ID]))

    def take_over(self, layer: Shapes) -> None:
        """Learn what the user changed in `layer` since it was last filled."""
        features = layer.features.reset_index(drop=True)
        rectangles = list(layer.data)
        again = features[ID].duplicated() | ~features[ID].isin(self.shown)
        features.loc[again, ID] = new_ids(int(again.sum()))
        features.loc[again, "score"] = 1.0
        hidden = ~self.features[ID].isin(self.shown)
        kept = [r for r, stay in zip(self.rectangles, hidden, strict=True) if stay]
        self.features = pd.concat([features, self.features[hidden]], ignore_index=True)
        self.rectangles = rectangles + kept

    def show(self, layer: Shapes, min_score: float) -> None:
        """Fill `layer` with the cells of at least `min_score`."""
        above = (self.features["score"] >= min_score).to_numpy()
        features = self.features[above].reset_index(drop=True)
        arguments = shapes_arguments(
            [r for r, stay in zip(self.rectangles, above, strict=True) if stay],
            features,
            self.vocabulary,
            layer.name,
            layer.ndim,
        )
        layer.selected_data = set()
        layer.data = []
        if arguments["data"]:
            layer.add(
                arguments["data"],
                shape_type="rectangle",
                edge_color=arguments["edge_color"],
                face_color="transparent",
                edge_width=arguments["edge_width"],
            )
        layer.features = features
        self.shown = set(features[ID])
