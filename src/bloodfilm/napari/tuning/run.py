"""The training itself: begin, watch, hold, stop, go on, and what came of it."""

from __future__ import annotations

import html
import math
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from bloodfilm.napari.tuning.job import TrainJob
from bloodfilm.napari.tuning.label import row
from bloodfilm.napari.tuning.plot import TrainPlot, total_loss
from bloodfilm.napari.tuning.result import TrainResult
from bloodfilm.training.project import Project, read_project, rounds_done

ERROR = "#ff6b6b"


class RunSection(QWidget):
    """Follows a `TrainJob`.

    Attributes
    ----------
    begun, gone_on : Signal()
        The user wants to begin a training, or go on with the one that was stopped.
    ended : Signal(str)
        A training is over, however it ended; the name of the model that came of it, if one did.
    found : Signal(str, list)
        What is found (boxes) on a picture, by its full path.
    """

    begun, gone_on, ended = Signal(), Signal(), Signal(str)
    found = Signal(str, object)

    def __init__(self) -> None:
        super().__init__()
        self.job: TrainJob | None = None
        self._project: Project
        self.train = QPushButton("Train")
        self.train.setMinimumHeight(36)
        self.train.clicked.connect(lambda: self.begun.emit())
        self.pause, self.stop = QPushButton("Pause"), QPushButton("Stop and keep the best")
        self.pause.clicked.connect(self._on_pause)
        self.stop.clicked.connect(self._on_stop)
        self.go_on = QPushButton()
        self.go_on.setToolTip("Goes on with the labels that it began with. Train begins anew, with those drawn now.")
        self.go_on.clicked.connect(lambda: self.gone_on.emit())
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.words, self.note = QLabel(), QLabel()
        self.words.setWordWrap(True)
        self.note.setWordWrap(True)
        self.plot, self.result = TrainPlot(), TrainResult()
        self.show_finds = QCheckBox("show what it finds on this picture")
        self.show_finds.setChecked(True)
        self.running = QWidget()
        inner = QVBoxLayout(self.running)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(self.progress)
        inner.addLayout(row(self.pause, self.stop))
        inner.addWidget(self.show_finds)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.train, self.go_on, self.running, self.words, self.note, self.result, self.plot):
            layout.addWidget(widget)
        self.running.hide()
        self.plot.hide()
        self.note.hide()

    def follow(self, job: TrainJob) -> None:
        """Show how `job` goes, or went."""
        self.job = job
        job.told.connect(self._on_message)
        self._project = read_project(job.folder)
        self.train.setEnabled(False)
        self.go_on.hide()
        self.result.hide()
        self.note.hide()
        self.running.show()
        self.plot.show()
        self.plot.show_rows(job.rows)
        self.pause.setText("Go on" if job.paused else "Pause")
        self.pause.setEnabled(not job.stopping)
        self.stop.setEnabled(not job.stopping)
        self.say("Starting…" if not job.rows else _told(job.rows[-1]))
        for message in job.story:
            self._on_message(message)

    def offer(self, folder: Path | None) -> None:
        """Offer to go on with the training in `folder`."""
        self.go_on.setVisible(folder is not None and self.job is None)
        if folder is not None:
            done, whole = rounds_done(folder), read_project(folder).settings.epochs
            self.go_on.setText(f"Continue {folder.name}\nwith its own labels (round {done} of {whole})")

    def let_go(self) -> None:
        """Stop following; the training goes on."""
        if self.job is not None:
            self.job.told.disconnect(self._on_message)
        self.job = None

    def say(self, text: str) -> None:
        self.words.setText(html.escape(text))

    def say_error(self, text: str) -> None:
        self.words.setText(f"<span style='color:{ERROR}'>{html.escape(text)}</span>")

    def _on_pause(self) -> None:
        assert self.job is not None
        self.job.pause(not self.job.paused)
        self.pause.setText("Go on" if self.job.paused else "Pause")
        if self.job.paused:
            self.say("Paused.")

    def _on_stop(self) -> None:
        assert self.job is not None
        self.pause.setEnabled(False)
        self.stop.setEnabled(False)
        self.say("Stopping…")
        self.job.stop()

    def _on_message(self, message: dict[str, Any]) -> None:
        getattr(self, f"_on_{message['kind']}")(message)

    def _on_progress(self, message: dict[str, Any]) -> None:
        row = message["row"]
        assert self.job is not None
        whole = self._project.settings.epochs
        self.progress.setValue(round(1000 * row["epoch"] / whole))
        if not self.job.stopping and not self.job.paused:
            pseudo = row.get("pseudo_labels", float("nan"))
            more = f", {pseudo:.1f} pseudo-labels a picture" if pseudo == pseudo else ""
            left = "judging it" if row["epoch"] == int(row["epoch"]) else f"{_time(row['seconds_left'])} left"
            self.say(f"Round {math.ceil(row['epoch'])} of {whole}, loss {total_loss(row):.3f}{more}, {left}")

    def _on_epoch(self, message: dict[str, Any]) -> None:
        assert self.job is not None
        self.plot.show_rows(self.job.rows)

    def _on_note(self, message: dict[str, Any]) -> None:
        self.note.setText(message["text"])
        self.note.show()

    def _on_found(self, message: dict[str, Any]) -> None:
        self.found.emit(message["name"], message["boxes"])

    def _on_trained(self, message: dict[str, Any]) -> None:
        assert self.job is not None
        if message["weights"] is None:
            self.say("Stopped before a round was over: nothing new was learned.")
            return
        kept = self.job.model or message["weights"]
        self.say(f"{'Stopped' if message['stopped'] else 'Trained'}. The best weights are kept as {kept}.")

    def _on_done(self, message: dict[str, Any]) -> None:
        assert self.job is not None
        if message["scores"]:
            self.result.show_result(self.job.folder, self.job.model, message["scores"], self._project.judged_by)
        self._end()

    def _on_refused(self, message: dict[str, Any]) -> None:
        self._end()
        self.say_error(message["text"])

    _on_failed = _on_refused

    def _end(self) -> None:
        assert self.job is not None
        model = self.job.model
        self.running.hide()
        self.train.setEnabled(True)
        self.let_go()
        self.ended.emit(model)


def _told(last: dict[str, float]) -> str:
    return f"Round {last['epoch']:.0f} is over."


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
