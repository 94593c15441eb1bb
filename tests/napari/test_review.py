"""What is done to cells in a layer, by the review or by napari's own tools, becomes edits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel
from napari.layers import Shapes
from napari.layers.shapes._shapes_key_bindings import finish_drawing_shape
from napari.layers.shapes._shapes_mouse_bindings import initiate_polygon_draw
from napari.utils.colormaps.standardize_color import transform_color
from reviewing import ACTIONS, as_layer, assert_same, draw, paste, select, state

from bloodfilm.cells import Cells
from bloodfilm.errors import UserError
from bloodfilm.napari.layers import cells_layer
from bloodfilm.napari.review import Review
from bloodfilm.palette import colour
from bloodfilm.review.journal import read
from bloodfilm.vocabulary import LLD


@pytest.mark.parametrize("name", ACTIONS)
def test_any_edit_is_undone_redone_and_in_the_journal(review: Review, name: str) -> None:
    before, ids = state(review), []
    review.changed.connect(ids.append)
    ACTIONS[name](review)
    after = state(review)
    assert len(ids) == 1 and ids[0]
    assert not after[0].equals(before[0]) or len(after[1]) != len(before[1])
    review.undo()
    assert_same(review, before)
    assert not review.can_undo
    review.redo()
    assert_same(review, after)
    assert_journal_has(review)


def assert_journal_has(review: Review) -> None:
    assert review.session.journal is not None
    again = read(review.session.journal.path)
    assert not again.problem
    pd.testing.assert_frame_equal(again.history.table, review.table, check_index_type=False)


def test_many_edits_of_all_kinds_are_undone_one_by_one(review: Review) -> None:
    states = [state(review)]
    for action in ACTIONS.values():
        action(review)
        states.append(state(review))
    for then in reversed(states[:-1]):
        review.undo()
        assert_same(review, then)
    for then in states[1:]:
        review.redo()
        assert_same(review, then)
    assert_journal_has(review)


def test_an_edit_after_an_undo_ends_what_could_be_redone(review: Review) -> None:
    review.accept(review.ids[:1])
    review.undo()
    review.reject(review.ids[:1])
    assert (review.can_undo, review.can_redo) == ("reject", "")


def test_drawn_and_pasted_cells_are_new_sure_and_inherit_nothing(review: Review) -> None:
    review.accept(review.ids)
    select(review, 0)
    draw(review)
    paste(review)
    new = review.layer.features.iloc[3:]
    assert len(new) == 3 and review.layer.features["id"].is_unique
    assert set(new["class"]) == {"unknown type"} and set(new["nucleolus"]) == {"not predicted"}
    assert set(new["score"]) == {1.0} and new["class_score"].isna().all()
    assert set(new["review"]) == set(new["reviewer"]) == {""}
    np.testing.assert_allclose(review.layer.edge_color[-1], transform_color(colour("unknown type", LLD.classes))[0])


def test_a_reading_that_is_replaced_loses_its_score_and_one_that_is_confirmed_does_not(review: Review) -> None:
    review.reviewer = "Ada"
    review.set_class(review.ids[:2], "Neutrophil")
    first, second = review.layer.features.iloc[0], review.layer.features.iloc[1]
    assert (first["review"], second["review"]) == ("accepted", "changed")
    assert first["class_score"] == pytest.approx(0.8) and np.isnan(second["class_score"])
    assert first["reviewer"] == "Ada" and first["reviewed_at"].endswith("+00:00")


def test_a_word_that_is_none_is_an_error(review: Review) -> None:
    with pytest.raises(ValueError, match="no type"):
        review.set_class(review.ids, "Giraffe")
    with pytest.raises(ValueError, match="never"):
        review.set_attribute(review.ids, "nucleolus", "open")


@pytest.mark.parametrize("missing", ["not predicted", "not annotated"])
def test_a_wrong_word_is_cleared_and_without_a_word_there_is_no_score(cells: Cells, missing: str) -> None:
    arguments = cells_layer(cells, "cells", missing=missing)
    layer = Shapes(arguments.pop("data"), **arguments)
    review = Review.of(layer)
    review.set_attribute(review.ids[:1], "cell_size", missing)
    cleared = layer.features.iloc[0]
    assert (cleared["cell_size"], cleared["review"]) == (missing, "changed")
    assert np.isnan(cleared["cell_size_score"])
    review.undo()
    assert layer.features["cell_size"][0] != missing


@pytest.mark.parametrize("column", ["score", "class_score", "nucleolus_score"])
@pytest.mark.parametrize("score", [-0.1, 1.5, "many"])
def test_a_score_that_is_none_is_put_back_and_its_cell_named(review: Review, column: str, score: object) -> None:
    before, told = state(review), []
    review.told.connect(told.append)
    features = review.layer.features.copy()
    features[column] = features[column].astype(object)
    features.loc[1, column] = score
    review.layer.features = features
    assert_same(review, before)
    assert not review.can_undo and f"{review.ids[1]} in row 1: {column} cannot be {score}" in told[0]
    review.layer.features[column] = [0.0, 1.0, np.nan]
    review.sync()
    assert review.can_undo == column


@pytest.mark.parametrize("mode", ["add_polygon", "add_path", "add_polygon_lasso"])
def test_after_a_polygon_that_is_given_up_the_review_goes_on(review: Review, mode: str) -> None:
    layer, ids, before = review.layer, review.ids, state(review)
    select(review, 1)
    layer.mode = mode
    initiate_polygon_draw(layer, (1.0, 1.0))
    finish_drawing_shape(layer)
    assert_same(review, before)
    assert not review.can_undo
    layer.mode = "select"
    select(review, 0)
    layer.remove_selected()
    assert review.ids == ids[1:] and review.can_undo == "delete"
    review.accept(ids[1:2])
    assert list(layer.features["review"]) == ["accepted", ""]
    select(review, 1)
    draw(review)
    np.testing.assert_allclose(layer.edge_color, review.colours(layer.features))
    assert_journal_has(review)


def test_cells_beside_a_polygon_that_was_given_up_can_be_reviewed(cells: Cells) -> None:
    layer = as_layer(cells)
    layer.mode = "add_polygon"
    initiate_polygon_draw(layer, (1.0, 1.0))
    finish_drawing_shape(layer)
    assert len(Review.of(layer).ids) == len(cells)


def test_a_changed_id_is_put_back(review: Review) -> None:
    ids = review.ids
    review.layer.features.loc[1, "id"] = ids[0]
    review.accept(ids[:1])
    assert list(review.layer.features["id"]) == review.ids == ids


def test_the_measured_size_follows_a_moved_edge(cells: Cells) -> None:
    layer = as_layer(cells)
    layer.features = layer.features.assign(diameter_um=10.0)
    review = Review.of(layer)
    layer.data = [shape * 2 for shape in layer.data]
    draw(review)
    side = np.sqrt(np.prod(cells.boxes[0, 2:] - cells.boxes[0, :2]))
    np.testing.assert_allclose(layer.features["diameter_um"].iloc[:3], 20)
    assert 0 < layer.features["diameter_um"].iloc[3] < 20 * 8 / side * 2


def test_other_layers_are_refused() -> None:
    with pytest.raises(UserError, match="does not show cells"):
        Review.of(Shapes())


def test_the_score_hides_cells_nobody_reviewed_and_brings_them_back_and_is_no_edit(review: Review) -> None:
    ids = review.ids
    review.accept(ids[1:2])
    review.show(0.85)
    assert review.ids == ids[:2] and review.hidden == 1
    review.undo()
    assert review.ids == ids[:1]
    review.redo()
    draw(review)
    review.show(0.0)
    assert review.ids[:3] == ids and len(review.ids) == 4
    assert review.can_undo == "add"


def test_deleted_cells_stay_deleted_and_come_back_between_hidden_ones(review: Review) -> None:
    ids = review.ids
    review.show(0.6)
    select(review, 1)
    review.layer.remove_selected()
    review.show(0.0)
    assert review.ids == ids[:2]
    review.undo()
    assert review.ids == ids


def test_the_order_of_reviewing(review: Review) -> None:
    first, second, third = review.ids
    assert review.next_unreviewed() == first
    assert review.next_unreviewed(third) == first
    review.accept([first])
    assert review.next_unreviewed(third) == second
    assert review.most_doubtful(5) == [second, third]
    review.reject([second, third])
    assert review.next_unreviewed() is None and review.most_doubtful() == []


def test_the_canvas_goes_to_a_cell_of_a_stack(cells: Cells) -> None:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((3, 160, 200)), scale=(1, 0.5, 0.5))
    arguments = cells_layer(cells, "cells", (2,))
    layer = viewer.add_shapes(arguments.pop("data"), **arguments, scale=(1, 0.5, 0.5))
    review = Review.of(layer, viewer)
    review.go_to(review.ids[1])
    assert review.selected == review.ids[1:2]
    assert viewer.dims.point[0] == 2
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (65 / 2, 125 / 2))


def test_values_that_a_program_calculates_are_no_edit(review: Review) -> None:
    doubts = review.doubts()
    review.note_contradicted(review.ids[2], ["cell_size"])
    assert review.layer.features["contradicted"].tolist() == ["", "", "cell_size"]
    assert review.doubts().iloc[2] > doubts.iloc[2] and not review.can_undo
    review.set_attribute(review.ids[2:], "cell_size", "small")
    assert review.table["contradicted"].tolist() == [""] * 3, "it was measured for another word"
    review.undo()
    assert review.table["contradicted"].tolist() == ["", "", "cell_size"]
    review.layer.features["lobes"] = 3
    review.accept(review.ids[:1])
    review.undo()
    assert set(review.layer.features["lobes"]) == {3} and not review.can_undo


def test_an_edit_that_cannot_be_kept_is_not_made(review: Review, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("bloodfilm.review.journal.replacing", full)
    before, told = state(review), []
    review.told.connect(told.append)
    for action in ACTIONS.values():
        action(review)
        assert_same(review, before)
    assert len(told) == len(ACTIONS) and "No space left on device" in told[0]


def test_names_that_are_numbers_are_words_to_a_review(cells: Cells) -> None:
    layer = as_layer(cells)
    layer.features = layer.features.assign(id=np.arange(len(cells)))
    review = Review.of(layer)
    review.accept(["1"])
    assert list(review.table["review"]) == ["", "accepted", ""]
