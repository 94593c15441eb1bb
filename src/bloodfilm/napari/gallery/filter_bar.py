"""Choose which cells are shown: a column and its values; the filters in use stand below as chips."""

from __future__ import annotations

import numpy as np
import pandas as pd
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QLineEdit, QStackedWidget, QVBoxLayout, QWidget
from superqt import QLabeledDoubleRangeSlider

from bloodfilm.napari.gallery.arrangement import Condition, Range, Text, Values, is_number, is_words
from bloodfilm.napari.gallery.chips import Chips
from bloodfilm.napari.gallery.colouring import counts
from bloodfilm.napari.gallery.table import label

ANY = "any"


class FilterBar(QWidget):
    """Conditions on columns; `column` is the menu of them, placed elsewhere, `changed` comes when they change."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.conditions: dict[str, Condition] = {}
        self._table = pd.DataFrame()
        self.column = QComboBox()
        self.column.activated.connect(self._on_column)
        self.words = QComboBox()
        self.words.activated.connect(self._on_word)
        self.text = QLineEdit()
        self.text.setPlaceholderText("contains…")
        self.text.setClearButtonEnabled(True)
        self.text.textChanged.connect(self._on_text)
        self.range = QLabeledDoubleRangeSlider()
        self.range.setOrientation(Qt.Orientation.Horizontal)
        self.range.valueChanged.connect(self._on_range)
        self.control = QStackedWidget()
        for widget in (self.words, self.text, self.range):
            self.control.addWidget(widget)
        self.control.hide()
        self.chips = Chips()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.control)
        layout.addWidget(self.chips)
        self.chips.hide()

    def set_table(self, table: pd.DataFrame) -> None:
        """Offer the columns of `table`."""
        chosen = self.column.currentData()
        self._table = table
        self.column.clear()
        self.column.addItem("all cells", None)
        for name in table.columns:
            self.column.addItem(f"by {label(name)}", name)
        self.column.setCurrentIndex(max(self.column.findData(chosen), 0))
        self.conditions = {name: c for name, c in self.conditions.items() if name in table}
        self._show_chips()
        self._offer()

    def set_condition(self, column: str, condition: Condition | None) -> None:
        """Show only the cells that meet `condition`, or let go of the one on `column`."""
        self.conditions.pop(column, None)
        if condition is not None:
            self.conditions[column] = condition
        self._show_chips()
        self.changed.emit()

    def toggle(self, column: str, word: str) -> None:
        """Show the cells with `word` in `column`, too, or no longer."""
        condition = self.conditions.get(column)
        words = (condition.values if isinstance(condition, Values) else frozenset()) ^ {word}
        self.set_condition(column, Values(words) if words else None)

    def _on_column(self) -> None:
        self._offer()
        if self.column.currentData() is None:
            self.conditions.clear()
            self._show_chips()
            self.changed.emit()

    def _offer(self) -> None:
        """Offer what the column that is chosen can be filtered by."""
        name = self.column.currentData()
        self.control.setVisible(name is not None)
        if name is None:
            return
        column = self._table[name]
        if is_number(column):
            self._offer_range(column)
        elif is_words(column):
            self._offer_words(column)
        else:
            self._offer_text(column)

    def _offer_words(self, column: pd.Series) -> None:
        self.control.setCurrentWidget(self.words)
        self.words.clear()
        self.words.addItem(ANY, None)
        for word, count in counts(column).items():
            self.words.addItem(f"{word or 'none'}  ({count})", word)
        condition = self.conditions.get(str(column.name))
        if isinstance(condition, Values) and len(condition.values) == 1:
            self.words.setCurrentIndex(max(self.words.findData(next(iter(condition.values))), 0))

    def _offer_text(self, column: pd.Series) -> None:
        self.control.setCurrentWidget(self.text)
        condition = self.conditions.get(str(column.name))
        self.text.blockSignals(True)
        self.text.setText(condition.text if isinstance(condition, Text) else "")
        self.text.blockSignals(False)

    def _offer_range(self, column: pd.Series) -> None:
        self.control.setCurrentWidget(self.range)
        numbers = column.to_numpy(float)
        numbers = numbers[np.isfinite(numbers)]
        low, high = (float(numbers.min()), float(numbers.max())) if len(numbers) else (0.0, 1.0)
        condition = self.conditions.get(str(column.name))
        chosen = (condition.low, condition.high) if isinstance(condition, Range) else (low, high)
        self.range.blockSignals(True)
        self.range.setDecimals(2 if high - low < 20 else 0)
        self.range.setRange(np.floor(low * 100) / 100, max(np.ceil(high * 100) / 100, low + 0.01))
        self.range.setValue(chosen)
        self.range.blockSignals(False)

    def _on_word(self) -> None:
        word = self.words.currentData()
        self.set_condition(self.column.currentData(), None if word is None else Values(frozenset({word})))

    def _on_text(self, text: str) -> None:
        if self.column.currentData():
            self.set_condition(self.column.currentData(), Text(text) if text else None)

    def _on_range(self, ends: tuple[float, float]) -> None:
        whole = ends[0] <= self.range.minimum() and ends[1] >= self.range.maximum()
        self.set_condition(self.column.currentData(), None if whole else Range(*ends))

    def _show_chips(self) -> None:
        self.chips.clear()
        self.chips.setVisible(bool(self.conditions))
        for name, condition in self.conditions.items():
            chip = self.chips.add(f"{label(name)}: {condition}  ✕", "Click to take this filter away.")
            chip.clicked.connect(lambda _, name=name: self._drop(name))

    def _drop(self, name: str) -> None:
        if name == self.column.currentData():
            self.column.setCurrentIndex(0)
            self.control.hide()
        self.set_condition(name, None)
