"""The Detect panel in a real window, with the shipped model in its own process."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from qtpy.QtCore import QTimer

from bloodfilm.napari.detect_widget import RECTANGLE, DetectWidget
from bloodfilm.synth import sample_field

READY = "Detect white blood cells"


@pytest.fixture
def panel(window) -> Iterator[DetectWidget]:
    window.add_image(sample_field()[0], rgb=True, name="field", scale=(0.5, 0.5))
    _, widget = window.window.add_plugin_dock_widget("bloodfilm", READY)
    yield widget
    widget.close()


def run(panel: DetectWidget, qtbot) -> None:
    panel.button.click()
    qtbot.waitUntil(lambda: panel.button.text() == READY, timeout=120_000)


def test_one_click_boxes_the_cells_of_the_active_picture(panel: DetectWidget, qtbot) -> None:
    run(panel, qtbot)
    image, cells = panel.viewer.layers
    assert cells.nshapes == len(sample_field()[1])
    assert cells.features["score"].min() >= 0.25
    assert (cells.features["nucleolus"] == "not predicted").all()
    np.testing.assert_allclose(cells.scale, image.scale)
    assert f"{cells.nshapes} white blood cells" in panel.summary.text()
    assert "cpu" in panel.summary.text()


def test_the_score_filters_without_running_again(panel: DetectWidget, qtbot) -> None:
    run(panel, qtbot)
    cells = panel.viewer.layers[-1]
    found = cells.nshapes
    panel.score.setValue(0.95)
    assert cells.nshapes < found
    panel.score.setValue(0.25)
    assert cells.nshapes == found


def test_only_the_drawn_rectangle_is_searched(panel: DetectWidget, qtbot) -> None:
    x0, y0, x1, y1 = sample_field()[1].boxes[0]
    panel.region.setCurrentText(RECTANGLE)
    panel.region.activated.emit(2)
    region = panel.viewer.layers["Search here"]
    corners = np.array([[y0 - 30, x0 - 30], [y0 - 30, x1 + 30], [y1 + 30, x1 + 30], [y1 + 30, x0 - 30]])
    region.add(corners * 0.5, shape_type="rectangle")
    panel.picture.value = panel.viewer.layers["field"]
    run(panel, qtbot)
    found = np.array([shape.mean(0)[::-1] for shape in panel.viewer.layers[-1].data])
    assert ((found > [x0 - 30, y0 - 30]) & (found < [x1 + 30, y1 + 30])).all()
    assert len(found) >= 1


def test_cancel_leaves_the_layers_untouched(panel: DetectWidget, qtbot) -> None:
    before = list(panel.viewer.layers)
    panel.button.click()
    panel.button.click()
    qtbot.waitUntil(lambda: panel.button.text() == READY, timeout=120_000)
    assert list(panel.viewer.layers) == before
    assert "Cancelled" in panel.summary.text()


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
    panel.model.insertItem(0, "broken", str(broken))
    panel.model.setCurrentIndex(0)
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
