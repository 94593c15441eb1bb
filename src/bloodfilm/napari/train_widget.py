"""The panel for fine-tuning: label a part of a few fields, train, watch, stop when it is good, use it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QLabel, QLineEdit, QMainWindow, QScrollArea, QVBoxLayout, QWidget

from bloodfilm.errors import UserError
from bloodfilm.napari.background import background
from bloodfilm.napari.layers import spatial, to_rectangles
from bloodfilm.napari.pictures import current_picture
from bloodfilm.napari.shapes import go_to
from bloodfilm.napari.tuning.fields import save_labelled, show_only
from bloodfilm.napari.tuning.job import TrainJob
from bloodfilm.napari.tuning.label import LabelSection
from bloodfilm.napari.tuning.options import Options
from bloodfilm.napari.tuning.problems import Problems
from bloodfilm.napari.tuning.run import RunSection
from bloodfilm.training.check import Problem, check
from bloodfilm.training.project import PROJECT, choose_judges, choose_method, read, taught, unfinished
from bloodfilm.weights import home

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Shapes

    from bloodfilm.napari.tuning.fields import Index, Labelled
    from bloodfilm.napari.tuning.job import Places

DETECT = "Detect white blood cells"
FINDS = "bloodfilm_finds"
FAINT = {"edge_color": "white", "edge_width": 2, "face_color": "transparent"}


class TrainWidget(QWidget):
    """Fine-tunes a model on what is labelled in the viewer."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.label = LabelSection(napari_viewer)
        self.options, self.problems, self.run = Options(), Problems(), RunSection()
        self.method = QLabel()
        self.method.setWordWrap(True)
        self.name = QLineEdit(_new_name())
        self.name.setToolTip("What the new model is to be called.")
        self._job: TrainJob | None = None
        self._places: Places = {}
        self._stopped: Path | None = None
        self._writing = self._closed = False
        self._build()
        self.label.changed.connect(self._check)
        self.label.changed.connect(self._on_show_finds)
        self.options.changed.connect(self._on_model)
        self.options.device.currentTextChanged.connect(self._on_device)
        self.problems.wanted.connect(self._show_problem)
        self.run.begun.connect(self._begin)
        self.run.gone_on.connect(self._go_on)
        self.run.ended.connect(self._on_ended)
        self.run.found.connect(self._show_finds)
        self.run.show_finds.toggled.connect(self._on_show_finds)
        self.run.result.wanted.connect(self._use)
        self.viewer.dims.events.current_step.connect(self._on_show_finds)
        self._on_model()
        self._on_device()
        self._offer()
        self._check()

    def _build(self) -> None:
        inner = QWidget()
        layout = QVBoxLayout(inner)
        for number, (title, widgets) in enumerate(
            (
                ("Label parts of some fields", [self.label]),
                ("Choose how to learn", [self.options, self.method]),
                ("Train", [self.name, self.problems, self.run]),
            ),
            start=1,
        ):
            heading = QLabel(f"<b>{number}  {title}</b>")
            layout.addWidget(heading)
            for widget in widgets:
                layout.addWidget(widget)
        layout.addStretch()
        self.area = QScrollArea()
        self.area.setWidget(inner)
        self.area.setWidgetResizable(True)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.area)
        self.setMinimumWidth(390)

    @property
    def _window(self) -> QMainWindow | None:
        """The window of the viewer, once the panel is in it, even if it floats."""
        above = self.parentWidget()
        while above is not None and not isinstance(above, QMainWindow):
            above = above.parentWidget()
        return above

    def _follow_latest(self) -> None:
        """Follow the window's training that began before the panel was opened, or show what came of it."""
        job = TrainJob.of(self._window) if self._window is not None else None
        if job is not None and job is not self._job:
            self._follow(job)

    def _on_model(self) -> None:
        self.label.search_with(self.options.model.model)

    def _on_device(self) -> None:
        self.label.device = self.options.device.currentText()

    def _check(self) -> None:
        """Say how it will be learned, and what is in the way."""
        fields = [each.field for each in self.label.labelled]
        problems, fields = check(fields), taught(fields)
        self.problems.show_all(problems if self.run.job is None else [])
        self.method.setText(choose_method(fields, choose_judges(fields))[1] + "." if fields else "")
        idle = self.run.job is None and not self._writing
        self.run.train.setEnabled(idle and not any(problem.stops for problem in problems))

    def _offer(self) -> None:
        """Offer to go on with the latest training that was stopped."""
        self._stopped = next(iter(unfinished(home() / "runs")), None)
        self.run.offer(self._stopped)

    def _show_problem(self, problem: Problem) -> None:
        place = self.label.labelled[problem.field]
        show_only(self.viewer, place.image)
        box = problem.box or (0, 0, place.field.width, place.field.height)
        (shape,) = to_rectangles([box], place.index)
        go_to(self.viewer, place.image, shape)

    def _begin(self) -> None:
        name = self.name.text().strip()
        folder = home() / "runs" / name
        try:
            if not name or name.startswith(".") or Path(name).name != name:
                raise UserError("Give the new model a name without slashes that does not begin with a dot.")
            if (folder / PROJECT).exists():
                raise UserError(f"There is a training called {name} already: choose another name.")
        except (UserError, OSError) as error:
            self.run.say_error(str(error))
            return
        self.label.refresh()
        labelled = [each for each in self.label.labelled if taught([each.field])]
        settings, minutes = self.options.settings(), self.options.minutes.value() or None
        self._set_writing(True)
        self.run.say("Writing pictures…")
        background(
            lambda: save_labelled(folder, labelled, settings, minutes),
            lambda _: self._on_written(folder, labelled),
            self._on_not_written,
        ).start()

    def _set_writing(self, writing: bool) -> None:
        """Begin no training while the pictures of one are written."""
        self._writing = writing
        self.run.go_on.setEnabled(not writing)
        self._check()

    def _on_written(self, folder: Path, labelled: Sequence[Labelled]) -> None:
        if not self._closed:
            self._set_writing(False)
            self._start(folder, labelled)

    def _on_not_written(self, message: str) -> None:
        if not self._closed:
            self._set_writing(False)
            self.run.say_error(message)

    def _go_on(self) -> None:
        assert self._stopped is not None
        self._start(self._stopped, self.label.labelled)

    def _start(self, folder: Path, labelled: Sequence[Labelled]) -> None:
        try:
            paths = [field.path.absolute() for field in read(folder)[1]]
        except UserError as error:
            self.run.say_error(str(error))
            return
        places = {str(path): (each.image, each.index) for path in paths for each in labelled if each.shows(path)}
        self._follow(TrainJob(folder, self._window, places))

    def _follow(self, job: TrainJob) -> None:
        self._job, self._places = job, job.places
        self.run.follow(job)
        if job.over:
            return
        self._check()
        self._on_show_finds()
        for name in self._shown()[: self.run.show_finds.isChecked()]:
            self._finds_layer(name)

    def _on_ended(self, model: str) -> None:
        if model:
            self.label.search_with(model)
        self._remove_finds()
        self.name.setText(_new_name())
        self._offer()
        self._check()

    def _on_show_finds(self) -> None:
        """Ask for what is found on the picture that is shown, or hide them."""
        wanted = self.run.show_finds.isChecked()
        shown = self._shown()
        if self.run.job is not None:
            self.run.job.show(shown[0] if wanted and shown else "")
        for layer in self._finds_layers():
            layer.visible = wanted and layer.metadata[FINDS] in shown

    def _shown(self) -> list[str]:
        """Return the pictures in view that are learned from."""
        return [name for name, (image, index) in self._places.items() if self._is_shown(image, index)]

    def _is_shown(self, image: Image, index: Index) -> bool:
        if image not in self.viewer.layers or not image.visible:
            return False
        try:
            return current_picture(image, self.viewer)[1] == index
        except UserError:  # in 3D, or along other axes
            return False

    def _show_finds(self, name: str, boxes: list[list[float]]) -> None:
        image, index = self._places.get(name, (None, ()))
        if image in self.viewer.layers:
            layer = self._finds_layer(name)
            layer.data = []
            layer.add(to_rectangles(boxes, index), shape_type="rectangle", **FAINT)

    def _remove_finds(self) -> None:
        for layer in self._finds_layers():
            self.viewer.layers.remove(layer)

    def _finds_layers(self) -> list[Shapes]:
        return [layer for layer in self.viewer.layers if FINDS in layer.metadata]

    def _finds_layer(self, name: str) -> Shapes:
        """Return the layer for what is found on a picture, made now if there is none."""
        for layer in self._finds_layers():
            if layer.metadata[FINDS] == name:
                return layer
        image, active = self._places[name][0], self.viewer.layers.selection.active
        told = {"name": f"{image.name} found in training", "ndim": image.ndim, "metadata": {FINDS: name}}
        layer = self.viewer.add_shapes(opacity=0.4, **told, **spatial(image))
        if active in self.viewer.layers:
            self.viewer.layers.selection.active = active
        return layer

    def _use(self) -> None:
        _, detect = self.viewer.window.add_plugin_dock_widget("bloodfilm", DETECT, tabify=True)
        detect.model.choose(self.run.result.model)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802  Qt's name
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self._end()
            else:
                QTimer.singleShot(0, self._follow_latest)
        super().changeEvent(event)

    def _end(self) -> None:
        """Let go of the viewer: napari takes a closed panel out of its dock; the training goes on."""
        self._closed, self._job, self._places = True, None, {}
        self.run.let_go()
        self.label.end()
        self._remove_finds()
        self.viewer.dims.events.current_step.disconnect(self._on_show_finds)


def _new_name() -> str:
    return f"wbc-{datetime.now():%Y-%m-%d-%H%M%S}"
