"""What is done to cells in a layer, by the review or by napari's own tools, becomes edits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel, _viewer_key_bindings
from napari.layers import Layer, Shapes
from napari.layers._source import layer_source
from napari.layers.shapes import _shapes_key_bindings
from napari.utils.colormaps.standardize_color import transform_color
from napari.utils.key_bindings import KeymapHandler, coerce_keybinding
from napari.utils.shortcuts import default_shortcuts

from bloodfilm.cells import Cells, Field, Scale
from bloodfilm.errors import UserError
from bloodfilm.io.coco import read_coco, write_coco
from bloodfilm.io.table import read_csv
from bloodfilm.napari.keys import keys, type_keys
from bloodfilm.napari.layers import METADATA_KEY, cells_layer, describe, layer_cells, to_boxes
from bloodfilm.napari.reader import read_labels
from bloodfilm.napari.recovery import restore, unsaved
from bloodfilm.napari.review import Review
from bloodfilm.napari.tuning.fields import add_cells, cells_of
from bloodfilm.napari.writer import layer_fields, write_coco_layer, write_csv_layer
from bloodfilm.palette import colour
from bloodfilm.review.journal import left, read
from bloodfilm.review.states import kept
from bloodfilm.vocabulary import LLD, Vocabulary

DRAWN = [[1, 1], [1, 9], [9, 9], [9, 1]]
Action = Callable[[Review], None]


def as_layer(cells: Cells, metadata: dict | None = None) -> Shapes:
    arguments = cells_layer(cells, "cells", metadata=metadata)
    return Shapes(arguments.pop("data"), **arguments)


@pytest.fixture
def review(cells: Cells) -> Review:
    """A review of three cells; the layer lives as long as it."""
    layer = as_layer(cells)
    review = Review.of(layer)
    review.keep_alive = layer
    return review


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


def test_rejected_cells_are_saved_and_count_nowhere(review: Review, tmp_path: Path) -> None:
    review.reject(review.ids[:1])
    cells = layer_cells(review.layer.data, review.layer.features, review.layer.metadata)
    assert len(cells) == 3 and len(kept(cells)) == 2


@pytest.mark.filterwarnings("ignore:.*not beside it")
@pytest.mark.parametrize("name", ["cells.json", "cells.csv"])
def test_the_review_is_saved_and_its_journal_ends(review: Review, tmp_path: Path, name: str) -> None:
    review.accept(review.ids[:1])
    review.layer.features.loc[1, "class"] = "Basophil"
    journal = review.session.journal.path
    path, layer = tmp_path / name, review.layer
    write = write_coco_layer if name.endswith("json") else write_csv_layer
    write(str(path), layer.data, layer.as_layer_data_tuple()[1])
    assert not journal.exists()
    (back,) = (field.cells for field in (read_coco if name.endswith("json") else read_csv)(path))
    assert back.class_names[1] == "Basophil"
    again = Review.of(again_layer := as_layer(back))
    names = ["id", "review", "reviewer", "reviewed_at"]
    pd.testing.assert_frame_equal(again_layer.features[names], layer.features[names])
    assert again.next_unreviewed() == review.ids[2]
    review.undo()
    assert review.session.journal.path == journal


@pytest.fixture
def opened(cells: Cells, write_picture: Callable[[str], Path]) -> Callable[[], tuple[ViewerModel, Review]]:
    """Open a picture with its cells in a viewer of its own."""
    path = write_picture("field.png")

    def open_picture() -> tuple[ViewerModel, Review]:
        viewer = ViewerModel()
        with layer_source(path=str(path)):
            viewer.add_image(np.zeros((160, 200, 3), np.uint8))
        picture = {"name": path.name, "width": 200, "height": 160}
        arguments = cells_layer(cells, "cells", metadata={"source": str(path), "pictures": {(): picture}})
        return viewer, Review.of(viewer.add_shapes(arguments.pop("data"), **arguments), viewer)

    return open_picture


def test_what_was_not_saved_is_restored_and_goes_on(opened: Callable[[], tuple[ViewerModel, Review]]) -> None:
    viewer, review = opened()
    review.show(0.6)
    for action in ACTIONS.values():
        if action is not paste:
            action(review)
    review.undo()
    then, undone = state(review), review.can_redo
    viewer.layers.remove(review.layer)
    viewer, _ = opened()
    (replayed,), problems = unsaved(viewer.layers[0])
    assert not problems
    layer = restore(viewer, viewer.layers[0], replayed)
    again = Review.of(layer)
    assert_same(again, then)
    assert again.can_redo == undone and again.session.journal.path.name == "field.png.review.jsonl"
    assert unsaved(viewer.layers[0]) == ([], [])
    again.redo()
    while again.can_undo:
        again.undo()
    np.testing.assert_array_equal(to_boxes(layer.data), to_boxes(opened()[1].layer.data)[[0, 2]])


def test_a_restored_review_knows_the_file_of_its_picture(opened: Callable[[], tuple[ViewerModel, Review]]) -> None:
    viewer, review = opened()
    path = review.session.source
    review.accept(review.ids)
    viewer.layers.remove(review.layer)
    ((replayed,), _) = unsaved(viewer.layers[0])
    restored = restore(viewer, viewer.layers[0], replayed)
    assert [field.path for field in layer_fields(restored.data, restored.as_layer_data_tuple()[1])] == [path]


def test_a_restored_review_is_of_the_pictures_that_were_searched(
    viewer_model: ViewerModel, cells: Cells, write_picture: Callable[[str], Path], tmp_path: Path
) -> None:
    fields = [Field(write_picture(name), cells[:0], 200, 160, name=name) for name in ("0.png", "1.png")]
    write_coco(tmp_path / "labels.json", fields)
    image = viewer_model.add_layer(Layer.create(*read_labels(str(tmp_path / "labels.json"))[0]))
    found = replace(cells, scale=Scale((0.1, 0.1), 0.01, 30, True, (1, 1)), novelty=2.0)
    told = {"picture": image.name, "pictures": {(1,): describe(Field(Path("1.png"), found, 200, 160, name="1.png"))}}
    arguments = cells_layer(found, "cells", (1,), told)
    review = Review.of(viewer_model.add_shapes(arguments.pop("data"), **arguments), viewer_model)
    review.accept(review.ids)
    viewer_model.layers.remove(review.layer)
    ((replayed,), _) = unsaved(image)
    restored = restore(viewer_model, image, replayed).metadata[METADATA_KEY]["pictures"]
    assert list(restored) == [(1,)]
    field = restored[1,]["field"]
    assert (field.path, field.cells.scale, field.cells.novelty) == (fields[1].path, found.scale, found.novelty)


def test_restored_cells_that_were_boxed_for_training_are_labelled_nowhere_yet(viewer_model, cells: Cells) -> None:
    image = viewer_model.add_image(np.zeros((160, 200, 3), np.uint8), rgb=True, name="field")
    review = Review.of(add_cells(viewer_model, image, {(): cells}), viewer_model)
    review.accept(review.ids)
    viewer_model.layers.remove(review.layer)
    ((replayed,), _) = unsaved(image)
    viewer_model.layers.remove(image)
    again = viewer_model.add_image(np.zeros((160, 200, 3), np.uint8), rgb=True, name="field")
    restored = restore(viewer_model, again, replayed)
    assert cells_of(viewer_model, again) is restored
    (field,) = layer_fields(restored.data, restored.as_layer_data_tuple()[1])
    assert field.labelled_regions.shape == (0, 4)


def test_a_broken_line_is_named_and_what_is_before_it_restored(
    opened: Callable[[], tuple[ViewerModel, Review]],
) -> None:
    viewer, review = opened()
    for cell in review.ids:
        review.accept([cell])
    path = review.session.journal.path
    viewer.layers.remove(review.layer)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:2], lines[2][:50], *lines[3:]]))
    ((replayed,), _) = unsaved(viewer.layers[0])
    assert "line 3 is broken" in replayed.problem and "1 edits before it" in replayed.problem
    again = Review.of(restore(viewer, viewer.layers[0], replayed))
    assert list(again.layer.features["review"]) == ["accepted", "", ""]
    assert path.with_name("field.png.review.jsonl.broken").exists()
    viewer.layers.remove(again.layer)
    assert len(unsaved(viewer.layers[0])[0]) == 1


def test_two_windows_keep_two_journals_and_do_not_restore_each_others(
    opened: Callable[[], tuple[ViewerModel, Review]],
) -> None:
    (viewer, first), (_, second) = opened(), opened()
    first.accept(first.ids)
    second.reject(second.ids)
    assert first.session.journal.path != second.session.journal.path
    assert unsaved(viewer.layers[0]) == ([], [])
    assert left(first.session.source, "") == []


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


def press(review: Review, *names: str) -> None:
    """Press keys as napari does while the layer is active."""
    handler = KeymapHandler()
    handler.keymap_providers = [review.layer]
    for name in names:
        handler.press_key(coerce_keybinding(name))


def test_every_key_of_the_review_is_free_in_napari(review: Review) -> None:
    of_napari = {
        str(coerce_keybinding(key))
        for action, shortcuts in default_shortcuts.items()
        for key in shortcuts
        if action in {f"napari:{name}" for name in dir(_shapes_key_bindings)} or action in _viewer_actions()
    }
    of_napari |= {str(key) for cls in (Shapes, *Shapes.__mro__) for key in getattr(cls, "class_keymap", {})}
    assert of_napari > {"R", "Ctrl+C"}
    ours = [str(coerce_keybinding(key.key)) for key in keys(review.vocabulary)]
    assert not of_napari & set(ours)
    assert len(set(ours)) == len(ours) == 5 + 14 + 7 + 2


def _viewer_actions() -> set[str]:
    return {f"napari:{name}" for name in dir(_viewer_key_bindings)}


def test_cells_are_reviewed_by_key(review: Review) -> None:
    press(review, "N", "Y", "N", "J", "N", "Shift+Q", "Shift+O")
    features = review.layer.features
    assert list(features["review"]) == ["accepted", "rejected", "changed"]
    assert (features["class"][2], features["nucleolus"][2]) == ("Myeloblast", "inconspicuous")
    press(review, "Shift+O")
    assert review.layer.features["nucleolus"][2] == "prominent"
    press(review, *["Ctrl+Z"] * 5)
    assert set(review.layer.features["review"]) == {""}
    press(review, *["Ctrl+Shift+Z"] * 5)
    assert list(review.layer.features["review"]) == ["accepted", "rejected", "changed"]


def test_one_key_a_cell_is_enough(review: Review) -> None:
    review.goes_on, told = True, []
    review.told.connect(told.append)
    press(review, "Y", "N", "Shift+A", "Shift+D", "J", "N")
    assert list(review.layer.features["class"][:2]) == ["Neutrophil", "Monocyte"]
    assert list(review.layer.features["review"]) == ["accepted", "changed", "rejected"]
    assert "Select a cell first" in told[0] and "All cells are reviewed" in told[-1]


def test_doubtful_cells_come_one_after_the_other(review: Review) -> None:
    wanted = review.most_doubtful(3)
    seen = []
    for _ in range(4):
        press(review, "U")
        seen += review.selected
    assert seen == [*wanted, wanted[0]]


def test_other_vocabularies_have_keys_too() -> None:
    names = ("Neutrophil", "Plasma cell", "Smudge cell", *(f"type {n}" for n in range(20)))
    found = type_keys(Vocabulary(names))
    assert found["A"] == "Neutrophil" and found["S"] == "Plasma cell"
    assert len(found) == 14


def test_what_the_model_reads_replaces_what_was_there_and_can_be_undone(review: Review, cells: Cells) -> None:
    review.accept(review.ids)
    before, wanted = state(review), []
    review.reading_wanted.connect(wanted.append)
    select(review, 1)
    press(review, "M")
    assert wanted == [review.ids[1:2]]
    review.set_readings(wanted[0], replace(cells[:1], scores=[1.0]))
    row = review.layer.features.iloc[1]
    assert (row["class"], row["nucleolus"], row["review"]) == ("Neutrophil", "prominent", "")
    assert (row["class_score"], row["score"]) == (pytest.approx(0.8), 0.5)
    review.undo()
    assert_same(review, before)


def test_names_that_are_numbers_are_words_to_a_review(cells: Cells) -> None:
    layer = as_layer(cells)
    layer.features = layer.features.assign(id=np.arange(len(cells)))
    review = Review.of(layer)
    review.accept(["1"])
    assert list(review.table["review"]) == ["", "accepted", ""]
