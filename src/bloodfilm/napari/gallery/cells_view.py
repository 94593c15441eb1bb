"""The gallery with its controls: colour, group, sort, filter and legend."""

from __future__ import annotations

import html
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from qtpy.QtCore import Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from bloodfilm.napari.gallery.arrangement import Group, Values, arrange, is_number, is_words
from bloodfilm.napari.gallery.chips import Legend
from bloodfilm.napari.gallery.colouring import Colouring, counts
from bloodfilm.napari.gallery.crops import Crops, Place
from bloodfilm.napari.gallery.filter_bar import FilterBar
from bloodfilm.napari.gallery.grid import Gallery, Tile
from bloodfilm.napari.gallery.layer_cells import LayerCells
from bloodfilm.napari.gallery.table import SCORE, TYPE, UNSEEN, label
from bloodfilm.palette import REVIEW_COLOURS, UNKNOWN_COLOUR
from bloodfilm.review.rules import differing
from bloodfilm.review.states import REVIEW
from bloodfilm.vocabulary import number_of

FILTERED = "No cell meets these filters. Take one of them away above: click on its ✕."
EMPTY = "This layer has no cells. Draw a box around one on the picture: press R."


class CellsView(QWidget):
    """Shows the cells of a layer as the user wants them coloured, grouped, sorted and filtered."""

    arranged = Signal(list)
    """Other cells are shown than before, or in another order: the rows of the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: LayerCells | None = None
        self.crops: Crops | None = None
        self.places: list[Place] = []
        self._build()
        self._lay_out()

    def _build(self) -> None:
        self.count = QLabel()
        self.count.setWordWrap(True)
        self.colour, self.group, self.sort = QComboBox(), QComboBox(), QComboBox()
        self.direction = QToolButton()
        self.direction.setCheckable(True)
        self.direction.setChecked(True)
        self.direction.setText("↓")
        self.direction.setToolTip("Highest or lowest first.")
        self.filter = FilterBar()
        self.legend = Legend()
        self.gallery = Gallery(self.tile, self._title_colour)
        self.stale = QToolButton()
        self.stale.setText("↻ Cells changed: sort them again")
        self.stale.hide()
        self.colour.activated.connect(self._on_colour)
        self.group.activated.connect(self.arrange)
        self.sort.activated.connect(self.arrange)
        self.direction.toggled.connect(self._on_direction)
        self.filter.changed.connect(self._on_filter)
        self.legend.picked.connect(lambda word: self.filter.toggle(self.colour.currentData(), word))
        self.stale.clicked.connect(self.arrange)

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
            widget.setMinimumContentsLength(5)
            line, column = divmod(place, 2)
            grid.addWidget(QLabel(name), line, 3 * column)
            grid.addWidget(widget, line, 3 * column + 1, 1, 1 if widget is self.sort else 2)
        grid.addWidget(self.direction, 1, 2)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(4, 1)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(5)
        box.addWidget(self.count)
        box.addLayout(grid)
        box.addWidget(self.filter)
        box.addWidget(self.legend)
        box.addWidget(self.gallery, 1)
        box.addWidget(self.stale)

    def show_cells(self, cells: LayerCells, crops: Crops | None, places: list[Place]) -> None:
        """Show `cells`, cut out at `places` by `crops`, in the order that is chosen."""
        self.cells, self.crops, self.places = cells, crops, places
        self._offer_columns()
        self.filter.set_table(cells.table)
        self._show_legend()
        self.arrange()

    def refresh(self, rows: npt.NDArray[np.intp], before: pd.DataFrame) -> None:
        """Show the cells of `rows`, which were otherwise in the table `before`, where they stand.

        They take their new place when the user wants it.
        """
        self._prepare_tiles()
        self.gallery.grid.refresh(rows)
        self._show_legend()
        self._count()
        if self._misplaced(rows, before):
            self.stale.show()

    def _misplaced(self, rows: npt.NDArray[np.intp], before: pd.DataFrame) -> bool:
        """Tell if the columns that say which cells stand where are different from `before`."""
        assert self.cells is not None
        table = self.cells.table
        names = {self.group.currentData(), self.sort.currentData(), *self.filter.conditions} & set(table)
        return any(
            name not in before or differing(before[name].iloc[rows], table[name].iloc[rows]).any() for name in names
        )

    def _offer_columns(self) -> None:
        assert self.cells is not None
        columns = list(self.cells.table.columns)
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

    def arrange(self) -> None:
        """Put the cells in order anew."""
        assert self.cells is not None
        groups = arrange(
            self.cells.table,
            self.group.currentData(),
            self.sort.currentData(),
            self.direction.isChecked(),
            self.filter.conditions,
        )
        self._prepare_tiles()
        self.gallery.nothing = FILTERED if len(self.cells.table) else EMPTY
        self.gallery.grid.show(groups, len(self.cells.table))
        self._count()
        self.stale.hide()
        self.gallery.follow(self.cells.layer.selected_data)
        self.arranged.emit([int(row) for group in groups for row in group.rows])

    def _count(self) -> None:
        assert self.cells is not None
        table = self.cells.table
        shown, known = self.gallery.grid.cells, len(table)
        total = number_of(known, "cell")
        counted = total if shown == known else f"{shown} of {total}"
        seen = int((table[REVIEW] != UNSEEN).sum()) if REVIEW in table else 0
        gone = ". Their picture is not open." if known and self.crops is None else ""
        self.count.setText(f"<b>{html.escape(self.cells.layer.name)}</b>: {counted}, {seen} reviewed{gone}")

    def _on_direction(self, falling: bool) -> None:
        self.direction.setText("↓" if falling else "↑")
        self.arrange()

    def _on_filter(self) -> None:
        self._show_legend()
        self.arrange()

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

    def crop(self, row: int, size: int) -> Any:
        """Return the picture of a cell; None where there is none, or none yet."""
        return self.crops.get(self.places[row], size) if self.crops is not None and row < len(self.places) else None

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

    def tile(self, row: int, size: int) -> Tile:
        assert self.cells is not None
        number, mark = self._numbers[row], str(self._marks[row])
        return Tile(
            self.crop(row, size),
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
