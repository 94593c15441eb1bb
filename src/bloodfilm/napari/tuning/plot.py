"""Curves of a training: the losses, and how well the fields held out are read."""

from __future__ import annotations

from collections.abc import Sequence

import pyqtgraph as pg
from qtpy.QtWidgets import QVBoxLayout, QWidget

FIGURES = {"epoch", "ap50", "ap", "recall", "false_per_field", "macro_f1", "learning_rate", "seconds_left"}
MEASURES = {"pseudo_labels", "similar_labels", "pseudo_precision", "pseudo_recall"}
BACKGROUND, INK = "#262930", "#c8ccd4"
LOSS, AP50, AP = "#e0a030", "#4fc3f7", "#9575cd"


class TrainPlot(QWidget):
    """Loss, AP50 and AP of each round."""

    def __init__(self) -> None:
        super().__init__()
        self.loss, self.score = _plot("loss"), _plot("AP50, AP")
        self.score.setYRange(0, 1)
        self.score.setXLink(self.loss)
        self.score.setLabel("bottom", "round", color=INK)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.loss)
        layout.addWidget(self.score)
        self.setFixedHeight(240)

    def show_rows(self, rows: Sequence[dict[str, float]]) -> None:
        """Draw one row for each epoch, as `bloodfilm.training.loop.train` reports them."""
        rounds = [row["epoch"] for row in rows]
        self.loss.clear()
        self.score.clear()
        self.loss.plot(rounds, [total_loss(row) for row in rows], pen=pg.mkPen(LOSS, width=2))
        for name, shade in (("ap50", AP50), ("ap", AP)):
            self.score.plot(rounds, [row[name] for row in rows], pen=pg.mkPen(shade, width=2))


def total_loss(row: dict[str, float]) -> float:
    """Return the sum of the losses that an epoch reports."""
    return sum(value for name, value in row.items() if name not in FIGURES | MEASURES)


def _plot(name: str) -> pg.PlotWidget:
    plot = pg.PlotWidget(background=BACKGROUND)
    plot.setLabel("left", name, color=INK)
    plot.setMouseEnabled(False, False)
    plot.setMenuEnabled(False)
    plot.hideButtons()
    plot.getAxis("left").enableAutoSIPrefix(False)
    plot.getAxis("left").setWidth(48)
    plot.showGrid(y=True, alpha=0.2)
    return plot
