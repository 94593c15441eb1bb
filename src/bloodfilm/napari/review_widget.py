"""The Review panel: how far one is, the keys, what the model reads, and what was not saved."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import napari.layers
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from bloodfilm.detection.process import DetectionProcess, Outcome
from bloodfilm.errors import UserError
from bloodfilm.napari import pictures
from bloodfilm.napari.background import background
from bloodfilm.napari.gallery.crops import picture_below
from bloodfilm.napari.keys import GROUPS, keys
from bloodfilm.napari.layers import METADATA_KEY, to_boxes
from bloodfilm.napari.model_box import ModelBox
from bloodfilm.napari.recovery import restore, unsaved
from bloodfilm.napari.review import Review
from bloodfilm.palette import colour
from bloodfilm.review.edits import VERTICES
from bloodfilm.review.journal import discard
from bloodfilm.review.states import reviewed, user
from bloodfilm.vocabulary import number_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from bloodfilm.review.journal import Replayed

NOTHING = "Select a layer of cells, found or opened, to review them."


class ReviewWidget(QWidget):
    """Tells how to review the cells of the selected layer, and how far that is."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.review: Review | None = None
        self._process = DetectionProcess()
        self._left: list[tuple[Layer, Replayed]] = []
        self._build()
        self.viewer.layers.selection.events.active.connect(self._follow_active)
        self.viewer.layers.events.inserted.connect(self._look_for_unsaved)
        self.viewer.layers.events.removed.connect(self._on_removed)
        self._look_for_unsaved()
        self._follow_active()

    def _build(self) -> None:
        self.setMinimumWidth(300)
        self.unsaved = _words()
        self.restore, self.discard = QPushButton("Restore"), QPushButton("Discard")
        self.restore.clicked.connect(self._on_restore)
        self.discard.clicked.connect(self._on_discard)
        self.recovery = QWidget()
        self.recovery.setStyleSheet("background: #4a3a10")
        box = QVBoxLayout(self.recovery)
        box.addWidget(self.unsaved)
        box.addLayout(_row(self.restore, self.discard))
        self.progress = QProgressBar()
        self.progress.setFormat("%v of %m reviewed")
        self.reviewer = QLineEdit(user())
        self.reviewer.editingFinished.connect(self._on_reviewer)
        self.goes_on = QCheckBox("one key a cell: go on after it")
        self.goes_on.toggled.connect(self._on_goes_on)
        self.model = ModelBox()
        self.read = QPushButton("Read selected")
        self.read.setToolTip("Type and attributes of the selected cells, drawn ones too, as the model reads them.")
        self.read.clicked.connect(lambda: self._on_reading_wanted(self.review.selected if self.review else []))
        self.undo, self.redo = QPushButton("Undo"), QPushButton("Redo")
        self.undo.clicked.connect(lambda: self.review and self.review.undo())
        self.redo.clicked.connect(lambda: self.review and self.review.redo())
        self.message, self.keys = _words(), _words()
        form = QFormLayout()
        form.addRow("reviewer", self.reviewer)
        form.addRow("", self.goes_on)
        form.addRow("model", self.model)
        layout = QVBoxLayout(self)
        layout.addWidget(self.recovery)
        layout.addWidget(self.progress)
        layout.addLayout(form)
        layout.addWidget(self.read)
        layout.addLayout(_row(self.undo, self.redo))
        layout.addWidget(self.message)
        layout.addWidget(self.keys)
        layout.addStretch()

    def _follow_active(self) -> None:
        layer = self.viewer.layers.selection.active
        if _shows_cells(layer):
            self._bind(Review.of(layer, self.viewer))
        elif self.review is None:
            self._refresh()

    def _bind(self, review: Review | None) -> None:
        if self.review is not None:
            self.review.changed.disconnect(self._refresh)
            self.review.told.disconnect(self._say)
            self.review.reading_wanted.disconnect(self._on_reading_wanted)
        self.review = review
        if review is not None:
            review.changed.connect(self._refresh)
            review.told.connect(self._say)
            review.reading_wanted.connect(self._on_reading_wanted)
            review.goes_on, review.reviewer = self.goes_on.isChecked(), self.reviewer.text()
            self.keys.setText(_key_table(review))
            self._say("")
        self._refresh()

    def _refresh(self) -> None:
        review = self.review
        for widget in (self.progress, self.keys, self.read, self.undo, self.redo):
            widget.setVisible(review is not None)
        if review is None:
            self._say(NOTHING)
            return
        self.progress.setRange(0, max(len(review.shown), 1))
        self.progress.setValue(int(reviewed(review.shown).sum()))
        for button, verb, what in ((self.undo, "Undo", review.can_undo), (self.redo, "Redo", review.can_redo)):
            button.setText(f"{verb} {what}".strip().replace("_", " "))
            button.setEnabled(bool(what))

    def _say(self, text: str) -> None:
        self.message.setText(html.escape(text))
        self.message.setVisible(bool(text))

    def _on_reviewer(self) -> None:
        self.reviewer.setText(self.reviewer.text().strip() or user())
        if self.review is not None:
            self.review.reviewer = self.reviewer.text()

    def _on_goes_on(self, on: bool) -> None:
        if self.review is not None:
            self.review.goes_on = on

    def _on_reading_wanted(self, ids: list[str]) -> None:
        review = self.review
        if review is None or not ids:
            self._say("Select the cells that the model shall read.")
            return
        try:
            image, part = self._picture_of(review, ids)
        except UserError as error:
            self._say(str(error))
            return
        boxes = to_boxes(list(review.table.loc[ids, VERTICES])) - [part.x, part.y] * 2
        size, model = pictures.pixel_size(image), self.model.model
        worker = background(
            lambda: self._process.read_boxes(part.load(), boxes, model, "auto", size),
            lambda outcome: self._on_read(review, ids, outcome),
            self._say,
        )
        self._say("Reading…")
        self.read.setEnabled(False)
        worker.finished.connect(lambda: self.read.setEnabled(True))
        worker.start()

    def _on_read(self, review: Review, ids: list[str], outcome: Outcome | None) -> None:
        there = [row for row, cell in enumerate(ids) if cell in review.table.index]
        if outcome is None or not there:
            return
        try:
            review.set_readings([ids[row] for row in there], outcome.cells[there])
            self._say("")
        except UserError as error:
            self._say(str(error))

    def _picture_of(self, review: Review, ids: list[str]) -> tuple[Image, pictures.Part]:
        """Return the picture that the cells lie on, and the part of it around them."""
        image = picture_below(review.layer, list(self.viewer.layers))
        if image is None:
            raise UserError("Open the picture of these cells: the model reads its pixels.")
        return image, pictures.around(image, list(review.table.loc[ids, VERTICES]))

    def _look_for_unsaved(self) -> None:
        pictures = [layer for layer in self.viewer.layers if isinstance(layer, napari.layers.Image)]
        cells = [layer for layer in self.viewer.layers if _shows_cells(layer)]
        found = {layer: unsaved(layer) for layer in [*cells, *pictures]}
        left = {each.path: (layer, each) for layer, (reviews, _) in found.items() for each in reviews}
        self._left = list(left.values())  # of a picture and the cells on it, the picture
        problems = list(dict.fromkeys(problem for _, problems in found.values() for problem in problems))
        self.recovery.setVisible(bool(self._left or problems))
        self.restore.setVisible(bool(self._left))
        self.discard.setVisible(bool(self._left))
        lines = problems
        if self._left:
            layer, replayed = self._left[-1]
            when = replayed.at[:16].replace("T", " ")
            lines = [
                f"{number_of(replayed.edits, 'edit')} of the cells on {layer.name}, until {when} UTC, were not saved.",
                replayed.problem,
                *lines,
            ]
        self.unsaved.setText("<br>".join(html.escape(line) for line in lines if line))

    def _on_restore(self) -> None:
        layer, replayed = self._left[-1]
        try:
            self.viewer.layers.selection.active = restore(self.viewer, layer, replayed)
        except UserError as error:
            self._say(str(error))
        self._look_for_unsaved()

    def _on_discard(self) -> None:
        try:
            discard(self._left[-1][1])
        except UserError as error:
            self._say(str(error))
        self._look_for_unsaved()

    def _on_removed(self, event: Any) -> None:
        review = Review.of_metadata(event.value.metadata)
        if review is not None:
            review.session.close()
        if review is self.review:
            self._bind(None)
        self._look_for_unsaved()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802  Qt's name
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._end()
        super().changeEvent(event)

    def _end(self) -> None:
        """Let go of the viewer: napari takes a closed panel out of its dock, without closing it."""
        self._bind(None)
        self._process.close()
        self.viewer.layers.selection.events.active.disconnect(self._follow_active)
        self.viewer.layers.events.inserted.disconnect(self._look_for_unsaved)
        self.viewer.layers.events.removed.disconnect(self._on_removed)


def _shows_cells(layer: Layer | None) -> bool:
    """Tell if `layer` shows cells that bloodfilm found or read."""
    return isinstance(layer, napari.layers.Shapes) and METADATA_KEY in layer.metadata and "class" in layer.features


def _words() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.RichText)
    return label


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row


def _key_table(review: Review) -> str:
    """Return the keys as a table in HTML, types in their colours."""
    lines = []
    for group in GROUPS:
        lines.append(f"<tr><td colspan=2 style='color:gray'>{group}</td></tr>")
        for key in (key for key in keys(review.vocabulary) if key.group == group):
            shade = colour(key.what, review.vocabulary.classes) if group == "type" else "inherit"
            words = f"<span style='color:{shade}'>■</span> {html.escape(key.what)}" if group == "type" else key.what
            lines.append(f"<tr><td><b>{key.key.replace('Shift+', '⇧ ')}</b>&nbsp;&nbsp;</td><td>{words}</td></tr>")
    return f"<table>{''.join(lines)}</table>"
