"""What was measured of the cell that is shown, each number explained."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from bloodfilm.napari.gallery.measures import FACTS, Measured
from bloodfilm.napari.gallery.table import label

DOUBTFUL = "#e69f00"


class MeasurePanel(QWidget):
    """Numbers in two columns, under a line that says which words they contradict, or why there are none."""

    def __init__(self) -> None:
        super().__init__()
        self._told = ""
        self.head = QLabel()
        self.facts = {name: QLabel() for name, _ in FACTS.values()}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 2, 0, 0)
        grid.setVerticalSpacing(0)
        grid.addWidget(self.head, 0, 0, 1, 2)
        for place, fact in enumerate(self.facts.values()):
            grid.addWidget(fact, 1 + place // 2, place % 2)
        for each in (self.head, *self.facts.values()):
            each.setMinimumWidth(1)
            each.setTextFormat(Qt.TextFormat.PlainText)
            each.setFixedHeight(self.fontMetrics().lineSpacing() + 3)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)

    def show_measured(self, measured: Measured | None) -> None:
        """Show what was measured; nothing if that is not known yet."""
        facts = measured.facts if measured else {}
        for name, fact in self.facts.items():
            fact.setText(f"{name} {facts[name]}" if name in facts else "")
        against = ", ".join(map(label, measured.contradicted)) if measured else ""
        self.head.setStyleSheet(f"color: {DOUBTFUL}" if against else "color: gray")
        if against:
            self._told = f"measured: contradicts {against}"
        else:
            self._told = "" if measured is None else "measured" if facts else f"not measured: {measured.reason}"
        self.head.setToolTip(self._told)
        self._elide()
        if facts:
            self._explain()

    def _explain(self) -> None:
        from bloodfilm.film.measure import MEASURES  # loaded by whatever measured

        for column, (name, _) in FACTS.items():
            self.facts[name].setToolTip(f"{MEASURES[column]} ({column})")

    def _elide(self) -> None:
        self.head.setText(self.fontMetrics().elidedText(self._told, Qt.TextElideMode.ElideRight, self.width() - 4))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802  Qt's name
        super().resizeEvent(event)
        self._elide()
