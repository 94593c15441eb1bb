from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Shapes

from bloodfilm.cells import Cells
from bloodfilm.napari.layers import Candidates, cells_layer, layer_cells, spatial, to_boxes, to_rectangles


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


@pytest.fixture
def shown(cells: Cells) -> tuple[Candidates, Shapes]:
    layer = as_layer(cells)
    return Candidates.of(cells, (), layer), layer


def test_the_score_hides_cells_and_brings_them_back(shown: tuple[Candidates, Shapes]) -> None:
    candidates, layer = shown
    candidates.show(layer, 0.6)
    assert sorted(layer.features["score"]) == pytest.approx([0.7, 0.9])
    candidates.take_over(layer)
    candidates.show(layer, 0.0)
    assert layer.nshapes == 3


def test_edits_of_shown_cells_outlive_the_filter(shown: tuple[Candidates, Shapes]) -> None:
    candidates, layer = shown
    layer.features.loc[0, "class"] = "Basophil"
    candidates.take_over(layer)
    candidates.show(layer, 0.95)
    candidates.take_over(layer)
    candidates.show(layer, 0.0)
    edited = layer.features.loc[layer.features["score"].round(2) == 0.9, "class"]
    assert edited.tolist() == ["Basophil"]


def test_deleted_cells_stay_deleted(shown: tuple[Candidates, Shapes]) -> None:
    candidates, layer = shown
    layer.selected_data = {0}
    layer.remove_selected()
    candidates.take_over(layer)
    candidates.show(layer, 0.0)
    assert layer.nshapes == 2


def test_drawn_cells_get_their_own_name_and_are_sure(shown: tuple[Candidates, Shapes]) -> None:
    candidates, layer = shown
    layer.add([[[1, 1], [1, 9], [9, 9], [9, 1]]], shape_type="rectangle")
    candidates.take_over(layer)
    candidates.show(layer, 0.95)
    assert layer.features["score"].tolist() == [1.0]
    assert candidates.features["id"].is_unique


def test_filtered_cells_keep_the_colour_of_their_type(shown: tuple[Candidates, Shapes]) -> None:
    candidates, layer = shown
    before = layer.edge_color[2].copy()
    candidates.show(layer, 0.6)
    row = int(np.argmin(layer.features["score"]))
    np.testing.assert_allclose(layer.edge_color[row], before)
