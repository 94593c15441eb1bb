"""Average precision as COCO defines it, of cells that may count any number of times.

So that the cells are matched once, however often they are drawn for an interval of confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bloodfilm.cells import Cells, Field
from bloodfilm.evaluation.matching import BoolArray, FloatArray, assign, excused, overlaps
from bloodfilm.vocabulary import UNKNOWN

LIMITS = np.linspace(0.5, 0.95, 10)
"""Least overlaps of COCO's AP; the first is that of AP50."""

RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Findings:
    """N found cells of F fields by falling score, matched at the T overlaps of `LIMITS`.

    Parameters
    ----------
    scores : (N,) float
    field : (N,) int
        The field that each is on.
    right, wrong : (T, N) bool
        Neither holds for those that are excused.
    annotated : (F,) int
        Cells that there are on each field.
    """

    scores: npt.NDArray[np.float32]
    field: npt.NDArray[np.int64]
    right: BoolArray
    wrong: BoolArray
    annotated: npt.NDArray[np.int64]

    def precisions(self, weights: npt.NDArray[np.float64] | None = None) -> FloatArray:
        """Return the average precisions (T,), each field counted `weights` (F,) times; NaN without annotated cells."""
        weights = np.ones(len(self.annotated)) if weights is None else weights
        cells = float(weights @ self.annotated)
        if not cells:
            return np.full(len(LIMITS), np.nan)
        each = weights[self.field]
        return np.array(
            [_average(right * each, wrong * each, cells) for right, wrong in zip(self.right, self.wrong, strict=True)]
        )


def _average(right: FloatArray, wrong: FloatArray, cells: float) -> float:
    hits, errors = right.cumsum(), wrong.cumsum()
    precision = hits / np.maximum(hits + errors, 1e-12)
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0)
    return float(best[np.searchsorted(hits / cells, RECALLS - 1e-12)].mean())


def judge(found: Sequence[Cells], truth: Sequence[Field], code: int | None = None) -> Findings:
    """Match found cells to annotated ones, of the type `code` only if it is given.

    A found cell on one whose type nobody named is then neither right nor wrong. Ties of scores go to the earlier field.
    """
    parts = [_judge(table, field, code) for table, field in zip(found, truth, strict=True)]
    if not parts:
        nothing = np.empty((len(LIMITS), 0), bool)
        return Findings(np.empty(0, np.float32), np.empty(0, int), nothing, nothing, np.empty(0, int))
    scores = np.concatenate([part[0] for part in parts])
    fields = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    right, free = (np.concatenate([part[column] for part in parts], axis=1) for column in (1, 2))
    order = np.argsort(-scores, kind="stable")
    annotated = np.array([part[3] for part in parts])
    return Findings(scores[order], fields[order], right[:, order], ~(right | free)[:, order], annotated)


def _judge(table: Cells, field: Field, code: int | None) -> tuple[npt.NDArray[np.float32], BoolArray, BoolArray, int]:
    """Return scores by falling order, what is right and what is excused (T, N), and the number of annotated cells."""
    cells, ignored, scores = field.cells, field.ignored, table.scores
    if code is not None:
        scores = scores * np.nan_to_num(table.class_scores, nan=1)
        ignored = np.concatenate((ignored, cells.boxes[cells.codes == UNKNOWN]))
        table, scores, cells = table[table.codes == code], scores[table.codes == code], cells[cells.codes == code]
    order = np.argsort(-scores, kind="stable")
    boxes, scores = table.boxes[order], scores[order]
    hit = assign(overlaps(boxes, cells.boxes), LIMITS)
    right = (np.arange(len(boxes)) == hit[..., None]).any(1)
    return scores, right, excused(boxes, field, ignored, LIMITS), len(cells)
