"""The Cells panel: look through the cells of a layer, choose, colour, filter and correct them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import napari.layers
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QLabel, QStackedWidget, QVBoxLayout, QWidget

from bloodfilm.errors import UserError
from bloodfilm.napari.feature_tables import fit_quickly
from bloodfilm.napari.gallery.cell_panel import CROP, CellPanel
from bloodfilm.napari.gallery.cells_view import CellsView
from bloodfilm.napari.gallery.crops import Crops, picture_below
from bloodfilm.napari.gallery.halves import Halves, Scrolled
from bloodfilm.napari.gallery.layer_cells import LayerCells
from bloodfilm.napari.gallery.measurer import Measurer
from bloodfilm.napari.gallery.measures import Measured
from bloodfilm.napari.gallery.review_bar import ReviewBar
from bloodfilm.napari.gallery.table import bare, shows_cells
from bloodfilm.napari.keys import keys
from bloodfilm.napari.review import Review
from bloodfilm.napari.shapes import go_to

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Shapes

NOTHING = (
    "<b>No cells to look through yet.</b><br><br>Press <i>Detect white blood cells</i> in its panel (menu Plugins), "
    "or open labels with <i>File → Open</i>.<br><br>If there are cells, select their layer in the list of layers."
)
LEAST = 340
"""Height of legend and gallery in pixels; what a legend of many lines asks for is that of a narrower panel."""

LOOKS = ("contrast_limits", "gamma", "colormap", "data")


class CellsWidget(QWidget):
    """Shows the cells of the Shapes layer that is selected in the list, or was last."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.cells: LayerCells | None = None
        self.crops: Crops | None = None
        self.panel: CellPanel | None = None
        self.review: Review | None = None
        self._on_canvas = False
        self._build()
        self._reload_soon = _once(self, self._reload)
        self.viewer.layers.selection.events.active.connect(self._follow_active)
        self.viewer.layers.events.inserted.connect(self._on_inserted)
        self.viewer.layers.events.removed.connect(self._on_removed)
        self.viewer.mouse_drag_callbacks.append(self._during_drag)
        self._follow_active()

    def _build(self) -> None:
        self.setMinimumWidth(370)
        self.view = CellsView()
        self.view.arranged.connect(self._on_arranged)
        self.view.gallery.chosen.connect(self._on_chosen)
        self.view.gallery.opened.connect(self._go_to)
        self.measurer = Measurer()
        self.measurer.measured.connect(self._on_measured)
        self.nothing = QLabel(NOTHING)
        self.nothing.setWordWrap(True)
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.below = QWidget()
        self.detail = QVBoxLayout(self.below)
        self.detail.setContentsMargins(0, 0, 0, 0)
        self.hint = QLabel("Click a cell to see it large. Click twice to see it on the picture.")
        self.hint.setWordWrap(True)
        self.bar = ReviewBar()
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setStyleSheet("color: #ff6b6b")
        self.message.hide()
        self.hint.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.hint)
        self.detail.addWidget(Scrolled(self.pages))
        self.detail.addWidget(self.message)
        self.detail.addWidget(self.bar)
        self.parts = Halves(self.view, self.below, LEAST)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.parts)
        layout.addWidget(self.nothing)

    # which layer is shown

    def _follow_active(self, event: Any = None) -> None:
        """Show the selected layer if it has cells, else stay, else take the latest that has."""
        active = bare(self.viewer.layers.selection.active)
        shown = self.cells.layer if self.cells else None
        if shows_cells(active):
            self._show_layer(active)
        elif shown is None:
            self._show_layer(next((bare(each) for each in reversed(self.viewer.layers) if shows_cells(each)), None))

    def _on_inserted(self, event: Any) -> None:
        self._follow_active()
        if isinstance(bare(event.value), napari.layers.Image):
            self._reload_soon.start()

    def _on_removed(self, event: Any) -> None:
        removed = bare(event.value)
        if self.cells is not None and removed is self.cells.layer:
            self._show_layer(None)
            self._follow_active()
        elif self.crops is not None and removed is self.crops.cutter.layer:
            self._show_picture(None)
            self._reload_soon.start()

    def _show_layer(self, layer: Shapes | None) -> None:
        if self.cells is not None and layer is self.cells.layer:
            return
        self._let_go()
        self.parts.setVisible(layer is not None)
        self.nothing.setVisible(layer is None)
        if layer is None:
            return
        try:
            self.review = self.bar.review = Review.of(layer, self.viewer)
        except UserError:
            layer.events.data.connect(self._on_data)
            layer.events.features.connect(self._on_data)
        else:
            self.review.changed.connect(self._on_changed)
            self.review.told.connect(self._tell)
        self.cells = LayerCells(layer)
        if self.review is not None:
            self.review.colours = self.cells.box_colours
        layer.selected_data.events.items_changed.connect(self._on_selected)
        self.panel = CellPanel(self.cells.vocabulary, self.cells.table.columns)
        self.panel.setEnabled(self.review is not None)
        if self.review is not None:
            acts = {key.key: partial(key.act, self.review) for key in keys(self.review.vocabulary)}
            self.view.gallery.set_keys(acts)
        self.panel.class_picked.connect(self._on_class)
        self.panel.attribute_picked.connect(self._on_attribute)
        self.pages.addWidget(self.panel)
        self._reload(fresh=True)
        self.parts.share()

    def _let_go(self) -> None:
        """Forget the layer that was shown."""
        self._reload_soon.stop()
        if self.review is not None:
            self.review.among = None
            self.review.changed.disconnect(self._on_changed)
            self.review.told.disconnect(self._tell)
        elif self.cells is not None:
            self.cells.layer.events.data.disconnect(self._on_data)
            self.cells.layer.events.features.disconnect(self._on_data)
        if self.cells is not None:
            self.cells.layer.selected_data.events.items_changed.disconnect(self._on_selected)
        self._show_picture(None)
        if self.panel is not None:
            self.pages.removeWidget(self.panel)
            self.panel.setParent(None)
            self.panel.deleteLater()
        self.view.gallery.set_keys({})
        self.measurer.forget()
        self.cells = self.panel = self.review = self.bar.review = None

    def _show_picture(self, image: Image | None) -> None:
        """Cut the crops from `image`."""
        if self.crops is not None:
            for name in LOOKS:
                getattr(self.crops.cutter.layer.events, name).disconnect(self._on_look)
            self.crops.close()
            self.crops = self.view.crops = None
        if image is not None:
            self.crops = self.view.crops = Crops(image)
            self.crops.arrived.connect(self._on_arrived)
            for name in LOOKS:
                getattr(image.events, name).connect(self._on_look)

    def _on_look(self) -> None:
        if self.crops is not None:
            self.crops.forget()
            self.view.gallery.viewport().update()

    def _on_arrived(self) -> None:
        self.view.gallery.viewport().update()
        self._show_selected()

    # the cells of the layer

    def _on_data(self) -> None:
        self._reload_soon.start()

    def _reload(self, fresh: bool = False) -> None:
        """Read the layer anew: cells came, went or moved, or columns did."""
        if self.cells is None or self.cells.layer not in self.viewer.layers:
            return
        layer = self.cells.layer
        image = picture_below(layer, list(self.viewer.layers))
        if image is not (self.crops.cutter.layer if self.crops else None):
            self._show_picture(image)
        if not fresh:
            self.cells.reload()
        self.cells.repaint()
        places = self.cells.places(image, self.viewer.dims.point) if image is not None else []
        self.view.show_cells(self.cells, self.crops, places)

    def _on_arranged(self, rows: list[int]) -> None:
        """Go on among the cells that are shown."""
        assert self.cells is not None
        if self.review is not None:
            self.review.among = None if len(rows) == len(self.cells.table) else set(self.cells.ids[rows])
        self._show_selected()

    # edits

    def _on_changed(self, ids: list[str]) -> None:
        """Show cells that were edited."""
        assert self.cells is not None
        self.message.hide()
        before = self.cells.table
        rows = self.cells.refresh(ids)
        if rows is None:
            self._reload_soon.start()
            return
        self.view.refresh(rows, before)
        self._show_selected()

    def _tell(self, message: str) -> None:
        self.message.setText(message)
        self.message.show()

    def _on_class(self, name: str) -> None:
        assert self.review is not None
        self.review.set_class(self.review.selected, name)

    def _on_attribute(self, name: str, word: str) -> None:
        assert self.review is not None
        self.review.set_attribute(self.review.selected, name, word)

    # one selection

    def _during_drag(self, viewer: ViewerModel, event: Any) -> Any:
        """Know that what is selected now is selected on the canvas, where it is seen already."""
        self._on_canvas = True
        yield
        while event.type == "mouse_move":
            yield
        QTimer.singleShot(0, self._after_drag)

    def _after_drag(self) -> None:
        self._on_canvas = False

    def _on_chosen(self, rows: set[int]) -> None:
        assert self.cells is not None
        self.cells.layer.selected_data = rows

    def _on_selected(self) -> None:
        assert self.cells is not None
        fit_quickly(self)
        rows = self.cells.layer.selected_data
        if self.view.gallery.rows() != rows:
            self.view.gallery.follow(rows)
        self._show_selected()
        if len(rows) == 1 and not self._on_canvas:
            self._go_to(next(iter(rows)))

    def _go_to(self, row: int) -> None:
        assert self.cells is not None
        if row < len(self.cells.corners):
            go_to(self.viewer, self.cells.layer, self.cells.corners[row])

    def _show_selected(self) -> None:
        assert self.cells is not None and self.panel is not None
        rows = [int(row) for row in self.cells.layer.selected_data if row < len(self.cells.table)]
        self.bar.refresh()
        self.pages.setCurrentWidget(self.panel if rows else self.hint)
        if rows:
            crop = self.view.crop(rows[0], CROP) if len(rows) == 1 else None
            self.panel.show_cells(self.cells.table.iloc[rows], crop)
        image = self.crops.cutter.layer if self.crops is not None else None
        self.measurer.want(image, self.cells, rows[0] if len(rows) == 1 else None)

    def _on_measured(self, row: int | None, found: Measured | None) -> None:
        """Show what was measured of a cell; what it contradicts makes the cell more doubtful."""
        assert self.cells is not None and self.panel is not None
        self.panel.show_measures(found)
        if found is not None and self.review is not None:
            self.review.note_contradicted(self.cells.ids[row], found.contradicted)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802  Qt's name
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._end()
        super().changeEvent(event)

    def closeEvent(self, event: QEvent) -> None:  # noqa: N802  Qt's name
        self._end()
        super().closeEvent(event)

    def _end(self) -> None:
        """Let go of the viewer: napari takes a closed panel out of its dock, without closing it."""
        self._let_go()
        self.viewer.layers.selection.events.active.disconnect(self._follow_active)
        self.viewer.layers.events.inserted.disconnect(self._on_inserted)
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        if self._during_drag in self.viewer.mouse_drag_callbacks:
            self.viewer.mouse_drag_callbacks.remove(self._during_drag)


def _once(parent: QWidget, act: Any) -> QTimer:
    """Return a timer that acts once, when all that happens now is done."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(0)
    timer.timeout.connect(act)
    return timer
