"""Cells as napari Shapes layers and back; no window needed."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bloodfilm.cells import Cells, Field, Scale
from bloodfilm.io.polygons import rectangles
from bloodfilm.palette import colour
from bloodfilm.review.edits import ID
from bloodfilm.review.rules import blank_value
from bloodfilm.review.states import with_review
from bloodfilm.vocabulary import LLD, NOT_PREDICTED, Vocabulary

if TYPE_CHECKING:
    from napari.layers import Layer, Shapes

METADATA_KEY = "bloodfilm"
REGIONS_KEY = "labelled_regions"
ORIGIN = ("patient", "field", "magnification", "diagnosis")
UM_PER_PX = "um_per_px"
PICTURE_ID = "picture_id"
"""Of a layer's metadata: the picture that it was made for, whatever that is called now."""

WITHOUT_PICTURE = "without_picture"
"""Of a layer's metadata: if its labels were read where their picture was not; one opened since may be theirs."""

FOUND_KEY = "found"
"""Of a layer's metadata: what the Detect panel says of its result beside the counts."""

ELLIPSE = np.linspace(0, 2 * np.pi, 32, endpoint=False)
SPATIAL = ("scale", "translate", "rotate", "shear", "affine", "units")


def to_rectangles(boxes: npt.ArrayLike, index: Sequence[int] = ()) -> list[npt.NDArray[np.float64]]:
    """Return rectangles (4, len(index) + 2) in napari's order (row, column), at `index` of a stack."""
    corners = np.asarray(boxes, float).reshape(-1, 4)[:, [[1, 0], [1, 2], [3, 2], [3, 0]]]
    place = np.broadcast_to(np.asarray(index, float), (len(corners), 4, len(index)))
    return list(np.concatenate([place, corners], axis=2))


def to_boxes(shapes: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    """Return the bounding boxes (N, 4) as x0, y0, x1, y1 of shapes of any kind."""
    boxes = [[*shape[:, [-1, -2]].min(0), *shape[:, [-1, -2]].max(0)] for shape in map(np.asarray, shapes)]
    return np.array(boxes, np.float32).reshape(-1, 4)


def by_index(shapes: Sequence[npt.NDArray[Any]]) -> dict[tuple[int, ...], list[int]]:
    """Return the numbers of the shapes on each picture of the stack."""
    rows: dict[tuple[int, ...], list[int]] = {}
    for row, shape in enumerate(shapes):
        rows.setdefault(tuple(int(v) for v in np.rint(np.asarray(shape)[0, :-2])), []).append(row)
    return rows


def new_ids(count: int) -> list[str]:
    """Return names for new cells that no other cell has."""
    return [uuid.uuid4().hex[:8] for _ in range(count)]


def edge_colours(features: pd.DataFrame, vocabulary: Vocabulary) -> list[str]:
    """Return the colour of each cell's type."""
    return [colour(str(name), vocabulary.classes) for name in features.get("class", [])]


def drawn_features(features: pd.DataFrame) -> dict[str, Any]:
    """Return what a cell that the user draws has in each column: a sure cell without name, type and attributes."""
    return {str(name): blank_value(column) for name, column in features.items()}


def spatial(layer: Layer) -> dict[str, Any]:
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
    features = with_review(features)
    if ID not in features:
        features.insert(0, ID, pd.Series(new_ids(len(cells)), dtype=str))
    about = {"vocabulary": cells.vocabulary.to_dict(), **(metadata or {})}
    if cells.scale and cells.scale.sure:
        about[UM_PER_PX] = cells.scale.um_per_px
    return shapes_arguments(to_rectangles(cells.boxes, index), features, cells.vocabulary, name, len(index) + 2) | {
        "metadata": {METADATA_KEY: about}
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
        "feature_defaults": drawn_features(features),
        "edge_color": edge_colours(features, vocabulary) or "white",
        "face_color": "transparent",
        "edge_width": min(max(side / 30, 1.0), 8.0),
        "opacity": 1.0,
    }


def picture_id(layer: Layer) -> str:
    """Return what the layers on the picture `layer` have as their `PICTURE_ID`."""
    return str(layer.metadata.get(METADATA_KEY, {}).get(PICTURE_ID, layer.unique_id))


def regions_layer(picture: str, ndim: int, of: str) -> dict[str, Any]:
    """Return the arguments of a Shapes layer for the parts in which cells are labelled of a picture.

    `of` is the picture's `PICTURE_ID`.
    """
    return {
        "name": f"{picture} labelled regions",
        "ndim": ndim,
        "shape_type": "rectangle",
        "edge_color": "white",
        "edge_width": 2,
        "face_color": "transparent",
        "metadata": {METADATA_KEY: {REGIONS_KEY: True, "picture": picture, PICTURE_ID: of}},
    }


def labelled_regions(layer: Shapes | None, rows: Sequence[int], size: tuple[float, float]) -> npt.NDArray[np.float32]:
    """Return the shapes of a layer as rectangles (R, 4), cut at the edges of a picture of `size`."""
    parts = [np.empty((0, 4), np.float32)]
    shapes, kinds = (layer.data, layer.shape_type) if layer is not None else ([], [])
    for row in rows:
        shape, kind = np.asarray(shapes[row])[:, -2:], kinds[row]
        if kind == "rectangle" and _upright(shape):
            parts.append(to_boxes([shape]))
            continue
        if kind == "ellipse":
            middle, half = shape.mean(0), np.ptp(shape, axis=0) / 2
            shape = middle + half * np.stack((np.sin(ELLIPSE), np.cos(ELLIPSE)), 1)
        parts.append(rectangles(shape[:, ::-1].ravel()))
    boxes = np.clip(np.concatenate(parts), 0, np.array(size * 2, np.float32))
    return np.asarray(boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)], np.float32)


