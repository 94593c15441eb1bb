"""A training of a window and the part of the panel that follows it; what the training says is written here."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyqtgraph import PlotWidget
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QMainWindow, QMessageBox

from bloodfilm.napari.tuning import job as module
from bloodfilm.napari.tuning.job import TrainJob
from bloodfilm.napari.tuning.run import RunSection
from bloodfilm.training.project import LOG, PROJECT, Project
from bloodfilm.training.settings import Settings
from bloodfilm.weights import available, own_models

SCORES = {"after": {"ap50": 0.5, "ap": 0.3, "cells": 3}}
DONE = {"kind": "done", "scores": SCORES}


class Process:
    """Says what is in `coming`, in place of a training."""

    def __init__(self, folder: Path) -> None:
        self.coming: list[dict[str, Any]] = []
        self.orders: list[str] = []
        self.ended = False

    def messages(self) -> list[dict[str, Any]]:
        came, self.coming = self.coming, []
        return came

    def send(self, do: str, **content: Any) -> None:
        self.orders.append(do)

    def close(self) -> None:
        self.ended = True


class Window(QMainWindow):
    """Has a question of its own before it closes, which `stays` answers."""

    stays = False

    def closeEvent(self, event: QCloseEvent) -> None:
        event.setAccepted(not self.stays)


class Picture:
    """In place of a layer."""


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot) -> Callable[[], TrainJob]:
    monkeypatch.setenv("BLOODFILM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(module, "TrainingProcess", Process)
    window = Window()
    qtbot.addWidget(window, before_close_func=end_jobs)  # the window would ask

    def begin() -> TrainJob:
        project = Project(method="attridet", settings=Settings(epochs=2))
        (tmp_path / PROJECT).write_text(project.model_dump_json())
        return TrainJob(tmp_path, window, {})

    return begin


@pytest.fixture
def run(qtbot) -> RunSection:
    section = RunSection()
    qtbot.addWidget(section)
    return section


def end_jobs(window: QMainWindow) -> None:
    for job in window.findChildren(TrainJob):
        job.close()


def come(job: TrainJob, *messages: dict[str, Any]) -> None:
    job._process.coming += messages
    job._poll()


def trained(folder: Path) -> dict[str, Any]:
    weights = folder / "best.safetensors"
    weights.write_bytes(b"weights")
    return {"kind": "trained", "weights": str(weights), "stopped": False}


def progress(epoch: float) -> dict[str, Any]:
    return {"kind": "progress", "row": {"epoch": epoch, "box": 1.5, "seconds_left": 60.0, "learning_rate": 0.001}}


def test_a_model_that_cannot_be_kept_is_told_with_its_file(begin: Callable[[], TrainJob], run: RunSection) -> None:
    job = begin()
    own_models().parent.mkdir()
    own_models().write_text("no folder")
    run.follow(job)
    come(job, trained(job.folder), DONE)
    assert job.over
    assert run.train.isEnabled()
    assert run.running.isHidden()
    assert "could not be put in the list of models" in run.note.text()
    assert str(job.folder / "best.safetensors") in run.words.text()
    assert not run.result.isHidden()
    assert run.result.use.isHidden()
    own_models().unlink()
    again = begin()
    run.follow(again)
    come(again, trained(again.folder), DONE)
    assert again.model in available()
    assert not run.result.use.isHidden()


def test_a_training_that_ended_unseen_tells_what_came_of_it(begin: Callable[[], TrainJob], run: RunSection) -> None:
    job = begin()
    come(job, {"kind": "note", "text": "memory ran out"}, trained(job.folder), DONE)
    assert TrainJob.of(job.parent()) is job
    run.follow(job)
    assert run.job is None
    assert run.train.isEnabled()
    assert run.note.text() == "memory ran out"
    assert "Trained" in run.words.text()
    assert run.result.model == job.model
    assert not run.result.isHidden()
    later = begin()
    assert TrainJob.of(job.parent()) is later


def test_a_training_goes_on_in_a_window_that_stays_after_all(
    begin: Callable[[], TrainJob], run: RunSection, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = begin()
    window = job.parent()
    run.follow(job)
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    window.stays = True
    assert not window.close()
    assert not job._process.ended
    assert run.job is job
    window.stays = False
    assert window.close()
    assert job._process.ended
    assert "The training was ended" in run.words.text()


def test_a_training_that_is_over_holds_no_picture(begin: Callable[[], TrainJob]) -> None:
    job, picture = begin(), Picture()
    freed = weakref.ref(picture)
    job.places["a.png"] = picture, ()
    del picture
    come(job, trained(job.folder), DONE)
    assert freed() is None


def test_a_stop_before_the_first_step_ends_at_once(begin: Callable[[], TrainJob], run: RunSection) -> None:
    job = begin()
    run.follow(job)
    run.stop.click()
    assert job.over
    assert job._process.ended
    assert run.job is None
    assert "nothing new was learned" in run.words.text()
    assert run.train.isEnabled()


def test_a_stop_after_a_step_keeps_the_best(begin: Callable[[], TrainJob], run: RunSection) -> None:
    job = begin()
    run.follow(job)
    come(job, progress(0.5))
    run.stop.click()
    assert not job.over
    assert job._process.orders == ["stop"]
    come(job, trained(job.folder) | {"stopped": True}, DONE)
    assert "Stopped. The best weights are kept" in run.words.text()


def test_going_on_is_offered_with_the_labels_of_then(begin: Callable[[], TrainJob], run: RunSection) -> None:
    folder = begin().folder
    (folder / LOG).write_text("epoch\n1\n")
    run.offer(folder)
    assert run.go_on.text() == f"Continue {folder.name}\nwith its own labels (round 1 of 2)"


@pytest.mark.parametrize(
    ("epoch", "words"), [(0.2, "Round 1 of 2,"), (1.0, "Round 1 of 2,"), (1.2, "Round 2 of 2,"), (2.0, "Round 2 of 2,")]
)
def test_the_round_in_hand_is_counted(begin: Callable[[], TrainJob], run: RunSection, epoch: float, words: str) -> None:
    job = begin()
    run.follow(job)
    come(job, progress(epoch))
    assert run.words.text().startswith(words)
    assert run.words.text().endswith("judging it" if epoch == int(epoch) else "60 s left")


def test_axes_tell_whole_figures(run: RunSection) -> None:
    for plot in run.plot.findChildren(PlotWidget):
        for side in ("left", "bottom"):
            assert not plot.getAxis(side).autoSIPrefix
