from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Shapes
from napari.utils.colormaps.standardize_color import transform_color

from bloodfilm.cells import Cells
from bloodfilm.napari.layers import Candidates, cells_layer, layer_cells, spatial, to_boxes, to_rectangles
from bloodfilm.palette import colour
from bloodfilm.vocabulary import LLD

DRAWN = [[1, 1], [1, 9], [9, 9], [9, 1]]


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
    return Candidates.of(layer), layer


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


@pytest.mark.parametrize("min_score", [0.0, 0.6, 0.95], ids=["all shown", "some shown", "none shown"])
def test_drawn_cells_are_sure_and_have_their_own_name_but_no_type(
    shown: tuple[Candidates, Shapes], min_score: float
) -> None:
    candidates, layer = shown
    candidates.show(layer, min_score)
    layer.add([DRAWN, DRAWN], shape_type="rectangle")
    drawn = layer.features.iloc[-1]
    assert (drawn["class"], drawn["score"], drawn["nucleolus"]) == ("unknown type", 1.0, "not predicted")
    assert np.isnan(drawn["class_score"])
    assert layer.features["id"].is_unique and (layer.features["id"] != "").all()
    np.testing.assert_allclose(layer.edge_color[-1], transform_color(colour("unknown type", LLD.classes))[0])
    candidates.take_over(layer)
    candidates.show(layer, 0.95)
    assert layer.features["id"].iloc[-1] == drawn["id"]


def test_cells_drawn_in_an_opened_layer_have_no_type_either(cells: Cells) -> None:
    arguments = cells_layer(cells[:0], "cells", missing="not annotated")
    layer = Shapes(arguments.pop("data"), **arguments)
    layer.add(DRAWN, shape_type="rectangle")
    back = layer_cells(layer.data, layer.features, layer.metadata)
    assert back.scores.tolist() == [1.0]
    assert (back.codes == -1).all() and (back.attributes == -1).all()


def test_pasted_cells_get_their_own_name(shown: tuple[Candidates, Shapes]) -> None:
    _, layer = shown
    layer.selected_data = {0, 1}
    layer._copy_data()
    layer._paste_data()
    assert layer.nshapes == 5
    assert layer.features["id"].is_unique


@pytest.mark.parametrize("kind", ["polygon", "ellipse", "path", "line"])
def test_drawn_shapes_of_any_kind_outlive_the_filter(shown: tuple[Candidates, Shapes], kind: str) -> None:
    candidates, layer = shown
    corners = {"polygon": [*DRAWN, [5, -3]], "line": DRAWN[:2]}.get(kind, DRAWN)
    layer.add(corners, shape_type=kind)
    candidates.take_over(layer)
    candidates.show(layer, 0.95)
    candidates.take_over(layer)
    candidates.show(layer, 0.0)
    assert layer.shape_type.count("rectangle") == 3
    np.testing.assert_allclose(layer.data[layer.shape_type.index(kind)], corners)


def test_filtered_cells_keep_the_colour_of_their_type(shown: tuple[Candidates, Shapes]) -> None:
    candidates, layer = shown
    before = layer.edge_color[2].copy()
    candidates.show(layer, 0.6)
    row = int(np.argmin(layer.features["score"]))
    np.testing.assert_allclose(layer.edge_color[row], before)
