"""The review is saved, and what was not saved is restored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel
from napari.layers import Layer
from napari.layers._source import layer_source
from reviewing import ACTIONS, as_layer, assert_same, paste, state

from bloodfilm.cells import Cells, Field, Scale
from bloodfilm.io.coco import read_coco, write_coco
from bloodfilm.io.table import read_csv
from bloodfilm.napari.layers import METADATA_KEY, cells_layer, describe, layer_cells, to_boxes
from bloodfilm.napari.reader import read_labels
from bloodfilm.napari.recovery import restore, unsaved
from bloodfilm.napari.review import Review
from bloodfilm.napari.tuning.fields import add_cells, cells_of
from bloodfilm.napari.writer import layer_fields, write_coco_layer, write_csv_layer
from bloodfilm.review.journal import left
from bloodfilm.review.states import kept


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


def test_cells_of_which_no_picture_is_known_are_restored(viewer_model: ViewerModel, cells: Cells) -> None:
    layer = viewer_model.add_layer(as_layer(cells))
    review = Review.of(layer, viewer_model)
    review.accept(review.ids[:1])
    viewer_model.layers.remove(layer)
    again = viewer_model.add_layer(as_layer(cells))
    (replayed,), problems = unsaved(again)
    assert not problems
    assert list(restore(viewer_model, again, replayed).features["review"]) == ["accepted", "", ""]


def test_a_folder_that_is_opened_as_a_dot_is_reviewed_and_restored(
    viewer_model: ViewerModel,
    field: Field,
    write_picture: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, folder = "4_8_1000_ALL.png", tmp_path / "H_100X_C2"
    write_picture(f"H_100X_C2/Images/train/{name}")
    write_coco(folder / "json_labels" / "train.json", [Field(Path(name), field.cells, 200, 160, name=name)])
    monkeypatch.chdir(folder)
    with layer_source(path="."):
        image, labels = (viewer_model.add_layer(Layer.create(*data)) for data in read_labels("."))
    review = Review.of(labels, viewer_model)
    review.accept(review.ids[:1])
    labels.remove([1])
    assert review.session.journal.path == tmp_path / "H_100X_C2.review.jsonl"
    viewer_model.layers.remove(labels)
    monkeypatch.chdir(tmp_path)
    ((replayed,), _) = unsaved(labels)
    assert list(replayed.history.table["review"]) == ["accepted", ""]


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
