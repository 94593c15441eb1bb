"""What stands in the way of a training, each with a button that goes there."""

from __future__ import annotations

import html
from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from bloodfilm.training.check import Problem

MOST = 6
"""Problems that are listed; the others are counted."""

STOPS, NOTE = "#ff6b6b", "#e0a030"


class Problems(QWidget):
    """Lists problems.

    Attributes
    ----------
    wanted : Signal(Problem)
        The user wants to see where it is.
    """

    wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(2)

    def show_all(self, problems: Sequence[Problem]) -> None:
        while (item := self._layout.takeAt(0)) is not None:
            item.widget().deleteLater()
        for problem in problems[:MOST]:
            self._layout.addWidget(self._line(problem))
        if len(problems) > MOST:
            self._layout.addWidget(QLabel(f"… and {len(problems) - MOST} more."))
        self.setVisible(bool(problems))

    def _line(self, problem: Problem) -> QWidget:
        line = QWidget()
        layout = QHBoxLayout(line)
        layout.setContentsMargins(0, 0, 0, 0)
        shade, sign = (STOPS, "✗") if problem.stops else (NOTE, "•")
        words = QLabel(f"<span style='color:{shade}'>{sign}</span> {html.escape(problem.text)}")
        words.setWordWrap(True)
        layout.addWidget(words, 1)
        if problem.field is not None:
            button = QPushButton("Show")
            button.clicked.connect(lambda: self.wanted.emit(problem))
            layout.addWidget(button)
        return line
