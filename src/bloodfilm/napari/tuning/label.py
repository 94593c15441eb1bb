"""What is labelled: the pictures, the tools to draw with, and where it is best to go on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari.layers
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from bloodfilm.errors import UserError
from bloodfilm.napari.layers import to_rectangles
from bloodfilm.napari.review import Review
from bloodfilm.napari.shapes import go_to
from bloodfilm.napari.tuning.fields import (
    Labelled,
    add_cells,
    add_regions,
    cells_of,
    collect,
    layers_on,
    open_folder,
    show_only,
)
from bloodfilm.napari.tuning.suggestions import MAX_SEARCHED, Suggestions
from bloodfilm.training.regions import drawn, labelled
from bloodfilm.vocabulary import number_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

WAIT_MS = 300
"""Milliseconds after the last change of a layer before its labels are counted again."""

PATCHES = 5
"""Regions that are suggested at once."""

HINT = "In a region, box every white cell: what has no box there is learned as no white cell."
LAYER = Qt.ItemDataRole.UserRole


class LabelSection(QWidget):
    """Chooses the pictures to learn from and helps to label them.

    Attributes
    ----------
    changed : Signal()
        `labelled` is another.
    labelled : list of Labelled
        What is labelled on the chosen pictures.
    model, device : str
        With what regions are suggested; `search_with` sets the model.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = viewer
        self.labelled: list[Labelled] = []
        self.model = self.device = ""
        self.suggestions = Suggestions(viewer)
        self._build()
        self._wait = QTimer(self)
        self._wait.setSingleShot(True)
        self._wait.setInterval(WAIT_MS)
        self._wait.timeout.connect(self.refresh)
        self._watched: list[Any] = []
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removed.connect(self._on_layers)
        self._on_layers()
        self.refresh()

    def _build(self) -> None:
        self.pictures = QListWidget()
        self.pictures.setMaximumHeight(96)
        self.pictures.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.pictures.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.pictures.setToolTip("Untick pictures that are not to be learned from.")
        self.pictures.itemChanged.connect(lambda: self._wait.start())
        self.pictures.itemClicked.connect(self._on_picture)
        self.open = QPushButton("Open a folder…")
        self.open.setToolTip("Pictures, or labels with their pictures: a subset of LLD, for instance.")
        self.open.clicked.connect(self._on_open)
        self.draw_region = QPushButton("Draw a region")
        self.draw_region.setToolTip("A rectangle, or any shape of the layer's tools, in which you box all white cells.")
        self.draw_region.clicked.connect(self._on_draw_region)
        self.draw_cells = QPushButton("Box cells")
        self.draw_cells.setToolTip("Draw a box around each white cell; the keys of the Review panel name it.")
        self.draw_cells.clicked.connect(self._on_draw_cells)
        self.suggest = QPushButton("Suggest where to label next")
        self.searches = QLabel()
        self.searches.setTextFormat(Qt.TextFormat.PlainText)
        self.searches.setWordWrap(True)
        self.suggest.clicked.connect(self._on_suggest)
        self.words = QLabel(HINT)
        self.words.setWordWrap(True)
        self.go, self.accept, self.skip = QPushButton("Show"), QPushButton("Label this"), QPushButton("Skip")
        self.go.clicked.connect(self._on_go)
        self.accept.clicked.connect(self._on_accept)
        self.skip.clicked.connect(self._on_skip)
        self.choice = QWidget()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.pictures)
        layout.addLayout(row(self.open, self.draw_region, self.draw_cells))
        layout.addWidget(self.suggest)
        layout.addWidget(self.searches)
        layout.addWidget(self.words)
        self.choice.setLayout(row(self.go, self.accept, self.skip))
        self.choice.hide()
        layout.addWidget(self.choice)
        self.suggestions.progressed.connect(self._on_progress)
        self.suggestions.ready.connect(self._on_ready)
        self.suggestions.failed.connect(self._on_failed)

    @property
    def images(self) -> list[Image]:
        """The ticked pictures and stacks."""
        items = [self.pictures.item(number) for number in range(self.pictures.count())]
        return [item.data(LAYER) for item in items if item.checkState() == Qt.CheckState.Checked]

    @property
    def image(self) -> Image | None:
        """The picture that the user works on: the selected one, that of the selected cells, or the uppermost.

        One that is shown goes before one that is hidden.
        """
        active = self.viewer.layers.selection.active
        images = self.images
        chosen = [image for image in images if active == image or active in layers_on(self.viewer, image)]
        return next(iter(sorted([*chosen, *reversed(images)], key=lambda image: not image.visible)), None)

    def _on_layers(self) -> None:
        """Keep the list of pictures, and listen to all layers."""
        ticked = {
            id(self.pictures.item(n).data(LAYER)): self.pictures.item(n).checkState()
            for n in range(self.pictures.count())
        }
        self.pictures.blockSignals(True)
        self.pictures.clear()
        for layer in self.viewer.layers:
            if isinstance(layer, napari.layers.Image):
                item = QListWidgetItem(layer.name)
                item.setData(LAYER, layer)
                item.setCheckState(ticked.get(id(layer), Qt.CheckState.Checked))
                self.pictures.addItem(item)
        self.pictures.blockSignals(False)
        for layer in self.viewer.layers:
            if layer not in self._watched:
                for event in _telling(layer):
                    event.connect(self._on_data)
                self._watched.append(layer)
        self._watched = [layer for layer in self._watched if layer in self.viewer.layers]
        self.suggestions.forget_removed()
        self.choice.setVisible(bool(self.suggestions.proposals))
        self._wait.start()

    def _on_data(self) -> None:
        self._wait.start()

    def refresh(self) -> None:
        """Count what is labelled."""
        self.labelled = collect(self.viewer, self.images)
        self.pictures.blockSignals(True)
        for number in range(self.pictures.count()):
            item = self.pictures.item(number)
            mine = [each.field for each in self.labelled if each.image is item.data(LAYER)]
            item.setText(f"{_told(mine)}: {item.data(LAYER).name}")
            labels = cells_of(self.viewer, item.data(LAYER))
            item.setToolTip(f"Its cells are those of “{labels.name}”." if labels else "")
        self.pictures.blockSignals(False)
        self.suggest.setEnabled(bool(self.images) and not self.suggestions.searching)
        self.changed.emit()

    def _on_open(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a folder")
        if folder:
            try:
                open_folder(self.viewer, Path(folder))
            except UserError as error:
                self.words.setText(str(error))

    def _on_picture(self, item: QListWidgetItem) -> None:
        show_only(self.viewer, item.data(LAYER))

    def _on_draw_region(self) -> None:
        self._draw(add_regions, "Drag a rectangle over a part of the picture that you will label in full.")

    def _on_draw_cells(self) -> None:
        self._draw(self._cells, HINT)

    def _cells(self, viewer: ViewerModel, image: Image) -> Any:
        layer = add_cells(viewer, image)
        Review.of(layer, viewer)
        return layer

    def _draw(self, layer_for: Any, told: str) -> None:
        image = self.image
        if image is None:
            self.words.setText("Open a picture first, and tick it.")
            return
        if not image.visible:
            show_only(self.viewer, image)
        layer = layer_for(self.viewer, image)
        layer.visible = True
        self.viewer.layers.selection.active = layer
        layer.mode = "add_rectangle"
        self.words.setText(told)

    def search_with(self, model: str) -> None:
        """Let `model`, a name or a file, suggest regions from now on."""
        self.model = model
        self.searches.setText(f"Suggestions come from {Path(model).name}.")
        self.suggest.setToolTip(
            f"{model} searches the pictures, of a stack at most {MAX_SEARCHED}, and the {PATCHES} parts that would "
            "teach it most are marked. That is the model to start from, after a training the new one."
        )

    def _on_suggest(self) -> None:
        self.suggest.setEnabled(False)
        self.suggestions.search(self.images, self.model, self.device, PATCHES)

    def _on_progress(self, done: int, of: int) -> None:
        self.words.setText(f"Searching picture {done + 1} of {of}…")

    def _on_failed(self, message: str) -> None:
        self.suggest.setEnabled(True)
        self.words.setText(message)

    def _on_ready(self) -> None:
        self.suggest.setEnabled(True)
        self._on_go()

    def _on_go(self) -> None:
        """Show the first suggestion, if one is left."""
        self.choice.setVisible(bool(self.suggestions.proposals))
        if not self.suggestions.proposals:
            self.words.setText("No suggestion is left. " + HINT)
            return
        proposal, image, index = self.suggestions.proposals[0]
        show_only(self.viewer, image)
        (shape,) = to_rectangles([proposal.region], index)
        go_to(self.viewer, image, shape)
        left = len(self.suggestions.proposals)
        self.words.setText(f"Next of {left}: {proposal.why}.")

    def _on_accept(self) -> None:
        image = self.suggestions.proposals[0][1]
        count = self.suggestions.accept()
        self.viewer.layers.selection.active = self._cells(self.viewer, image)
        self.viewer.layers.selection.active.mode = "select"
        self.choice.setVisible(bool(self.suggestions.proposals))
        self.words.setText(f"{count} cells of the model's are in it: correct them, box what it missed. Show goes on.")
        self._wait.start()

    def _on_skip(self) -> None:
        self.suggestions.skip()
        self._on_go()

    def end(self) -> None:
        """Let go of the viewer."""
        self._wait.stop()
        self.suggestions.close()
        self.viewer.layers.events.inserted.disconnect(self._on_layers)
        self.viewer.layers.events.removed.disconnect(self._on_layers)
        for layer in self._watched:
            for event in _telling(layer):
                event.disconnect(self._on_data)


def _telling(layer: Any) -> list[Any]:
    """Return the events of a layer after which what is labelled, or how it is called, may be another."""
    if isinstance(layer, napari.layers.Shapes):
        return [layer.events.data, layer.events.features, layer.events.visible]
    return [layer.events.name] if isinstance(layer, napari.layers.Image) else []


def row(*widgets: QWidget) -> QHBoxLayout:
    """Return the widgets side by side."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return layout


def _told(fields: list[Any]) -> str:
    cells = sum(int(field.looked_at(field.cells.boxes).sum()) for field in fields)
    regions = sum(len(drawn(labelled(field))) for field in fields)
    if not regions:
        return "nothing labelled"
    return f"{number_of(regions, 'region')}, {number_of(cells, 'cell')}"
