"""Attribute values of found cells against annotated ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torchmetrics.functional.classification import multiclass_f1_score

from bloodfilm.cells import Cells, Field
from bloodfilm.evaluation.detection import match
from bloodfilm.vocabulary import UNKNOWN
from bloodfilm.weights import MIN_SCORE


def macro_f1(found: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Return the mean F1 over the values that `truth` holds; NaN without cells that both know."""
    found, truth = np.asarray(found), np.asarray(truth)
    known = (found != UNKNOWN) & (truth != UNKNOWN)
    if not known.any():
        return float("nan")
    values, codes = np.unique(np.concatenate((truth[known], found[known])), return_inverse=True)
    said, true = codes[known.sum() :], codes[: known.sum()]
    each = multiclass_f1_score(
        torch.from_numpy(said), torch.from_numpy(true), num_classes=max(len(values), 2), average="none"
    )
    return float(each[np.unique(true)].mean())


def score_attributes(
    found: Sequence[Cells], truth: Sequence[Field], min_score: float = MIN_SCORE
) -> dict[str, dict[str, float]]:
    """Score each attribute, and the type, over cells found at IoU 0.5.

    Returns
    -------
    dict
        For ``class`` and each attribute: ``macro_f1``, ``accuracy`` and ``cells``, the number that both the
        annotation and the prediction know.
    """
    said, true = [], []
    for table, field in zip(found, truth, strict=True):
        table = table[table.scores >= min_score]
        hit, _ = match(table, field)
        said.append(np.column_stack((table.codes, table.attributes))[hit[hit >= 0]])
        true.append(np.column_stack((field.cells.codes, field.cells.attributes))[hit >= 0])
    if not truth:
        return {}
    columns = zip(np.concatenate(said).T, np.concatenate(true).T, strict=True)
    names = ("class", *truth[0].cells.vocabulary.attribute_names)
    return {name: _score(*pair) for name, pair in zip(names, columns, strict=True)}


def _score(said: npt.NDArray[np.int16], true: npt.NDArray[np.int16]) -> dict[str, float]:
    known = (said != UNKNOWN) & (true != UNKNOWN)
    accuracy = float((said == true)[known].mean()) if known.any() else float("nan")
    return {"macro_f1": macro_f1(said, true), "accuracy": accuracy, "cells": int(known.sum())}
