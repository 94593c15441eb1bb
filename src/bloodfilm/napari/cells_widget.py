"""The Cells panel: look through the cells of a layer, choose, colour, filter and correct them."""

from __future__ import annotations

import html
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.qt.threading import create_worker
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QSplitter, QToolButton, QVBoxLayout, QWidget

from bloodfilm.errors import UserError
from bloodfilm.napari.gallery.arrangement import Group, Values, arrange, is_number, is_words
from bloodfilm.napari.gallery.cell_panel import CROP, CellPanel
from bloodfilm.napari.gallery.chips import Legend
from bloodfilm.napari.gallery.colouring import Colouring, counts
from bloodfilm.napari.gallery.crops import Crops, Place, picture_below
from bloodfilm.napari.gallery.filter_bar import FilterBar
from bloodfilm.napari.gallery.grid import Gallery, Tile
from bloodfilm.napari.gallery.layer_cells import LayerCells
from bloodfilm.napari.gallery.measures import Measured, measuring
from bloodfilm.napari.gallery.review_bar import ReviewBar
from bloodfilm.napari.gallery.table import SCORE, TYPE, UNSEEN, bare, label, shows_cells
from bloodfilm.napari.keys import keys
from bloodfilm.napari.review import Review
from bloodfilm.palette import REVIEW_COLOURS, UNKNOWN_COLOUR
from bloodfilm.review.states import REVIEW

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Shapes

NOTHING = (
    "<b>No cells to look through yet.</b><br><br>Press <i>Detect white blood cells</i> in its panel (menu Plugins), "
    "or open labels with <i>File → Open</i>.<br><br>If there are cells, select their layer in the list of layers."
)
LOOKS = ("contrast_limits", "gamma", "colormap", "data")


