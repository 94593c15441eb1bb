"""The gallery: a grid of cells with a title card before each group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import (
    QAbstractListModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from qtpy.QtGui import (
    QColor,
    QFont,
    QFontMetrics,
    QImage,
    QKeySequence,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QShortcut,
)
from qtpy.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from bloodfilm.napari.gallery.arrangement import Group
from bloodfilm.vocabulary import number_of

MARKS = {"accepted": "✓", "changed": "✎", "rejected": "✕"}
GAP = 2
STRIP = 16
SELECTED = "#00b7ff"


@dataclass(frozen=True)
class Tile:
    """What is drawn of one cell; `mark` is its review state."""

    crop: QImage | None
    colour: QColor
    text: str
    number: str
    mark: str
    mark_colour: QColor


class GridModel(QAbstractListModel):
    """Items are cells, by their row in the layer, and title cards, by minus their group less one."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.groups: list[Group] = []
        self.items = np.empty(0, np.intp)
        self._places = np.empty(0, np.intp)

    def show(self, groups: Sequence[Group], rows: int) -> None:
        """Show `groups` of the rows of a layer with `rows` cells."""
        self.beginResetModel()
        self.groups = list(groups)
        titled = any(group.title for group in groups)
        parts = [np.r_[-number - 1, group.rows] if titled else group.rows for number, group in enumerate(groups)]
        self.items = np.concatenate(parts) if parts else np.empty(0, np.intp)
        self._places = np.full(rows, -1, np.intp)
        cells = np.flatnonzero(self.items >= 0)
        self._places[self.items[cells]] = cells
        self.endResetModel()

    def places(self, rows: Iterable[int]) -> npt.NDArray[np.intp]:
        """Return the places of `rows` of the layer, those that are shown, in order."""
        wanted = np.fromiter(rows, np.intp)
        places = self._places[wanted[wanted < len(self._places)]]
        return np.sort(places[places >= 0])

    def refresh(self, rows: Iterable[int]) -> None:
        """Draw the cells of `rows` anew."""
        for place in self.places(rows).tolist():
            self.dataChanged.emit(self.index(place), self.index(place))

    @property
    def cells(self) -> int:
        """Number of cells that are shown."""
        return int((self.items >= 0).sum())

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802  Qt's name
        return 0 if parent is not None and parent.isValid() else len(self.items)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        item = int(self.items[index.row()])
        if role == Qt.ItemDataRole.UserRole:
            return item
        return self.groups[-item - 1].title if item < 0 and role == Qt.ItemDataRole.DisplayRole else None

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        selectable = index.isValid() and self.items[index.row()] >= 0
        return Qt.ItemFlag.ItemIsEnabled | (Qt.ItemFlag.ItemIsSelectable if selectable else Qt.ItemFlag.NoItemFlags)


class TileDelegate(QStyledItemDelegate):
    """Draws a cell: its crop, a bar in its colour with a word and a number, and its review mark."""

    def __init__(self, view: Gallery) -> None:
        super().__init__(view)
        self.view = view
        self.small = QFont(view.font())
        self.small.setPixelSize(10)
        self.bold = QFont(view.font())
        self.bold.setBold(True)

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:  # noqa: N802  Qt's name
        return self.view.gridSize()

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        rect = option.rect.adjusted(GAP, GAP, -GAP, -GAP)
        item = index.data(Qt.ItemDataRole.UserRole)
        painter.save()
        if item < 0:
            self._paint_title(painter, rect, self.view.grid.groups[-item - 1])
        else:
            self._paint_cell(painter, rect, self.view.tile(item, rect.width()), option)
        painter.restore()

    def _paint_title(self, painter: QPainter, rect: QRect, group: Group) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.view.title_colour(group))
        painter.drawRect(rect.left(), rect.top(), 4, rect.height())
        inside = rect.adjusted(8, 4, -1, -4)
        painter.setPen(self.view.palette().text().color())
        painter.setFont(self._fitting(group.title, inside.width()))
        painter.drawText(inside, Qt.AlignmentFlag.AlignLeft | Qt.TextFlag.TextWordWrap, group.title)
        painter.setFont(self.small)
        words = number_of(len(group.rows), "cell")
        painter.drawText(inside, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom, words)

    def _fitting(self, title: str, width: int) -> QFont:
        """Return a bold font in which the longest word of `title` is no wider than `width`."""
        for size in range(13, 7, -1):
            self.bold.setPixelSize(size)
            if max(map(QFontMetrics(self.bold).horizontalAdvance, title.split()), default=0) <= width:
                break
        return self.bold

    def _paint_cell(self, painter: QPainter, rect: QRect, tile: Tile, option: QStyleOptionViewItem) -> None:
        picture = rect.adjusted(0, 0, 0, -STRIP)
        if tile.crop is None:
            painter.fillRect(picture, QColor(128, 128, 128, 60))
        else:
            painter.setOpacity(0.35 if tile.mark == "rejected" else 1.0)
            painter.drawImage(picture, tile.crop)
            painter.setOpacity(1.0)
        strip = QRect(rect.left(), rect.bottom() - STRIP + 1, rect.width(), STRIP)
        painter.fillRect(strip, QColor(20, 22, 28))
        painter.fillRect(strip.left(), strip.top(), strip.width(), 3, tile.colour)
        self._paint_words(painter, strip.adjusted(3, 3, -3, 0), tile)
        if tile.mark in MARKS:
            self._paint_mark(painter, picture, tile)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setPen(QPen(QColor(SELECTED), 3))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(rect.adjusted(0, 0, -1, -1))

    def _paint_words(self, painter: QPainter, rect: QRect, tile: Tile) -> None:
        painter.setFont(self.small)
        metrics = painter.fontMetrics()
        painter.setPen(QColor(170, 175, 185))
        painter.drawText(rect, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, tile.number)
        room = rect.width() - metrics.horizontalAdvance(tile.number) - 3
        painter.setPen(QColor(240, 240, 240))
        words = metrics.elidedText(tile.text, Qt.TextElideMode.ElideRight, room)
        painter.drawText(rect, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words)

    def _paint_mark(self, painter: QPainter, picture: QRect, tile: Tile) -> None:
        badge = QRectF(picture.right() - 19, picture.top() + 3, 16, 16)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor("white"), 1))
        painter.setBrush(tile.mark_colour)
        painter.drawEllipse(badge)
        painter.setFont(self.small)
        painter.drawText(badge, Qt.AlignmentFlag.AlignCenter, MARKS[tile.mark])
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)


