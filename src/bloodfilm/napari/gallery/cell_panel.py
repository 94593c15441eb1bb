"""One cell, or several at once: crop, type, attributes as words with their probabilities, size and measurements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtCore import QRect, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPixmap
from qtpy.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from bloodfilm.napari.gallery.measure_panel import DOUBTFUL, MeasurePanel
from bloodfilm.napari.gallery.measures import Measured
from bloodfilm.napari.gallery.table import DOUBT, PICTURE, SCORE, SIZES, TYPE, UNSEEN, label
from bloodfilm.napari.wheel import WheelGuard
from bloodfilm.review.states import REVIEW
from bloodfilm.vocabulary import NOT_ANNOTATED, UNKNOWN_CLASS, Vocabulary

CROP, BAR, ARROW = 148, 24, 30
SEVERAL = "several"
FACT_LINES = 5


class Probability(QWidget):
    """A bar with its percentage; empty where there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.value = float("nan")
        self.colour = QColor("#56b4e9")
        self.setFixedSize(QSize(BAR + 34, 18))

    def show_value(self, value: float) -> None:
        self.value = value
        self.setToolTip("" if np.isnan(value) else f"The model gives this {value:.0%}.")
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        if np.isnan(self.value):
            return
        painter = QPainter(self)
        groove = QRect(0, 6, BAR, 6)
        painter.fillRect(groove, QColor(128, 128, 128, 90))
        painter.fillRect(groove.adjusted(0, 0, round(BAR * self.value) - BAR, 0), self.colour)
        painter.setPen(self.palette().text().color())
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"{self.value:.0%}")


class Choice(QComboBox):
    """Words to choose from; says "several" where cells differ, and heeds the wheel only when clicked on before."""

    picked = Signal(str)

    def __init__(self, words: tuple[str, ...]) -> None:
        super().__init__()
        self.addItems(words)
        self.setPlaceholderText(SEVERAL)
        WheelGuard(self)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumWidth(max(map(self.fontMetrics().horizontalAdvance, (*words, NOT_ANNOTATED))) + ARROW)
        self.setStyleSheet("QComboBox { padding: 1px 2px 1px 6px; }")
        self.textActivated.connect(self.picked)

    def show_words(self, words: pd.Series) -> None:
        found = words.astype(str).unique()
        if len(found) == 1 and self.findText(found[0]) < 0:
            self.addItem(found[0])
        self.setCurrentIndex(self.findText(found[0]) if len(found) == 1 else -1)


class CellPanel(QWidget):
    """Shows the selected cells and says what the user wants changed."""

    class_picked = Signal(str)
    attribute_picked = Signal(str, str)

    def __init__(self, vocabulary: Vocabulary, columns: pd.Index) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.crop = QLabel()
        self.crop.setFixedSize(CROP, CROP)
        self.title, self.facts = QLabel(), QLabel()
        self.title.setTextFormat(Qt.TextFormat.RichText)
        self.facts.setWordWrap(True)
        self.facts.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.facts.setMinimumHeight(FACT_LINES * self.fontMetrics().lineSpacing())
        self.facts.setTextFormat(Qt.TextFormat.RichText)
        self.type = Choice((*vocabulary.classes, UNKNOWN_CLASS))
        self.type.setToolTip("The type; choose another to correct it.")
        self.type.picked.connect(self.class_picked)
        self.type_score = Probability()
        self.choices: dict[str, tuple[Choice, Probability]] = {}
        self.titles: dict[str, QLabel] = {}
        self.measures = MeasurePanel()
        self._lay_out([a for a in vocabulary.attributes if a.name in columns])

    def _lay_out(self, attributes: list[Any]) -> None:
        beside = QVBoxLayout()
        beside.addWidget(self.title)
        beside.addWidget(self.type)
        beside.addWidget(self.type_score)
        beside.addWidget(self.facts)
        beside.addStretch()
        top = QHBoxLayout()
        top.addWidget(self.crop, alignment=Qt.AlignmentFlag.AlignTop)
        top.addLayout(beside)
        grid = QGridLayout()
        grid.setVerticalSpacing(2)
        grid.setHorizontalSpacing(5)
        for line, attribute in enumerate(attributes):
            choice, bar = Choice(attribute.values), Probability()
            choice.picked.connect(lambda word, name=attribute.name: self.attribute_picked.emit(name, word))
            choice.setToolTip(f"{label(attribute.name)}; choose another word to correct it.")
            title = self.titles[attribute.name] = QLabel(label(attribute.name))
            grid.addWidget(title, line, 0)
            grid.addWidget(choice, line, 1)
            grid.addWidget(bar, line, 2)
            self.choices[attribute.name] = choice, bar
        grid.setColumnStretch(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addLayout(grid)
        layout.addWidget(self.measures)

    def show_cells(self, cells: pd.DataFrame, crop: QImage | None) -> None:
        """Show the rows of the panel's table that are selected; a crop only for a single one."""
        one = len(cells) == 1
        self.crop.setVisible(one)
        self.set_crop(crop)
        score = cells[SCORE].mean() if SCORE in cells else np.nan
        self.title.setText(f"<b>{len(cells)} cells</b>" if not one else "<b>White blood cell</b>")
        self.type.show_words(cells[TYPE])
        self.type_score.show_value(_only(cells, "class_score"))
        for name, (choice, bar) in self.choices.items():
            choice.show_words(cells[name])
            bar.show_value(_only(cells, f"{name}_score"))
        facts = [f"score {score:.2f}"] if one and np.isfinite(score) else []
        if facts and DOUBT in cells:
            facts[0] += f", doubt {cells[DOUBT].iloc[0]:.2f}"
        for name, unit in zip(SIZES, ("µm", "px"), strict=True):
            if name in cells and cells[name].notna().any():
                facts.append(f"{cells[name].mean():.1f} {unit} across" + ("" if one else " on average"))
        if one and PICTURE in cells:
            facts.append(str(cells[PICTURE].iloc[0]))
        self.facts.setText("<br>".join([*facts, *_review(cells)]))

    def set_crop(self, crop: QImage | None) -> None:
        self.crop.setPixmap(QPixmap() if crop is None else QPixmap.fromImage(crop))

    def show_measures(self, measured: Measured | None) -> None:
        """Show what was measured on the cell, and which of the words above it contradicts."""
        self.measures.show_measured(measured)
        against = measured.contradicted if measured else ()
        for name, title in self.titles.items():
            title.setStyleSheet(f"color: {DOUBTFUL}" if name in against else "")
            title.setToolTip("What is measured contradicts this word." if name in against else "")


def _only(cells: pd.DataFrame, column: str) -> float:
    return float(cells[column].iloc[0]) if len(cells) == 1 and column in cells else float("nan")


def _review(cells: pd.DataFrame) -> list[str]:
    if REVIEW not in cells:
        return []
    states = cells[REVIEW].astype(str)
    if len(cells) > 1:
        return [f"{(states != UNSEEN).sum()} of {len(cells)} reviewed"]
    first = cells.iloc[0]
    if states.iloc[0] == UNSEEN:
        return [UNSEEN]
    when = str(first.get("reviewed_at", "")).replace("T", " ")[:16]
    return [f"<b>{states.iloc[0]}</b> by {first.get('reviewer', '')}, {when}"]
