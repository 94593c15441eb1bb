"""Reviews of a layer: every kind of edit, and all that the layer shows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from napari.layers import Shapes

from bloodfilm.cells import Cells
from bloodfilm.napari.layers import cells_layer
from bloodfilm.napari.review import Review

DRAWN = [[1, 1], [1, 9], [9, 9], [9, 1]]
Action = Callable[[Review], None]


def as_layer(cells: Cells, metadata: dict | None = None) -> Shapes:
    arguments = cells_layer(cells, "cells", metadata=metadata)
    return Shapes(arguments.pop("data"), **arguments)


def state(review: Review) -> tuple[pd.DataFrame, list[np.ndarray], list[str]]:
    """Return all that the layer shows but for who looked when."""
    layer = review.layer
    assert list(layer.features["id"]) == review.ids
    return layer.features.copy(), [shape.copy() for shape in layer.data], list(layer.shape_type)


def assert_same(review: Review, then: tuple[pd.DataFrame, list[np.ndarray], list[str]]) -> None:
    features, shapes, kinds = state(review)
    pd.testing.assert_frame_equal(features, then[0])
    assert kinds == then[2]
    for now, before in zip(shapes, then[1], strict=True):
        np.testing.assert_array_equal(now, before)
    np.testing.assert_allclose(review.layer.edge_color, review.colours(features))


def select(review: Review, *rows: int) -> None:
    review.layer.selected_data = set(rows)


def delete(review: Review) -> None:
    select(review, 0, 1)
    review.layer.remove_selected()


def draw(review: Review) -> None:
    review.layer.add(DRAWN, shape_type="rectangle")


def paste(review: Review) -> None:
    select(review, 0, 2)
    review.layer._copy_data()
    review.layer._paste_data()


def move(review: Review) -> None:
    review.layer.data = [shape + 5 * (row == 1) for row, shape in enumerate(review.layer.data)]


def edit_table(review: Review) -> None:
    review.layer.features.loc[0, "class"] = "Basophil"
    select(review, 1)


ACTIONS: dict[str, Action] = {
    "accept": lambda review: review.accept(review.ids[:2]),
    "reject": lambda review: review.reject(review.ids[1:]),
    "type": lambda review: review.set_class(review.ids, "Monocyte"),
    "attribute": lambda review: review.set_attribute(review.ids, "nucleolus", "prominent"),
    "delete": delete,
    "draw": draw,
    "draw another shape": lambda review: review.layer.add([*DRAWN, [5, -3]], shape_type="polygon"),
    "paste": paste,
    "move": move,
    "table": edit_table,
}
