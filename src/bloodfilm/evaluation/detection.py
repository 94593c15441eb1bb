"""Found cells against annotated ones: average precision and recall, of all and of each type."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bloodfilm.cells import Cells, Field
from bloodfilm.evaluation.curve import Findings, judge
from bloodfilm.vocabulary import UNKNOWN
from bloodfilm.weights import MIN_SCORE


def score_detection(found: Sequence[Cells], truth: Sequence[Field], min_score: float = MIN_SCORE) -> dict[str, float]:
    """Score the boxes of `found` against `truth`, whatever their types; only where somebody looked for cells.

    Cells found where nobody looked are neither right nor wrong.

    Returns
    -------
    dict
        ``ap50`` and ``ap`` (COCO, IoU 0.5 and 0.5 to 0.95, NaN without annotated cells); ``recall`` at IoU 0.5
        and ``false_per_field`` at `min_score`; ``fields`` and ``cells``.
    """
    return summary(judge(found, truth), min_score)


def summary(findings: Findings, min_score: float) -> dict[str, float]:
    """Return what `score_detection` does of cells that are matched."""
    cells, fields = int(findings.annotated.sum()), len(findings.annotated)
    shown, precisions = findings.scores >= min_score, findings.precisions()
    return {
        "fields": fields,
        "cells": cells,
        "ap50": float(precisions[0]),
        "ap": float(precisions.mean()),
        "recall": float(findings.right[0, shown].sum()) / cells if cells else float("nan"),
        "false_per_field": float(findings.wrong[0, shown].sum()) / max(fields, 1),
    }


def judge_types(found: Sequence[Cells], truth: Sequence[Field]) -> dict[str, Findings]:
    """Match the cells of each type that is annotated, by the probability of both cell and type."""
    codes = np.unique(np.concatenate([np.empty(0, int), *(field.cells.codes for field in truth)]))
    return {truth[0].cells.vocabulary.class_name(code): judge(found, truth, code) for code in codes if code != UNKNOWN}
