"""A training that belongs to a napari window: it outlives its panel, and the window asks before it ends it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, QTimer, Signal
from qtpy.QtWidgets import QMessageBox

from bloodfilm.training.process import LAST, TrainingProcess
from bloodfilm.training.project import rows_done
from bloodfilm.weights import keep

if TYPE_CHECKING:
    from napari.layers import Image
    from qtpy.QtWidgets import QMainWindow

    from bloodfilm.napari.tuning.fields import Index

    Places = dict[str, tuple[Image, Index]]

POLL_MS = 100
PASSING = ("progress", "epoch", "found")
"""Kinds of messages that need not be told to a panel that was opened later."""

QUESTION = "A training is running. Stop it and close?"
LATER = "It can be gone on with later."
NOTHING = "No round is over yet, so nothing of it is kept."


class TrainJob(QObject):
    """Training in the folder of a project.

    Attributes
    ----------
    told : Signal(dict)
        Each message of `bloodfilm.training.worker`.
    rows : list of dict
        What each epoch told.
    story : list of dict
        The messages so far that say how it went: notes and the end.
    places : dict
        The layer and the index in it of each picture that the window shows, by full path, until it is over.
    model : str
        Name of the model that came of it, among `bloodfilm.weights.available`; none if it could not be put there.
    over : bool
        If no more comes.
    """

    told = Signal(dict)

    def __init__(self, folder: Path, window: QMainWindow, places: Places) -> None:
        super().__init__(window)
        self.folder, self.places = folder, places
        self.rows: list[dict[str, float]] = rows_done(folder)
        self.story: list[dict[str, Any]] = []
        self.model = ""
        self.over = self.paused = self.stopping = self._learns = False
        self._window = window
        self._process = TrainingProcess(folder)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._poll)
        self._timer.start(POLL_MS)
        window.installEventFilter(self)

    @classmethod
    def of(cls, window: QMainWindow) -> TrainJob | None:
        """Return the latest training of `window`, which may be over."""
        return next(reversed(window.findChildren(cls)), None)

    def _poll(self) -> None:
        for message in self._process.messages():
            self._learns = self._learns or message["kind"] in PASSING
            if message["kind"] == "epoch":
                self.rows.append(message["row"])
            if message["kind"] == "trained" and message["weights"]:
                self._keep(Path(message["weights"]))
            if message["kind"] in LAST:
                self._end()
            self._tell(message)

    def _tell(self, message: dict[str, Any]) -> None:
        if message["kind"] not in PASSING:
            self.story.append(message)
        self.told.emit(message)

    def _keep(self, weights: Path) -> None:
        try:
            self.model = keep(weights, self.folder.name)
        except OSError as error:
            text = f"It could not be put in the list of models ({error.strerror or error}): open it as a file."
            self._tell({"kind": "note", "text": text})

    def pause(self, paused: bool) -> None:
        self.paused = paused
        self._process.send("pause" if paused else "go")

    def stop(self) -> None:
        """Stop after the step in hand, and keep the best; at once if there was no step yet."""
        self.stopping = True
        if self._learns:
            self._process.send("stop")
            return
        self._end()
        self._tell({"kind": "trained", "weights": None, "stopped": True})
        self._tell({"kind": "done", "scores": {}})

    def show(self, name: str) -> None:
        """Ask for what is found on the field of that name after each epoch."""
        self._process.send("show", name=name)

    def close(self) -> None:
        """End at once; at most the epoch in hand is lost."""
        if not self.over:
            self._end()

    def _end(self) -> None:
        self.over = True
        self._timer.stop()
        self._window.removeEventFilter(self)
        self._process.close()
        self.places.clear()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        if event.type() == QEvent.Type.Close and not self.over:
            kept = LATER if self.rows else NOTHING
            answer = QMessageBox.question(self._window, "bloodfilm", f"{QUESTION} {kept}")
            if answer != QMessageBox.StandardButton.Yes:
                event.ignore()
                return True
            self._window.event(event)  # napari may ask its own question, and keep the window
            if event.isAccepted() and not self.over:
                self._end()
                self._tell({"kind": "refused", "text": f"The training was ended. {kept}"})
            return True
        return super().eventFilter(watched, event)
