"""Two parts of a panel above one another, on screens of any height."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QScrollArea, QSplitter, QWidget


class Halves(QSplitter):
    """The lower part has the height it wants, the upper one the rest, but `least` pixels, until the user says else."""

    def __init__(self, upper: QWidget, lower: QWidget, least: int) -> None:
        super().__init__(Qt.Orientation.Vertical)
        self.lower, self.least = lower, least
        self.setChildrenCollapsible(False)
        upper.setMinimumHeight(least)
        self.addWidget(upper)
        self.addWidget(lower)
        self.setStretchFactor(0, 1)
        self._by_hand = False
        self.splitterMoved.connect(self._on_moved)

    def share(self) -> None:
        """Share the height anew when all that happens now is done."""
        QTimer.singleShot(0, self, self._share)

    def _share(self) -> None:
        if not self._by_hand:
            wanted = self.lower.sizeHint().height() + self.handleWidth()
            self.setSizes([max(self.height() - wanted, self.least), wanted])

    def _on_moved(self) -> None:
        self._by_hand = True

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802  Qt's name
        super().resizeEvent(event)
        self.share()


class Scrolled(QScrollArea):
    """A widget that wants all of its height and can do with less."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(widget)

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        return self.widget().sizeHint()
