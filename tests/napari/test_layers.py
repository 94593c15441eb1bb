from __future__ import annotations

import numpy as np
from napari.layers import Image, Shapes

from bloodfilm.cells import Cells
from bloodfilm.napari.layers import cells_layer, layer_cells, spatial, to_boxes, to_rectangles


def as_layer(cells: Cells) -> Shapes:
    arguments = cells_layer(cells, "cells")
    return Shapes(arguments.pop("data"), **arguments)


def test_boxes_survive_the_way_to_rectangles_and_back(cells: Cells) -> None:
    np.testing.assert_array_equal(to_boxes(to_rectangles(cells.boxes, (3,))), cells.boxes)


def test_rectangles_of_a_stack_lie_on_their_slice(cells: Cells) -> None:
    assert all((rectangle[:, 0] == 3).all() for rectangle in to_rectangles(cells.boxes, (3,)))


def test_all_columns_survive_the_way_through_a_layer(cells: Cells) -> None:
    layer = as_layer(cells)
    back = layer_cells(layer.data, layer.features, layer.metadata)
    np.testing.assert_array_equal(back.codes, cells.codes)
    np.testing.assert_array_equal(back.attributes, cells.attributes)
    np.testing.assert_allclose(back.scores, cells.scores)
    np.testing.assert_allclose(back.attribute_scores, cells.attribute_scores)


def test_shapes_without_area_are_left_out(cells: Cells) -> None:
    layer = as_layer(cells)
    layer.add([[[5, 5], [5, 5], [5, 5], [5, 5]]], shape_type="rectangle")
    assert len(layer_cells(layer.data, layer.features, layer.metadata)) == len(cells)


def test_types_and_attributes_are_categories_in_the_table(cells: Cells) -> None:
    features = as_layer(cells).features
    assert list(features["class"].cat.categories[-2:]) == ["Basophil", "unknown type"]
    assert features["nucleolus"].iloc[1] == "not predicted"


def test_a_layer_takes_the_place_of_its_picture_in_the_world() -> None:
    image = Image(np.zeros((8, 8)), scale=(0.5, 0.5), translate=(3, 4), rotate=30, units=("um", "um"))
    copy = Shapes(ndim=2, **spatial(image))
    np.testing.assert_allclose(copy.data_to_world((2, 5)), image.data_to_world((2, 5)))
    assert copy.units == image.units


def test_cells_drawn_in_an_opened_layer_have_no_type_either(cells: Cells) -> None:
    arguments = cells_layer(cells[:0], "cells", missing="not annotated")
    layer = Shapes(arguments.pop("data"), **arguments)
    layer.add([[1, 1], [1, 9], [9, 9], [9, 1]], shape_type="rectangle")
    back = layer_cells(layer.data, layer.features, layer.metadata)
    assert back.scores.tolist() == [1.0]
    assert (back.codes == -1).all() and (back.attributes == -1).all()
