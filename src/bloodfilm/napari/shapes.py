"""The shapes of a Shapes layer as a table, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from bloodfilm.napari.layers import drawn_features
from bloodfilm.review.edits import ID, KIND, SHAPE, VERTICES

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Shapes

TINY, ZOOMED = 0.08, 0.3
"""Shares of the canvas: a cell that is smaller than the first is zoomed to the second."""


def frame_of(layer: Shapes, shapes: bool = True) -> pd.DataFrame:
    """Return the features of `layer`, and its `shapes`, as a table of `bloodfilm.review.edits`."""
    features = layer.features
    ids = features[ID].astype(object).fillna("").map(str) if ID in features else [""] * len(features)
    table = features.drop(columns=ID, errors="ignore").set_axis(pd.Index(ids, name=ID, dtype=object))
    if not shapes:
        return table
    columns = ([np.array(shape) for shape in layer.data], list(layer.shape_type))
    return table.assign(**{n: pd.Series(c, table.index, dtype=object) for n, c in zip(SHAPE, columns, strict=True)})


def fill(layer: Shapes, shapes: pd.DataFrame, features: pd.DataFrame, colours: npt.NDArray[np.float32]) -> None:
    """Make `layer` show other shapes, the columns `SHAPE`, with their features and the colours of their edges."""
    width = layer.edge_width[0] if layer.nshapes else layer.current_edge_width
    layer.selected_data = set()
    with layer.events.features.blocker():
        layer.data = []
        if len(shapes):
            drawn = list(zip(shapes[VERTICES], shapes[KIND], strict=True))
            layer.add(drawn, edge_color=colours, face_color="transparent", edge_width=width)
    set_features(layer, features)


def set_features(layer: Shapes, features: pd.DataFrame, columns: Iterable[str] | None = None) -> None:
    """Give `layer` its features, and what a shape that the user draws has of each.

    If it is known which `columns` changed, and they hold values of the same types as before, napari need not look
    through all others: 25 ms for 10,000 shapes.
    """
    shown = layer.features
    if columns is not None and shown.dtypes.equals(features.dtypes):
        for name in (ID, *columns):  # a user may have changed ids, which count for nothing
            shown[name] = features[name]
        layer.events.features()
    else:
        layer.features = features
        layer.feature_defaults = drawn_features(features)


def cut_surplus(layer: Shapes) -> None:
    """Take from `layer` the last features and colours where it has more of them than shapes.

    napari leaves those of a path or polygon that was begun and given up.
    """
    count, view = layer.nshapes, layer._data_view
    if len(layer.features) > count:
        view._edge_color, view._face_color = view._edge_color[:count], view._face_color[:count]
        layer.features = layer.features.iloc[:count]


def draw_selections_once(layer: Shapes) -> None:
    """Keep napari from drawing all shapes of `layer` anew at each selection, for a width of edges that stays.

    It makes that of the selected shapes the current one and announces this, whereupon all shapes are uploaded: at
    10,000 of them a quarter of what a selection takes.
    """
    announced, selection = layer.events.edge_width, layer.selected_data.events.items_changed
    blocked: list[bool] = []

    def before() -> None:
        if not blocked and set(layer.edge_width) == {layer.current_edge_width}:
            blocked.append(True)
            announced.block()

    def after() -> None:
        if blocked:
            blocked.clear()
            announced.unblock()

    selection.connect(before, priority=1)
    selection.connect(after, priority=-1)


def recolour(layer: Shapes, rows: Sequence[int], colours: npt.NDArray[np.float32]) -> None:
    """Give the edges of some shapes of `layer` their `colours` (N, 4), those that have others.

    Setting `Shapes.edge_color` does it for all shapes one by one: a quarter of a second for 10,000.
    """
    chosen = np.asarray(rows, int)
    other = ~np.isclose(layer.edge_color[chosen], colours, atol=1e-3).all(1)
    if other.any():
        layer._data_view.update_edge_colors(chosen[other].tolist(), colours[other])
        layer.events.edge_color()


def go_to(viewer: ViewerModel, layer: Shapes, points: npt.ArrayLike) -> None:
    """Bring what lies around `points` (N, D) of `layer` to the middle of the canvas, on its slice of a stack.

    The zoom changes only where it would be tiny, or not fit.
    """
    points = np.asarray(points, float)
    low, high = (np.asarray(layer.data_to_world(corner)) for corner in (points.min(0), points.max(0)))
    centre, first = (low + high) / 2, viewer.dims.ndim - len(low)
    for axis, value in enumerate(centre[:-2]):
        viewer.dims.set_point(first + axis, float(value))
    camera, side, room = viewer.scene.camera, float(np.abs(high - low)[-2:].max()), float(min(viewer.canvas.size))
    camera.center = (0.0, *centre[-2:].tolist())
    if side and not TINY < side * camera.zoom / room < 1:
        camera.zoom = ZOOMED * room / side