class CellsWidget(QWidget):
    """Shows the cells of the Shapes layer that is selected in the list, or was last."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.cells: LayerCells | None = None
        self.crops: Crops | None = None
        self.panel: CellPanel | None = None
        self._measured: tuple[Any, ...] | None = None
        self.review: Review | None = None
        self._places: list[Place] = []
        self._on_canvas = False
        self._build()
        self._reload_soon = _once(self, self._reload)
        self.viewer.layers.selection.events.active.connect(self._follow_active)
        self.viewer.layers.events.inserted.connect(self._follow_active)
        self.viewer.layers.events.removed.connect(self._on_removed)
        self.viewer.mouse_drag_callbacks.append(self._during_drag)
        self._follow_active()

    def _build(self) -> None:
        self.setMinimumWidth(370)
        self.count = QLabel()
        self.colour, self.group, self.sort = QComboBox(), QComboBox(), QComboBox()
        self.direction = QToolButton()
        self.direction.setCheckable(True)
        self.direction.setChecked(True)
        self.direction.setText("↓")
        self.direction.setToolTip("Highest or lowest first.")
        self.filter = FilterBar()
        self.legend = Legend()
        self.gallery = Gallery(self._tile, self._title_colour)
        self.stale = QToolButton()
        self.stale.setText("↻ Cells changed: sort them again")
        self.stale.hide()
        self.nothing = QLabel(NOTHING)
        self.nothing.setWordWrap(True)
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.colour.activated.connect(self._on_colour)
        self.group.activated.connect(self._arrange)
        self.sort.activated.connect(self._arrange)
        self.direction.toggled.connect(self._on_direction)
        self.filter.changed.connect(self._on_filter)
        self.legend.picked.connect(lambda word: self.filter.toggle(self.colour.currentData(), word))
        self.gallery.chosen.connect(self._on_chosen)
        self.gallery.opened.connect(self._go_to)
        self.stale.clicked.connect(self._arrange)
        self._lay_out()

    def _lay_out(self) -> None:
        grid = QGridLayout()
        for place, (name, widget, tip) in enumerate(
            (
                ("colour", self.colour, "What the colours of boxes and tiles mean."),
                ("group", self.group, "Cells of one value stand together."),
                ("sort", self.sort, "Order of the cells, within their group."),
                ("show", self.filter.column, "Show only some of the cells."),
            )
        ):
            widget.setToolTip(tip)
            widget.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            widget.setMinimumContentsLength(8)
            line, column = divmod(place, 2)
            grid.addWidget(QLabel(name), line, 3 * column)
            grid.addWidget(widget, line, 3 * column + 1, 1, 1 if widget is self.sort else 2)
        grid.addWidget(self.direction, 1, 2)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(4, 1)
        above = QWidget()
        box = QVBoxLayout(above)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(5)
        box.addWidget(self.count)
        box.addLayout(grid)
        box.addWidget(self.filter)
        box.addWidget(self.legend)
        box.addWidget(self.gallery, 1)
        box.addWidget(self.stale)
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
        self.detail.addWidget(self.hint)
        self.detail.addStretch()
        self.detail.addWidget(self.message)
        self.detail.addWidget(self.bar)
        self.parts = QSplitter(Qt.Orientation.Vertical)
        self.parts.setChildrenCollapsible(False)
        self.parts.addWidget(above)
        self.parts.addWidget(self.below)
        self.parts.setStretchFactor(0, 1)
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
            self.gallery.set_keys(acts)
        self.panel.class_picked.connect(self._on_class)
        self.panel.attribute_picked.connect(self._on_attribute)
        self.detail.insertWidget(0, self.panel)
        self.below.setMinimumHeight(self.panel.sizeHint().height() + self.bar.sizeHint().height())
        self._reload(fresh=True)

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
            self.panel.setParent(None)
            self.panel.deleteLater()
        self.gallery.set_keys({})
        self.cells = self.panel = self.review = self.bar.review = self._measured = None

    def _show_picture(self, image: Image | None) -> None:
        """Cut the crops from `image`."""
        if self.crops is not None:
            for name in LOOKS:
                getattr(self.crops.cutter.layer.events, name).disconnect(self._on_look)
            self.crops.close()
            self.crops = None
        if image is not None:
            self.crops = Crops(image)
            self.crops.arrived.connect(self._on_arrived)
            for name in LOOKS:
                getattr(image.events, name).connect(self._on_look)

    def _on_look(self) -> None:
        if self.crops is not None:
            self.crops.forget()
            self.gallery.viewport().update()

    def _on_arrived(self) -> None:
        self.gallery.viewport().update()
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
        self._places = self.cells.places(image, self.viewer.dims.point) if image is not None else []
        self._offer_columns()
        self.filter.set_table(self.cells.table)
        self._show_legend()
        self._arrange()

    def _offer_columns(self) -> None:
        assert self.cells is not None
        columns = [name for name in self.cells.table.columns if not name.endswith("_score")]
        words = [name for name in columns if is_words(self.cells.table[name])]
        for menu, names, first, default in (
            (self.colour, [*words, SCORE], None, self.cells.colour_by),
            (self.group, words, "nothing", TYPE),
            (self.sort, columns, "nothing", SCORE),
        ):
            chosen = menu.currentData() if menu.count() and menu is not self.colour else default
            menu.clear()
            if first:
                menu.addItem(first, None)
            for name in names:
                if name in columns:
                    menu.addItem(label(name), name)
            menu.setCurrentIndex(max(menu.findData(chosen), 0))

    def _arrange(self) -> None:
        assert self.cells is not None
        groups = arrange(
            self.cells.table,
            self.group.currentData(),
            self.sort.currentData(),
            self.direction.isChecked(),
            self.filter.conditions,
        )
        self._prepare_tiles()
        self.gallery.grid.show(groups, len(self.cells.table))
        shown, known = sum(len(group.rows) for group in groups), len(self.cells.table)
        if self.review is not None:
            rows = np.concatenate([group.rows for group in groups]) if groups else []
            self.review.among = None if shown == known else set(self.cells.ids[np.asarray(rows, int)])
        total = f"{known} cell{'s' * (known != 1)}"
        self._counted = total if shown == known else f"{shown} of {total}"
        self._count()
        self.stale.hide()
        self.gallery.follow(self.cells.layer.selected_data)
        self._show_selected()

    def _count(self) -> None:
        assert self.cells is not None
        table = self.cells.table
        seen = int((table[REVIEW] != UNSEEN).sum()) if REVIEW in table else 0
        self.count.setText(f"<b>{html.escape(self.cells.layer.name)}</b>: {self._counted}, {seen} reviewed")

    def _on_direction(self, falling: bool) -> None:
        self.direction.setText("↓" if falling else "↑")
        self._arrange()

    def _on_filter(self) -> None:
        self._show_legend()
        self._arrange()

    def _on_colour(self) -> None:
        assert self.cells is not None
        self.cells.colour_by = self.colour.currentData()
        self.cells.repaint()
        self._show_legend()
        self._prepare_tiles()
        self.gallery.viewport().update()

    def _show_legend(self) -> None:
        assert self.cells is not None
        column = self.cells.table[self.cells.colour_by]
        condition = self.filter.conditions.get(self.cells.colour_by)
        picked = condition.values if isinstance(condition, Values) else frozenset()
        words = counts(column) if self.cells.colouring.words is not None else {}
        self.legend.show_colours(self.cells.colouring, words, picked)

    # edits

    def _on_changed(self, ids: list[str]) -> None:
        """Show cells that were edited where they stand: they take their new place when the user wants it."""
        assert self.cells is not None
        self.message.hide()
        rows = self.cells.refresh(ids)
        if rows is None:
            self._reload_soon.start()
            return
        self._prepare_tiles()
        self.gallery.grid.refresh(rows)
        self._show_legend()
        self._count()
        self._show_selected()
        self.stale.show()

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
        rows = self.cells.layer.selected_data
        if self.gallery.rows() != rows:
            self.gallery.follow(rows)
        self._show_selected()
        if len(rows) == 1 and not self._on_canvas:
            self._go_to(next(iter(rows)))

    def _go_to(self, row: int) -> None:
        assert self.cells is not None
        if row < len(self.cells.corners):
            self.cells.go_to(self.viewer, int(row))

    def _show_selected(self) -> None:
        assert self.cells is not None and self.panel is not None
        rows = [int(row) for row in self.cells.layer.selected_data if row < len(self.cells.table)]
        self.bar.refresh()
        self.panel.setVisible(bool(rows))
        self.hint.setVisible(not rows)
        if rows:
            crop = self._crop(rows[0], CROP) if len(rows) == 1 else None
            self.panel.show_cells(self.cells.table.iloc[rows], crop)
        self._measure(rows[0] if len(rows) == 1 else None)

    def _measure(self, row: int | None) -> None:
        """Measure one cell in another thread; what comes when another cell is shown is dropped."""
        assert self.cells is not None and self.panel is not None
        panel, cells = self.panel, self.cells
        shown = (
            None if row is None else (row, cells.corners[row].tobytes(), repr(cells.layer.features.iloc[row].tolist()))
        )
        if shown == self._measured:
            return
        self._measured = shown
        panel.show_measures(None)
        if row is None or self.crops is None:
            return
        try:
            job = measuring(self.crops.cutter.layer, cells, row)
        except UserError:
            return
        worker = create_worker(job, _start_thread=False)
        worker.returned.connect(lambda found: shown == self._measured and panel.show_measures(found))
        worker.errored.connect(
            lambda error: shown == self._measured and panel.show_measures(Measured({}, [], str(error)))
        )
        worker.start()

    # what is drawn

    def _crop(self, row: int, size: int) -> Any:
        return self.crops.get(self._places[row], size) if self.crops is not None and row < len(self._places) else None

    def _prepare_tiles(self) -> None:
        """Take what tiles show out of the table: a word for the colour, a number for the order, and the mark."""
        assert self.cells is not None
        table, coloured = self.cells.table, self.cells.colour_by
        word = TYPE if self.cells.colouring.words is None else coloured
        blank = np.full(len(table), "")
        sort = self.sort.currentData()
        number = sort if sort in table and is_number(table[sort]) else SCORE
        self._words = blank if word == self.group.currentData() else table[word].astype(str).to_numpy()
        self._numbers = table[number].to_numpy(float) if number in table else np.full(len(table), np.nan)
        self._marks = table[REVIEW].to_numpy(object) if REVIEW in table else blank

    def _tile(self, row: int, size: int) -> Tile:
        assert self.cells is not None
        number, mark = self._numbers[row], str(self._marks[row])
        return Tile(
            self._crop(row, size),
            QColor.fromRgbF(*self.cells.rgba[row].tolist()),
            str(self._words[row]),
            "" if np.isnan(number) else f"{number:.2f}" if 0 <= number <= 1 else f"{number:.1f}",
            mark,
            QColor(REVIEW_COLOURS.get(mark, UNKNOWN_COLOUR)),
        )

    def _title_colour(self, group: Group) -> QColor:
        assert self.cells is not None
        column = self.cells.table[self.group.currentData()]
        words = Colouring.of(column, self.cells.vocabulary).words or {}
        return QColor(words.get(group.title, UNKNOWN_COLOUR))

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
        self.viewer.layers.events.inserted.disconnect(self._follow_active)
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