def _upright(shape: npt.NDArray[Any]) -> bool:
    return all(len(np.unique(shape[:, axis].round(2))) == 2 for axis in (0, 1))


def describe(field: Field) -> dict[str, Any]:
    """Return what a layer's metadata say of the picture of `field`: all that is known of it but the cells."""
    told = {"name": field.name, "width": field.width, "height": field.height}
    return told | {"field": replace(field, cells=field.cells[:0])}


def plain(told: dict[str, Any]) -> dict[str, Any]:
    """Return what `describe` tells of a picture and its search as plain values; `described` is the way back."""
    kept = {name: told[name] for name in ("name", "width", "height")}
    if "field" in told:
        cells, regions = told["field"].cells, told["field"].labelled_regions
        kept |= {"scale": cells.scale and asdict(cells.scale), "novelty": cells.novelty}
        kept["labelled_regions"] = None if regions is None else regions.tolist()
    return kept


def described(kept: dict[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    """Return what `describe` told of a picture, of which `plain` kept plain values."""
    told = {name: kept[name] for name in ("name", "width", "height")}
    scale = kept.get("scale")
    if scale:
        scale = Scale(**scale | {name: tuple(scale[name]) for name in ("um_per_px", "resized")})
    cells = replace(Cells.empty(vocabulary), scale=scale, novelty=kept.get("novelty"))
    field = Field(Path(told["name"]), cells, told["width"], told["height"], name=told["name"])
    regions = kept.get("labelled_regions")
    if regions is not None:
        field = replace(field, labelled_regions=np.array(regions, np.float32).reshape(-1, 4))
    return told | {"field": field}


def layer_vocabulary(metadata: dict[str, Any]) -> Vocabulary:
    """Return the vocabulary that a layer's metadata holds, else LLD's."""
    content = metadata.get(METADATA_KEY, {}).get("vocabulary")
    return Vocabulary.from_dict(content) if content else LLD


def layer_cells(
    data: Sequence[npt.NDArray[Any]],
    features: pd.DataFrame,
    metadata: dict[str, Any],
    size: tuple[float, float] = (np.inf, np.inf),
) -> Cells:
    """Return the cells that a Shapes layer shows, cut at the edges of a picture of `size` (width, height).

    Shapes without area inside the picture are left out.
    """
    boxes = np.clip(to_boxes(data), 0, np.array(size * 2, np.float32))
    solid = (boxes[:, 2:] > boxes[:, :2]).all(1)
    return Cells.from_frame(boxes[solid], features[solid].reset_index(drop=True), layer_vocabulary(metadata))
