"""Cells that a user drew as the panel takes them."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Shapes
from reviewing import as_layer

from bloodfilm.cells import Cells
from bloodfilm.errors import UserError
from bloodfilm.napari.gallery.layer_cells import LayerCells
from bloodfilm.napari.gallery.measures import measuring
from bloodfilm.napari.layers import cells_layer
from bloodfilm.napari.review import Review

WHITE = pytest.approx([0xF2 / 255] * 3)


@pytest.mark.parametrize("left", [0, 2])
def test_a_cell_drawn_where_a_derived_column_colours_is_white_till_it_is_known(cells: Cells, left: int) -> None:
    arguments = cells_layer(cells, "cells", (1,))
    layer = Shapes(arguments.pop("data"), **arguments)
    known = LayerCells(layer)
    known.colour_by = "picture"
    review = Review.of(layer)
    review.colours = known.box_colours
    layer.selected_data = set(range(left, 3))
    layer.remove_selected()
    known.reload()
    told = []
    review.changed.connect(told.append)
    layer.add([[1, 1, 1], [1, 1, 9], [1, 9, 9], [1, 9, 1]], shape_type="rectangle")
    assert told == [review.ids[-1:]]
    assert layer.edge_color[-1, :3].tolist() == WHITE


@pytest.mark.parametrize("shape", [[[5, 5], [5, 40]], [[9, 9], [9, 9], [9, 9]]])
def test_what_has_no_area_is_not_measured(cells: Cells, picture: np.ndarray, shape: list[list[int]]) -> None:
    layer = as_layer(cells)
    layer.add(shape, shape_type="path")
    known = LayerCells(layer)
    with pytest.raises(UserError, match="no area"):
        measuring(Image(picture, rgb=True), known, 3)