class Gallery(QListView):
    """Cells of a layer as tiles that fill the width; asks `tile` for what it draws."""

    chosen = Signal(set)
    """The user selected these rows of the layer."""

    opened = Signal(int)
    """The user clicked twice on the cell of this row."""

    def __init__(self, tile: Callable[[int, int], Tile], title_colour: Callable[[Group], QColor]) -> None:
        super().__init__()
        self.tile, self.title_colour = tile, title_colour
        self.grid = GridModel(self)
        self.wanted = 84
        self.nothing = ""
        self._following = False
        self._shortcuts: list[QShortcut] = []
        self.setModel(self.grid)
        self.setItemDelegate(TileDelegate(self))
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setUniformItemSizes(True)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QListView.Shape.NoFrame)
        self.verticalScrollBar().setSingleStep(24)
        self.doubleClicked.connect(self._on_double_click)
        self.selectionModel().selectionChanged.connect(self._on_selection_changed)

    def rows(self) -> set[int]:
        """Return the rows of the layer that are selected here."""
        places = [index.row() for index in self.selectionModel().selectedIndexes()]
        return set(self.grid.items[places].tolist())

    def follow(self, rows: Iterable[int]) -> None:
        """Select `rows` of the layer and scroll to the first, without telling anybody."""
        places = self.grid.places(rows)
        selection = QItemSelection()
        for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if len(places) else ():
            selection.select(self.grid.index(int(run[0])), self.grid.index(int(run[-1])))
        self._following = True
        self.selectionModel().select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        if len(places):
            current = self.grid.index(int(places[0]))
            self.selectionModel().setCurrentIndex(current, QItemSelectionModel.SelectionFlag.NoUpdate)
            self.scrollTo(current)
        self._following = False

    def _on_selection_changed(self) -> None:
        if not self._following:
            self.chosen.emit(self.rows())

    def _on_double_click(self, index: QModelIndex) -> None:
        if self.grid.items[index.row()] >= 0:
            self.opened.emit(int(self.grid.items[index.row()]))

    def set_keys(self, acts: Mapping[str, Callable[[], None]]) -> None:
        """Do `acts` at their keys while the gallery has the keyboard."""
        for shortcut in self._shortcuts:
            shortcut.deleteLater()
        self._shortcuts = [QShortcut(QKeySequence(key), self) for key in acts]
        for shortcut, act in zip(self._shortcuts, acts.values(), strict=True):
            shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
            shortcut.activated.connect(act)

    def show_tiles(self, side: int) -> None:
        """Make tiles about `side` pixels wide, as many as fit exactly."""
        self.wanted = side
        width = self.viewport().width() - 1  # Qt breaks lines that fill it
        tile = width // max(round(width / side), 1)
        self.setGridSize(QSize(tile, tile + STRIP))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        super().paintEvent(event)
        if not len(self.grid.items):
            painter = QPainter(self.viewport())
            painter.setPen(self.palette().text().color())
            inside = self.viewport().rect().adjusted(20, 20, -20, -20)
            painter.drawText(inside, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self.nothing)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802  Qt's name
        self.show_tiles(self.wanted)
        super().resizeEvent(event)
