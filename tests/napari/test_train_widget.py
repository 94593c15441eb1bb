"""The panel for fine-tuning in a real window, with training in its own process."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLabel, QMainWindow, QMessageBox

from bloodfilm.napari.layers import to_boxes, to_rectangles
from bloodfilm.napari.train_widget import DETECT, FINDS, TrainWidget
from bloodfilm.napari.tuning import fields
from bloodfilm.napari.tuning.fields import Index, add_cells, add_regions, cells_of, regions_of, show_only
from bloodfilm.napari.tuning.job import TrainJob
from bloodfilm.synth import draw_field
from bloodfilm.training.check import Problem
from bloodfilm.training.fine_tune import fine_tune
from bloodfilm.training.project import FIELDS, PROJECT
from bloodfilm.weights import available

TITLE = "Fine-tune on a new microscope"
PATIENCE = 120_000


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BLOODFILM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def panel(window, qtbot) -> Iterator[TrainWidget]:
    """The panel beside three pictures; in each the half with the first cell is labelled."""
    for seed in range(3):
        picture, cells = draw_field(seed=seed, width=320, height=240)[:2]
        image = window.add_image(picture, rgb=True, name=f"field {seed}")
        add_cells(window, image, {(): cells})
        left = float(cells.boxes[0, [0, 2]].mean() > 160) * 160
        add_regions(window, image).add(to_rectangles([[left, 0, left + 160, 240]]), shape_type="rectangle")
    _, widget = window.window.add_plugin_dock_widget("bloodfilm", TITLE)
    widget.options.image_size.setValue(96)
    widget.options.rounds.setValue(2)
    widget.options.device.setCurrentText("cpu")
    main = widget._window
    yield widget
    for job in main.findChildren(TrainJob):
        job.close()
    if widget.parent() is not None:
        window.window.remove_dock_widget(widget)


def said(widget) -> str:
    return " ".join(label.text() for label in widget.findChildren(QLabel))


def begin(panel: TrainWidget, qtbot) -> TrainJob:
    panel.run.train.click()
    qtbot.waitUntil(lambda: panel.run.job is not None, timeout=PATIENCE)
    return panel.run.job


def test_the_panel_counts_what_is_labelled_and_says_how_it_learns(panel: TrainWidget, qtbot) -> None:
    texts = [panel.label.pictures.item(row).text() for row in range(3)]
    assert all("1 region, " in text for text in texts)
    assert "SLA-Det: 2 of 2 fields" in panel.method.text()
    assert panel.run.train.isEnabled()
    regions = add_regions(panel.viewer, panel.viewer.layers["field 0"])
    x = 305 - to_boxes(regions.data)[0, 0]  # in the other half
    regions.add(to_rectangles([[x, 5, x + 9, 14]]), shape_type="rectangle")
    qtbot.waitUntil(lambda: "2 regions" in panel.label.pictures.item(0).text())
    assert "a region without a cell" in said(panel.problems)


def test_the_place_of_a_problem_is_shown(panel: TrainWidget, qtbot) -> None:
    first, last = panel.viewer.layers["field 0"], panel.viewer.layers["field 2"]
    show_only(panel.viewer, last)
    (place,) = (number for number, each in enumerate(panel.label.labelled) if each.image == first)
    panel.problems.wanted.emit(Problem("look here", False, place, (10, 10, 50, 50)))
    assert (first.visible, last.visible) == (True, False)
    panel.label.draw_region.click()
    assert panel.viewer.layers.selection.active == regions_of(panel.viewer, first)


def test_after_a_training_its_model_searches_until_another_is_chosen(panel: TrainWidget) -> None:
    assert panel.label.model == panel.options.model.model
    assert panel.label.device == "cpu"
    panel.run.ended.emit("wbc-new")
    assert panel.label.model == "wbc-new"
    assert "come from wbc-new" in said(panel.label)
    panel.run.ended.emit("")
    panel.options.device.setCurrentText("auto")
    assert (panel.label.model, panel.label.device) == ("wbc-new", "auto")
    panel.options.model.choose(panel.options.model.model)
    assert panel.label.model == panel.options.model.model


def test_nothing_begins_without_labels(panel: TrainWidget, qtbot) -> None:
    for layer in list(panel.viewer.layers):
        if layer.name.endswith("regions"):
            panel.viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: not panel.run.train.isEnabled())
    assert "Nothing is labelled yet" in said(panel.problems)


@pytest.mark.parametrize("name", ["", " ", "..", ".hidden", "a/b"])
def test_a_name_that_is_no_folder_of_its_own_is_refused(panel: TrainWidget, home: Path, name: str) -> None:
    panel.name.setText(name)
    panel.run.train.click()
    assert "without slashes" in panel.run.words.text()
    assert not list(home.rglob(PROJECT))


def test_the_window_goes_on_while_pictures_are_written(panel: TrainWidget, home: Path, qtbot, monkeypatch) -> None:
    may_go, pixels = threading.Event(), fields.pixels

    def held(image: Image, index: Index) -> np.ndarray:
        assert may_go.wait(PATIENCE / 1000)
        return pixels(image, index)

    monkeypatch.setattr(fields, "pixels", held)
    name = panel.name.text()
    panel.run.train.click()
    assert panel.run.words.text() == "Writing pictures…"
    assert not panel.run.train.isEnabled()
    assert panel.run.job is None
    may_go.set()
    qtbot.waitUntil(lambda: panel.run.job is not None, timeout=PATIENCE)
    assert len(list((home / "runs" / name / fields.PICTURES).iterdir())) == 3
    assert len(panel._places) == 3


@pytest.mark.slow
def test_a_training_ends_in_a_model_that_detect_can_use_and_the_window_answers_meanwhile(
    panel: TrainWidget, home: Path, qtbot
) -> None:
    name, ticks, timer = panel.name.text(), [], QTimer()
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    begin(panel, qtbot)
    assert any(FINDS in layer.metadata for layer in panel.viewer.layers)
    timer.start(10)
    with qtbot.waitSignal(panel.run.ended, timeout=PATIENCE):
        pass
    timer.stop()
    assert not any(FINDS in layer.metadata for layer in panel.viewer.layers)
    assert len(ticks) > 100
    assert np.quantile(np.diff(ticks), 0.999) < 0.1
    assert name in available()
    assert panel.run.result.isVisibleTo(panel)
    assert "before: AP50" in said(panel.run.result)
    assert all(not picture.pixmap().isNull() for picture in panel.run.result.pictures)
    panel.run.result.use.click()
    _, detect = panel.viewer.window.add_plugin_dock_widget("bloodfilm", DETECT)
    assert detect.model.model == name
    run = home / "runs" / name
    twin = fine_tune(run, home / "twin")
    assert (run / "last.safetensors").read_bytes() == (twin.parent / "last.safetensors").read_bytes()


@pytest.mark.slow
def test_a_stopped_training_keeps_its_best_and_goes_on(panel: TrainWidget, qtbot) -> None:
    job = begin(panel, qtbot)
    qtbot.waitUntil(lambda: len(job.rows) == 1, timeout=PATIENCE)
    pressed = time.perf_counter()
    panel.run.stop.click()
    qtbot.waitUntil(lambda: bool(job.model), timeout=PATIENCE)
    assert time.perf_counter() - pressed < 2
    qtbot.waitUntil(lambda: panel.run.job is None, timeout=PATIENCE)
    assert "with its own labels (round 1 of 2)" in panel.run.go_on.text()
    panel.run.go_on.click()
    with qtbot.waitSignal(panel.run.ended, timeout=PATIENCE):
        pass
    assert not panel.run.go_on.isVisibleTo(panel)
    assert "Trained" in panel.run.words.text()


@pytest.mark.slow
def test_a_training_outlives_its_panel(panel: TrainWidget, window, qtbot) -> None:
    job = begin(panel, qtbot)
    window.window.remove_dock_widget(panel)
    qtbot.waitUntil(lambda: len(job.rows) == 1, timeout=PATIENCE)
    _, again = window.window.add_plugin_dock_widget("bloodfilm", TITLE)
    qtbot.waitUntil(lambda: again.run.job is job)
    window.window.remove_dock_widget(again)
    qtbot.waitUntil(lambda: job.over, timeout=PATIENCE)
    assert job.model in available()
    _, later = window.window.add_plugin_dock_widget("bloodfilm", TITLE)
    qtbot.waitUntil(lambda: later.run.result.isVisibleTo(later))
    assert job.model in later.run.result.words.text()


def test_a_window_asks_before_it_ends_a_training(panel: TrainWidget, qtbot, monkeypatch: pytest.MonkeyPatch) -> None:
    job, window = begin(panel, qtbot), panel._window
    answers = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    monkeypatch.setattr(QMessageBox, "question", lambda *_: answers.pop(0))
    assert not window.close()
    assert not job.over
    window.close()
    assert job.over
    assert panel.run.job is None
    assert "nothing of it is kept" in panel.run.words.text()
    assert answers == []


@pytest.mark.slow
def test_two_windows_train_side_by_side(panel: TrainWidget, home: Path, qtbot) -> None:
    panel.options.rounds.setValue(1)
    first, window = begin(panel, qtbot), QMainWindow()
    qtbot.addWidget(window)
    folder = home / "runs" / "other"
    shutil.copytree(first.folder / "pictures", folder / "pictures")
    for name in (PROJECT, FIELDS):
        shutil.copy(first.folder / name, folder)
    second = TrainJob(folder, window, {})
    qtbot.waitUntil(lambda: first.over and second.over, timeout=PATIENCE)
    assert len(first.rows) == len(second.rows) == 1
    same = [(job.folder / "last.safetensors").read_bytes() for job in (first, second)]
    assert same[0] == same[1]


def test_what_is_found_on_the_picture_shown_is_a_layer(panel: TrainWidget, qtbot) -> None:
    image = panel.viewer.layers["field 2"]
    panel._places = {"a.png": (image, ())}
    panel.run.show_finds.setChecked(True)
    panel._show_finds("a.png", [[10, 10, 40, 50]])
    panel._show_finds("a.png", [[10, 10, 40, 50], [60, 60, 80, 90]])
    (layer,) = (layer for layer in panel.viewer.layers if FINDS in layer.metadata)
    assert layer.nshapes == 2
    assert layer is not cells_of(panel.viewer, image)
    image.visible = False
    panel.label.refresh()
    assert not layer.visible
    image.visible = True
    panel.label.refresh()
    assert layer.visible


def test_of_a_stack_seen_in_3d_or_from_the_side_no_picture_is_shown(panel: TrainWidget) -> None:
    stack = panel.viewer.add_image(np.zeros((3, 240, 320, 3), np.uint8), rgb=True, name="stack")
    panel._places = {"a.png": (stack, (1,))}
    panel.viewer.dims.set_point(0, 1)
    assert panel._shown() == ["a.png"]
    panel.viewer.dims.order = (1, 0, 2)
    panel.viewer.dims.set_point(1, 7)
    assert panel._shown() == []
    panel.viewer.dims.order = (0, 1, 2)
    panel.viewer.dims.ndisplay = 3
    panel.viewer.dims.set_point(0, 2)
    assert panel._shown() == []


@pytest.mark.slow
def test_suggested_regions_are_taken_or_skipped_one_by_one(panel: TrainWidget, qtbot) -> None:
    section = panel.label
    for layer in list(panel.viewer.layers):
        if layer.name.endswith(("regions", "cells")):
            panel.viewer.layers.remove(layer)
    section.suggest.click()
    with qtbot.waitSignal(section.suggestions.ready, timeout=PATIENCE):
        pass
    offered = len(section.suggestions.proposals)
    assert offered == 5
    image = section.suggestions.proposals[0][1]
    section.accept.click()
    assert cells_of(panel.viewer, image) is not None
    regions = [layer for layer in panel.viewer.layers if layer.name.endswith("labelled regions")]
    assert [layer.nshapes for layer in regions] == [1]
    section.skip.click()
    assert len(section.suggestions.proposals) == offered - 2
    qtbot.waitUntil(lambda: panel.run.train.isEnabled() or "no white cell" in said(panel.problems))
    _, gone, _ = section.suggestions.proposals[0]
    panel.viewer.layers.remove(gone)
    assert all(image is not gone for _, image, _ in section.suggestions.proposals)


def test_a_picture_that_is_too_large_to_be_searched_is_told(panel: TrainWidget, qtbot, monkeypatch) -> None:
    monkeypatch.setattr("bloodfilm.napari.pictures.MAX_BYTES", 1000)
    panel.label.suggest.click()
    qtbot.waitUntil(lambda: "320 x 240 px are too many at once" in panel.label.words.text())
    assert panel.label.suggest.isEnabled()
