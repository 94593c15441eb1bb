"""Small buttons in lines: the legend, and the filters in use."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import QRect, Qt, Signal
from qtpy.QtGui import QAction, QColor, QIcon, QLinearGradient, QPainter, QPaintEvent, QPixmap
from qtpy.QtWidgets import QApplication, QFileDialog, QSizePolicy, QToolButton, QVBoxLayout, QWidget
from superqt import QFlowLayout

from bloodfilm.napari.gallery.colouring import Colouring
from bloodfilm.palette import UNKNOWN_COLOUR, ramp

SWATCH = 11


class Chips(QWidget):
    """Buttons that flow over as many lines as they need."""

    def __init__(self) -> None:
        super().__init__()
        self.setStyleSheet("QToolButton { padding: 1px 2px; border-radius: 3px; }")
        self._flow = QFlowLayout(self)
        self._flow.setContentsMargins(0, 0, 0, 0)
        self._flow.setHorizontalSpacing(3)
        self._flow.setVerticalSpacing(3)

    def clear(self) -> None:
        while self._flow.count():
            button = self._flow.takeAt(0).widget()
            button.hide()
            button.deleteLater()

    def add(self, text: str, tip: str, icon: QIcon | None = None) -> QToolButton:
        button = QToolButton()
        button.setText(text)
        button.setToolTip(tip)
        if icon is not None:
            button.setIcon(icon)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._flow.addWidget(button)
        return button


class Ramp(QWidget):
    """The colours of numbers, with the lowest and the highest."""

    def __init__(self) -> None:
        super().__init__()
        self.colouring = Colouring(None)
        self.setFixedHeight(30)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        painter = QPainter(self)
        gradient = QLinearGradient(0, 0, self.width(), 0)
        for stop in range(9):
            gradient.setColorAt(stop / 8, QColor.fromRgbF(*map(float, ramp([stop / 8])[0])))
        painter.fillRect(QRect(0, 2, self.width(), 10), gradient)
        painter.setPen(self.palette().text().color())
        words = QRect(0, 13, self.width(), 16)
        painter.drawText(words, Qt.AlignmentFlag.AlignLeft, f"{self.colouring.low:.3g}")
        painter.drawText(words, Qt.AlignmentFlag.AlignRight, f"{self.colouring.high:.3g}")


class Legend(QWidget):
    """The colours of a column with their counts; a click on a word shows only its cells.

    Its menu, by the right button of the mouse, takes it out as a picture, for a slide or a figure.
    """

    picked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.chips, self.ramp = Chips(), Ramp()
        self._colouring: Colouring | None = None
        self._buttons: dict[str, QToolButton] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.chips)
        layout.addWidget(self.ramp)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        copy, save = QAction("Copy the legend as a picture", self), QAction("Save the legend as a picture…", self)
        copy.triggered.connect(lambda: QApplication.clipboard().setPixmap(self.grab()))
        save.triggered.connect(self._on_save)
        self.addActions([copy, save])

    def _on_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the legend", "legend.png", "Pictures (*.png *.jpg)")
        if path:
            self.grab().save(path)

    def show_colours(self, colouring: Colouring, counts: Mapping[str, int], picked: frozenset[str]) -> None:
        """Show the colours of words with their `counts`, those of `picked` as pressed, or the ramp of numbers."""
        if self._buttons and colouring == self._colouring and list(counts) == list(self._buttons):
            for word, button in self._buttons.items():
                button.setText(_counted(word, counts[word]))
                button.setChecked(word in picked)
            return
        self._colouring, self._buttons = colouring, {}
        self.chips.clear()
        self.chips.setVisible(colouring.words is not None)
        self.ramp.setVisible(colouring.words is None)
        if colouring.words is None:
            self.ramp.colouring = colouring
            self.ramp.update()
            return
        for word, count in counts.items():
            icon = swatch(colouring.words.get(word, UNKNOWN_COLOUR))
            tip = "Click to show only these; click again for all. Right click for a picture of the legend."
            chip = self._buttons[word] = self.chips.add(_counted(word, count), tip, icon)
            chip.setCheckable(True)
            chip.setChecked(word in picked)
            chip.clicked.connect(lambda _, word=word: self.picked.emit(word))


def _counted(word: str, count: int) -> str:
    return f"{word or 'none'}  {count}"


def swatch(colour: str) -> QIcon:
    pixmap = QPixmap(SWATCH, SWATCH)
    pixmap.fill(QColor(colour))
    return QIcon(pixmap)
