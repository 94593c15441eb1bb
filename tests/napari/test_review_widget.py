"""The Review panel in a real window."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image as Pillow

from bloodfilm.cells import Field
from bloodfilm.io.coco import write_coco
from bloodfilm.io.table import write_csv
from bloodfilm.napari.layers import PICTURE_ID, cells_layer, picture_id
from bloodfilm.napari.review import Review
from bloodfilm.napari.review_widget import NOTHING, ReviewWidget
from bloodfilm.synth import sample_field


@pytest.fixture
def panel(window) -> Iterator[ReviewWidget]:
    _, widget = window.window.add_plugin_dock_widget("bloodfilm", "Review cells")
    yield widget
    if widget.parent() is not None:
        window.window.remove_dock_widget(widget)


def open_sample(viewer, name: str = "field"):
    """Show the sample field with its cells, none of which has type or attributes; return their layer."""
    picture, cells = sample_field()
    viewer.add_image(picture, rgb=True, name=name)
    metadata = {
        "picture": name,
        "pictures": {(): {"name": name, "width": picture.shape[1], "height": picture.shape[0]}},
    }
    arguments = cells_layer(type(cells)(cells.boxes), "cells", metadata=metadata)
    return viewer.add_shapes(arguments.pop("data"), **arguments)


def test_the_panel_tells_how_far_one_is_and_the_keys(panel: ReviewWidget) -> None:
    assert panel.message.text() == NOTHING
    layer = open_sample(panel.viewer)
    panel.reviewer.setText("Ada")
    panel.reviewer.editingFinished.emit()
    review = Review.of(layer)
    review.accept(review.ids[:2])
    assert (panel.progress.value(), panel.progress.maximum()) == (2, len(review.ids))
    assert panel.undo.text() == "Undo accept" and not panel.redo.isEnabled()
    assert "Neutrophil" in panel.keys.text() and "⇧ A" in panel.keys.text()
    assert set(review.shown["reviewer"][:2]) == {"Ada"}
    panel.undo.click()
    assert panel.progress.value() == 0 and panel.redo.text() == "Redo accept"
    panel.viewer.layers.remove(layer)
    assert panel.review is None and panel.message.text() == NOTHING


def test_the_model_reads_a_box_that_was_drawn(panel: ReviewWidget, qtbot) -> None:
    layer = open_sample(panel.viewer)
    review = Review.of(layer)
    layer.add([layer.data[0] + 1], shape_type="rectangle")
    review.go_to(review.ids[-1])
    review.reading_wanted.emit(review.selected)
    qtbot.waitUntil(lambda: review.can_undo == "reading", timeout=120_000)
    drawn = layer.features.iloc[-1]
    assert drawn["class"] == "unknown type" or np.isfinite(drawn["class_score"])
    assert np.isfinite(layer.features.iloc[-1]["nuclear_shape_score"]) or drawn["nuclear_shape"] == "not predicted"
    assert drawn["score"] == 1 and drawn["review"] == ""
    assert panel.message.text() == ""


def test_the_model_reads_the_picture_below_the_cells(panel: ReviewWidget, field: Field, tmp_path) -> None:
    for number, size in enumerate(((200, 160), (100, 90))):
        path = tmp_path / str(number) / "field.png"
        path.parent.mkdir()
        Pillow.new("RGB", size).save(path)
        write_coco(path.with_name("labels.json"), [Field(path, field.cells[:1], *size, name="field.png")])
        *_, layer = panel.viewer.open(str(path.with_name("labels.json")), plugin="bloodfilm")
    review = Review.of(layer, panel.viewer)
    image, part = panel._picture_of(review, review.ids)
    assert (image.name, part.load().shape) == ("labels [1]", (90, 100, 3))


def test_why_the_model_cannot_read_is_told_once(panel: ReviewWidget, qtbot, monkeypatch) -> None:
    monkeypatch.setattr("bloodfilm.napari.pictures.MAX_BYTES", 1000)
    review = Review.of(open_sample(panel.viewer))
    with qtbot.captureExceptions() as uncaught:
        review.reading_wanted.emit(review.ids[:1])
        qtbot.waitUntil(lambda: "too many at once" in panel.message.text() and panel.read.isEnabled())
    assert uncaught == []


def test_what_was_not_saved_of_labels_without_pictures_is_offered_when_they_open(panel, tmp_path, cells) -> None:
    path = tmp_path / "cells.csv"
    write_csv(path, [Field(tmp_path / "gone.png", cells, 200, 160, name="gone.png")])
    with pytest.warns(UserWarning, match="not beside it"):
        (layer,) = panel.viewer.open(str(path), plugin="bloodfilm")
    Review.of(layer).reject(Review.of(layer).ids[:1])
    panel.viewer.layers.clear()
    assert not panel.recovery.isVisibleTo(panel)
    with pytest.warns(UserWarning, match="not beside it"):
        panel.viewer.open(str(path), plugin="bloodfilm")
    assert "1 edit of the cells on" in panel.unsaved.text()
    panel.restore.click()
    restored = panel.viewer.layers[-1]
    assert list(restored.features["review"]) == ["rejected", "", ""]
    assert not panel.recovery.isVisibleTo(panel)
    image = panel.viewer.add_image(np.zeros((160, 200)), name="moved")
    assert panel._picture_of(Review.of(restored), Review.of(restored).ids)[0].name == image.name


def test_the_model_does_not_read_another_picture_when_that_of_the_cells_is_gone(panel, cells) -> None:
    image = panel.viewer.add_image(np.zeros((160, 200)), name="field")
    panel.viewer.add_image(np.zeros((160, 200)), name="other")
    layer = panel.viewer.add_shapes(**cells_layer(cells, "field cells", metadata={PICTURE_ID: picture_id(image)}))
    panel.viewer.layers.remove(image)
    review = Review.of(layer, panel.viewer)
    review.reading_wanted.emit(review.ids)
    assert panel.message.text().startswith("Open the picture of these cells") and panel.read.isEnabled()


def test_what_was_not_saved_is_offered_when_its_picture_opens(panel: ReviewWidget) -> None:
    layer = open_sample(panel.viewer)
    assert not panel.recovery.isVisibleTo(panel)
    review = Review.of(layer)
    review.reject(review.ids[:3])
    panel.viewer.layers.clear()
    panel.viewer.add_image(np.zeros((10, 10)), name="field")
    assert not panel.recovery.isVisibleTo(panel)
    panel.viewer.layers.clear()
    panel.viewer.add_image(sample_field()[0], rgb=True, name="field")
    assert "1 edit of the cells on field" in panel.unsaved.text()
    panel.restore.click()
    assert list(panel.viewer.layers[-1].features["review"][:4]) == ["rejected"] * 3 + [""]
    assert not panel.recovery.isVisibleTo(panel)
    panel.viewer.layers.pop()
    panel.discard.click()
    assert not panel.recovery.isVisibleTo(panel)
