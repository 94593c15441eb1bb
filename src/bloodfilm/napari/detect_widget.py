"""The Detect panel: choose a picture, press the button, filter what was found."""

from __future__ import annotations

import html
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import napari.layers
from magicgui.widgets import create_widget
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleSlider

from bloodfilm.detection.process import DetectionProcess, Outcome
from bloodfilm.errors import UserError
from bloodfilm.napari import pictures
from bloodfilm.napari.detect_job import DetectJob
from bloodfilm.napari.layers import (
    FOUND_KEY,
    METADATA_KEY,
    PICTURE_ID,
    cells_layer,
    describe,
    picture_id,
    spatial,
)
from bloodfilm.napari.model_box import DeviceBox, ModelBox
from bloodfilm.napari.review import Review
from bloodfilm.palette import colour
from bloodfilm.review.states import REJECTED, REVIEW
from bloodfilm.weights import MIN_SCORE

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Shapes

WHOLE, VIEW, RECTANGLE = "whole picture", "current view", "drawn rectangles"
UNLIKE = "Unlike the pictures that the model learned from: check what it found"
REGION_KEY = "bloodfilm_region"


class DetectWidget(QWidget):
    """Find the white blood cells of an Image layer and show them as a Shapes layer."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self._process = DetectionProcess()
        self._job: DetectJob | None = None
        self._results: dict[Shapes, str] = {}
        self._build()
        self.viewer.layers.events.inserted.connect(self._on_layer_inserted)
        self.viewer.layers.events.removed.connect(self._on_layer_removed)
        for layer in self.viewer.layers:
            self._take(layer)

    def _build(self) -> None:
        self.picture: Any = create_widget(label="picture", annotation=napari.layers.Image)
        self.viewer.layers.events.inserted.connect(self.picture.reset_choices)
        self.viewer.layers.events.removed.connect(self.picture.reset_choices)
        self.viewer.layers.selection.events.active.connect(self._follow_active)
        self.model = ModelBox()
        self.device = DeviceBox()
        self.region = QComboBox()
        self.region.addItems((WHOLE, VIEW, RECTANGLE))
        self.region.activated.connect(self._on_region_chosen)
        self.button = QPushButton("Detect white blood cells")
        self.button.setMinimumHeight(36)
        self.button.clicked.connect(self._on_button)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.hide()
        self.score = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.score.setRange(0.05, 0.99)
        self.score.setDecimals(2)
        self.score.setSingleStep(0.01)
        self.score.setValue(MIN_SCORE)
        self.score.valueChanged.connect(self._on_score)
        self.summary = QLabel("Open a picture of a blood film, then press the button.")
        self.summary.setWordWrap(True)
        self.summary.setTextFormat(Qt.TextFormat.RichText)
        self.table = QPushButton("Show table")
        self.table.clicked.connect(self._on_table)
        self.table.setEnabled(False)
        self.look = QPushButton("Look through the cells")
        self.look.clicked.connect(self._on_look)
        self.look.setEnabled(False)
        note = QLabel("Research software: not a diagnosis.")
        note.setStyleSheet("color: gray")
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self.setMinimumWidth(320)
        for label, widget, tip in (
            ("picture", self.picture.native, "The Image layer to search; of a stack, the slice shown."),
            ("search", self.region, "All of the picture, what the canvas shows, or rectangles that you draw."),
            ("model", self.model, "A model that came with bloodfilm, or a checkpoint file."),
            ("device", self.device, "auto takes a graphics card if torch can use one."),
            ("min score", self.score, "Hides less certain cells; works after detection, without running again."),
        ):
            widget.setToolTip(tip)
            widget.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            form.addRow(label, widget)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.button)
        layout.addWidget(self.progress)
        layout.addWidget(self.summary)
        row = QHBoxLayout()
        row.addWidget(self.look)
        row.addWidget(self.table)
        layout.addLayout(row)
        layout.addStretch()
        layout.addWidget(note)

    def _follow_active(self) -> None:
        """Choose the picture that the user selects in the layer list."""
        layer = self.viewer.layers.selection.active
        if isinstance(layer, napari.layers.Image):
            self.picture.value = layer

    def _on_region_chosen(self) -> None:
        if self.region.currentText() != RECTANGLE:
            return
        layer = self._region_layer()
        if layer is None:
            layer = self.viewer.add_shapes(
                name="Search here", face_color="transparent", edge_color="yellow", metadata={REGION_KEY: True}
            )
        self.viewer.layers.selection.active = layer
        layer.mode = "add_rectangle"
        self._say("Draw one or more rectangles on the picture, then press the button.")

    def _region_layer(self) -> Shapes | None:
        return next((layer for layer in self.viewer.layers if REGION_KEY in layer.metadata), None)

    def _parts(self, layer: Image) -> list[pictures.Part]:
        choice = self.region.currentText()
        if choice == VIEW:
            return [pictures.current_view(layer, self.viewer)]
        if choice == RECTANGLE:
            region = self._region_layer()
            if region is None:
                raise UserError("Choose “drawn rectangles” again and draw one.")
            return pictures.drawn(layer, self.viewer, region)
        return [pictures.whole(layer, self.viewer)]

    def _on_button(self) -> None:
        if self._job is not None:
            self._job.cancel()
            self.button.setText("Cancelling…")
            self.button.setEnabled(False)
            return
        layer = self.picture.value
        if layer is None:
            self._say("Open a picture of a blood film first.")
            return
        try:
            parts = self._parts(layer)
        except UserError as error:
            self._say_error(str(error))
            return
        self._job = DetectJob(
            self._process, parts, self.model.model, self.device.currentText(), pictures.pixel_size(layer)
        )
        self._job.progressed.connect(self._on_progress)
        self._job.finished.connect(lambda outcome: self._on_finished(outcome, layer, parts[0].index))
        self._job.failed.connect(self._on_failed)
        self._job.cancelled.connect(self._on_cancelled)
        self.button.setText("Cancel")
        self.progress.setRange(0, 0)
        self.progress.show()
        self._say("Searching…")
        self._job.start()

    def _on_progress(self, done: int, total: int) -> None:
        self.progress.setRange(0, total)
        self.progress.setValue(done)

    def _reset(self) -> None:
        self._job = None
        self.button.setText("Detect white blood cells")
        self.button.setEnabled(True)
        self.progress.hide()

    def _on_finished(self, outcome: Outcome, layer: Image, index: tuple[int, ...]) -> None:
        self._reset()
        if layer not in self.viewer.layers:
            self._say("The picture was removed; nothing was kept.")
            return
        cells = outcome.cells
        details = [str(cells.scale)] if cells.scale else []
        if (cells.novelty or 0) > 1:
            details.append(f"<span style='color:#e0a030'>{UNLIKE} (novelty {cells.novelty:.1f})</span>")
        details.append(f"{outcome.seconds:.2f} s on {outcome.running_on}")
        field = replace(pictures.field_of(layer, index), cells=cells)
        metadata = {
            "provenance": outcome.provenance,
            "pictures": {index: describe(field)},
            "picture": layer.name,
            PICTURE_ID: picture_id(layer),
            "source": layer.source.path,
            FOUND_KEY: "<br>".join(details),
        }
        arguments = cells_layer(outcome.cells, f"{layer.name} cells", index, metadata) | spatial(layer)
        shapes = self.viewer.add_shapes(arguments.pop("data"), **arguments)
        Review.of(shapes).show(self.score.value())
        shapes.mode = "select"
        self.viewer.layers.selection.active = shapes
        self._summarise(shapes)

    def _on_failed(self, message: str) -> None:
        self._reset()
        self._say_error(message)

    def _on_cancelled(self) -> None:
        self._reset()
        self._say("Cancelled; nothing was changed.")

    def _result_layer(self) -> Shapes | None:
        """Return the selected layer if it is a result, else the latest result."""
        active = self.viewer.layers.selection.active
        return active if active in self._results else next(reversed(self._results), None)

    def _on_score(self) -> None:
        layer = self._result_layer()
        if layer is not None:
            Review.of(layer).show(self.score.value())

    def _on_changed(self) -> None:
        layer = self._result_layer()
        if layer is not None:
            self._summarise(layer)

    def _summarise(self, layer: Shapes) -> None:
        review = Review.of(layer)
        rejected = review.shown[REVIEW] == REJECTED
        counts = Counter(map(str, review.shown.loc[~rejected, "class"]))
        words = "white blood cell" if counts.total() == 1 else "white blood cells"
        lines = [f"<b>{counts.total()} {words}</b>"]
        for name, count in counts.most_common():
            shade = colour(name, review.vocabulary.classes)
            lines.append(f"<span style='color:{shade}'>■</span> {count} {name}")
        for count, why in ((int(rejected.sum()), "rejected"), (review.hidden, "below the score are hidden")):
            if count:
                lines.append(f"<span style='color:gray'>{count} {why}</span>")
        lines.append(f"<span style='color:gray'>{self._results[layer]}</span>")
        self._say("<br>".join(lines))

    def _on_look(self) -> None:
        self.viewer.layers.selection.active = self._result_layer()
        dock, _ = self.viewer.window.add_plugin_dock_widget("bloodfilm", "Look through the cells", tabify=True)
        dock.raise_()

    def _on_table(self) -> None:
        self.viewer.layers.selection.active = self._result_layer()
        show_table(self.viewer)

    def _on_layer_inserted(self, event: Any) -> None:
        self._take(event.value)

    def _take(self, layer: Any) -> None:
        """Take `layer` for a result if cells were found for it: now, or before they were restored from a journal."""
        found = layer.metadata.get(METADATA_KEY, {}).get(FOUND_KEY)
        if found is not None:
            Review.of(layer, self.viewer).changed.connect(self._on_changed)
            self._results[layer] = found
            self.table.setEnabled(True)
            self.look.setEnabled(True)

    def _on_layer_removed(self, event: Any) -> None:
        self._results.pop(event.value, None)
        self.table.setEnabled(bool(self._results))
        self.look.setEnabled(bool(self._results))

    def _say(self, text: str) -> None:
        self.summary.setText(text)

    def _say_error(self, message: str) -> None:
        self.summary.setText(f"<span style='color:#ff6b6b'>{html.escape(message)}</span>")

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802  Qt's name
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._end()
        super().changeEvent(event)

    def _end(self) -> None:
        """Stop and let go of the viewer: napari takes a closed panel out of its dock, without closing it."""
        if self._job is not None:
            self._job.cancel()
        self._process.close()
        for layer in self._results:
            Review.of(layer).changed.disconnect(self._on_changed)
        self.viewer.layers.events.inserted.disconnect(self.picture.reset_choices)
        self.viewer.layers.events.removed.disconnect(self.picture.reset_choices)
        self.viewer.layers.selection.events.active.disconnect(self._follow_active)
        self.viewer.layers.events.inserted.disconnect(self._on_layer_inserted)
        self.viewer.layers.events.removed.disconnect(self._on_layer_removed)


def show_table(viewer: ViewerModel) -> None:
    """Show napari's features table below the picture, where its columns have room."""
    dock, _ = viewer.window.add_plugin_dock_widget("napari", "Features table widget")
    dock.window().addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
