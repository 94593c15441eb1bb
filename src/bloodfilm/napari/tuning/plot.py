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
        loss, score = _plot("loss"), _plot(", ".join(map(_tinted, ("AP50", "AP"), (AP50, AP))))
        score.setYRange(0, 1)
        score.setXLink(loss)
        score.setLabel("bottom", "round", color=INK)
        self.loss = loss.plot(pen=pg.mkPen(LOSS, width=2))
        self.scores = {name: score.plot(pen=pg.mkPen(ink, width=2)) for name, ink in (("ap50", AP50), ("ap", AP))}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(loss)
        layout.addWidget(score)
        self.setFixedHeight(240)

    def show_rows(self, rows: Sequence[dict[str, float]]) -> None:
        """Draw one row for each epoch, as `bloodfilm.training.loop.train` reports them."""
        rounds = [row["epoch"] for row in rows]
        self.loss.setData(rounds, [total_loss(row) for row in rows])
        for name, curve in self.scores.items():
            curve.setData(rounds, [row[name] for row in rows])


def total_loss(row: dict[str, float]) -> float:
    """Return the sum of the losses that an epoch reports."""
    return sum(value for name, value in row.items() if name not in FIGURES | MEASURES)


class _Rounds(pg.AxisItem):
    """An axis of whole numbers."""

    def tickSpacing(self, *view: float) -> list[tuple[float, float]]:
        return [(max(spacing, 1), offset) for spacing, offset in super().tickSpacing(*view)]


def _tinted(word: str, shade: str) -> str:
    return f'<span style="color: {shade}">{word}</span>'


def _plot(name: str) -> pg.PlotWidget:
    plot = pg.PlotWidget(background=BACKGROUND, axisItems={"bottom": _Rounds("bottom")})
    plot.setLabel("left", name, color=INK)
    plot.setMouseEnabled(False, False)
    plot.setMenuEnabled(False)
    plot.hideButtons()
    for side in ("left", "bottom"):
        plot.getAxis(side).enableAutoSIPrefix(False)
    plot.getAxis("left").setWidth(48)
    plot.showGrid(y=True, alpha=0.2)
    return plot
