"""The shapes of a Shapes layer as arrays: compared, filled in, brought to the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bloodfilm.napari.layers import to_boxes
from bloodfilm.review.edits import ID, KIND, SHAPE, VERTICES

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Shapes


def frame_of(layer: Shapes, shapes: bool = True) -> pd.DataFrame:
    """Return the features of `layer`, and its `shapes`, as a table of `bloodfilm.review.edits`."""
    features = layer.features
    ids = features[ID].astype(object).fillna("") if ID in features else [""] * len(features)
    table = features.drop(columns=ID, errors="ignore").set_axis(pd.Index(ids, name=ID, dtype=object))
    if not shapes:
        return table
    return table.assign(
        **{
            VERTICES: pd.Series(list(layer.data), table.index, dtype=object).map(np.array),
            KIND: pd.Series(list(layer.shape_type), table.index, dtype=object),
        }
    )


def fill(layer: Shapes, shapes: pd.DataFrame, features: pd.DataFrame, colours: npt.NDArray[np.float32]) -> None:
    """Make `layer` show other shapes, the columns `SHAPE`, with their features and the colours of their edges."""
    width = layer.edge_width[0] if layer.nshapes else layer.current_edge_width
    layer.selected_data = set()
    with layer.events.features.blocker():
        layer.data = []
        if len(shapes):
            drawn = list(zip(shapes[VERTICES], shapes[KIND], strict=True))
            layer.add(drawn, edge_color=colours, face_color="transparent", edge_width=width)
    layer.features = features


def differing(before: pd.Series, after: pd.Series) -> npt.NDArray[np.bool_]:
    """Tell which rows (N,) of two columns differ; what is missing in both does not."""
    if before.name == VERTICES:
        return _moved(list(before), list(after))
    if before.dtype == after.dtype and isinstance(before.dtype, pd.CategoricalDtype):
        return np.asarray(before.cat.codes.to_numpy() != after.cat.codes.to_numpy())
    if all(pd.api.types.is_float_dtype(column.dtype) for column in (before, after)):
        a, b = before.to_numpy(float), after.to_numpy(float)
        return np.asarray((a != b) & ~(np.isnan(a) & np.isnan(b)))
    a, b = before.to_numpy(object), after.to_numpy(object)
    return np.asarray((a != b) & ~(pd.isna(a) & pd.isna(b)), bool)


def _moved(before: list[npt.NDArray[Any]], after: list[npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    """Tell which of two lists of shapes (V, D) differ."""
    counts = [np.array([len(shape) for shape in shapes], int) for shapes in (before, after)]
    moved = np.asarray(counts[0] != counts[1])
    same = np.flatnonzero(~moved)
    if len(same):
        a, b = (np.concatenate([np.asarray(shapes[row], float) for row in same]) for shapes in (before, after))
        starts = np.concatenate([[0], np.cumsum(counts[0][same])[:-1]])
        moved[same] = np.logical_or.reduceat((a != b).any(1), starts)
    return moved


def areas(vertices: pd.Series) -> npt.NDArray[np.float64]:
    """Return the areas (N,) of the bounding boxes of shapes, in square pixels."""
    boxes = to_boxes(list(vertices)).astype(float)
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(1))


def centre_on(viewer: ViewerModel, vertices: npt.NDArray[Any], layer: Shapes) -> None:
    """Bring a shape of `layer` to the middle of the canvas, on its slice of a stack."""
    world = np.asarray(layer.data_to_world(np.asarray(vertices, float).mean(0)))
    ndim = len(world)
    if ndim > 2:
        viewer.dims.point = (*viewer.dims.point[:-ndim], *world[:-2], *viewer.dims.point[-2:])
    viewer.scene.camera.center = (*viewer.scene.camera.center[:-2], *world[-2:])
