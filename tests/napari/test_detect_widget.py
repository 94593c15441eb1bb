"""The Detect panel in a real window, with the shipped model in its own process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from napari.qt.threading import WorkerBase
from PIL import Image as Pillow
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from bloodfilm.io.formats import read_fields
from bloodfilm.napari.detect_job import DetectJob
from bloodfilm.napari.detect_widget import RECTANGLE, UNLIKE, DetectWidget
from bloodfilm.napari.layers import to_boxes, to_rectangles
from bloodfilm.napari.pictures import whole
from bloodfilm.napari.recovery import restore, unsaved
from bloodfilm.napari.review import Review
from bloodfilm.napari.writer import layer_fields, write_coco_layer
from bloodfilm.synth import sample_field
from bloodfilm.weights import DEFAULT_MODEL, MIN_SCORE

READY = "Detect white blood cells"


@pytest.fixture
def panel(window) -> Iterator[DetectWidget]:
    """The panel beside a field whose lower edge cuts a cell, of which the model is less sure than of the others."""
    window.add_image(sample_field()[0][:664], rgb=True, name="field", scale=(0.5, 0.5))
    _, widget = window.window.add_plugin_dock_widget("bloodfilm", READY)
    yield widget
    if widget.parent() is not None:
        window.window.remove_dock_widget(widget)


def run(panel: DetectWidget, qtbot) -> None:
    panel.button.click()
    qtbot.waitUntil(lambda: panel.button.text() == READY, timeout=120_000)


def _centres(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def test_one_click_boxes_the_cells_of_the_active_picture(panel: DetectWidget, qtbot) -> None:
    run(panel, qtbot)
    image, cells = panel.viewer.layers
    assert cells.nshapes == len(sample_field()[1])
    assert cells.features["score"].min() >= MIN_SCORE
    assert (cells.features["nucleolus"] == "not predicted").all()
    np.testing.assert_allclose(cells.scale, image.scale)
    assert f"{cells.nshapes} white blood cells" in panel.summary.text()
    assert "cpu" in panel.summary.text()


def test_a_picture_of_something_else_is_told(panel: DetectWidget, qtbot) -> None:
    panel.viewer.add_image(np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8), rgb=True)
    run(panel, qtbot)
    assert UNLIKE in panel.summary.text()


def test_the_score_filters_without_running_again(panel: DetectWidget, qtbot) -> None:
    run(panel, qtbot)
    cells = panel.viewer.layers[-1]
    found = cells.nshapes
    panel.score.setValue(0.99)
    assert cells.nshapes < found
    panel.score.setValue(MIN_SCORE)
    assert cells.nshapes == found


def test_the_score_filters_the_selected_result_else_the_latest(panel: DetectWidget, qtbot) -> None:
    run(panel, qtbot)
    run(panel, qtbot)
    image, first, second = panel.viewer.layers
    found = first.nshapes
    panel.viewer.layers.selection.active = first
    panel.score.setValue(0.98)
    assert first.nshapes < found == second.nshapes
    panel.viewer.layers.selection.active = image
    panel.score.setValue(0.99)
    assert second.nshapes < found
    panel.viewer.layers.remove(second)
    panel.score.setValue(MIN_SCORE)
    assert first.nshapes == found


def test_a_result_that_was_restored_is_what_it_was(panel: DetectWidget, qtbot) -> None:
    run(panel, qtbot)
    image, first = panel.viewer.layers
    field, review = layer_fields(first.data, first.as_layer_data_tuple()[1])[0], Review.of(first)
    review.reject(review.ids[:1])
    panel.viewer.layers.remove(first)
    ((replayed,), _) = unsaved(image)
    restored = restore(panel.viewer, image, replayed)
    (again,) = layer_fields(restored.data, restored.as_layer_data_tuple()[1])
    assert again.cells.scale == field.cells.scale and again.cells.scale is not None
    assert again.cells.novelty == field.cells.novelty
    panel.score.setValue(0.99)
    assert restored.nshapes < len(field.cells)
    assert str(again.cells.scale) in panel.summary.text()


def test_a_result_that_was_saved_finds_its_picture(panel: DetectWidget, qtbot, tmp_path: Path) -> None:
    path, saved = tmp_path / "1.png", tmp_path / "results" / "cells.json"
    Pillow.fromarray(sample_field()[0]).save(path)
    panel.viewer.open(str(path), plugin="napari")
    run(panel, qtbot)
    data, meta, _ = panel.viewer.layers[-1].as_layer_data_tuple()
    write_coco_layer(str(saved), data, meta)
    assert [field.path.resolve() for field in read_fields(saved)] == [path]


def test_only_the_drawn_rectangles_are_searched(panel: DetectWidget, qtbot) -> None:
    chosen = sample_field()[1].boxes[:2]
    panel.region.setCurrentText(RECTANGLE)
    panel.region.activated.emit(2)
    region = panel.viewer.layers["Search here"]
    areas = chosen + [-200, -100, 200, 100]
    region.add([corners * 0.5 for corners in to_rectangles(areas)], shape_type="rectangle")
    panel.picture.value = panel.viewer.layers["field"]
    run(panel, qtbot)
    found, truth = (_centres(to_boxes(panel.viewer.layers[-1].data)), _centres(chosen))
    assert [int((np.abs(found - centre) < 15).all(1).sum()) for centre in truth] == [1, 1]
    assert all(((point >= areas[:, :2]) & (point <= areas[:, 2:])).all(1).any() for point in found)


def test_cancel_leaves_the_layers_untouched(panel: DetectWidget, qtbot) -> None:
    before = list(panel.viewer.layers)
    panel.button.click()
    panel.button.click()
    qtbot.waitUntil(lambda: panel.button.text() == READY, timeout=120_000)
    assert list(panel.viewer.layers) == before
    assert "Cancelled" in panel.summary.text()


def test_closing_the_panel_stops_the_search_and_its_process(panel: DetectWidget, window, qtbot) -> None:
    before = list(panel.viewer.layers)
    panel.button.click()
    job = panel._job
    assert job is not None
    with qtbot.waitSignal(job.cancelled, timeout=120_000):
        window.window.remove_dock_widget(panel)
    assert panel._process._helper is None
    assert list(window.layers) == before
    window.add_image(np.zeros((8, 8)))
    assert panel.picture.value.name == "field", "the panel has let go of the viewer"


def test_a_search_ends_early_when_napari_closes(panel: DetectWidget, qtbot) -> None:
    part = whole(panel.viewer.layers["field"], panel.viewer)
    job, seen = DetectJob(panel._process, [part], DEFAULT_MODEL, "cpu"), []
    job.progressed.connect(lambda *counts: seen.append(counts))
    job.start()
    WorkerBase.await_workers()
    QApplication.processEvents()
    assert seen == []


def test_the_window_answers_while_it_searches(panel: DetectWidget, qtbot) -> None:
    ticks: list[float] = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()) if panel._job is not None else None)
    timer.start(10)
    run(panel, qtbot)
    timer.stop()
    assert len(ticks) > 50, "the search, start of the model included, takes longer than this"
    assert np.diff(ticks).max() < 0.1


def test_a_model_that_is_none_is_told_in_the_panel(panel: DetectWidget, qtbot, tmp_path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    panel.model.add_file(broken)
    run(panel, qtbot)
    assert "broken.safetensors" in panel.summary.text()
    assert len(panel.viewer.layers) == 1


def test_the_picture_selected_in_the_layer_list_is_the_one_to_search(panel: DetectWidget) -> None:
    panel.viewer.add_image(np.zeros((64, 64, 3), np.uint8), rgb=True, name="second")
    assert panel.picture.value.name == "second"
    panel.viewer.layers.selection.active = panel.viewer.layers["field"]
    assert panel.picture.value.name == "field"


def test_without_a_picture_the_button_says_what_to_do(panel: DetectWidget) -> None:
    panel.viewer.layers.clear()
    panel.button.click()
    assert "Open a picture" in panel.summary.text()
