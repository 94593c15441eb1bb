"""What follows from an edit: who reviewed, which scores no longer hold, what a new cell is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bloodfilm.review.edits import SHAPE, VERTICES
from bloodfilm.review.states import (
    ACCEPTED,
    CHANGED,
    CONTRADICTED,
    REJECTED,
    REVIEW,
    REVIEWED_AT,
    REVIEWER,
    UNREVIEWED,
    stamp,
)
from bloodfilm.vocabulary import Vocabulary

DIAMETER = "diameter_um"


def differences(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Return the rows and columns of `after` that differ from `before`, which has the same rows."""
    differs = {name: differing(before[name], column) for name, column in after.items()}
    columns = [name for name, rows in differs.items() if rows.any()]
    rows = np.logical_or.reduce([np.zeros(len(after), bool), *(differs[name] for name in columns)])
    return after.loc[rows, columns]


def consequences(table: pd.DataFrame, after: pd.DataFrame, vocabulary: Vocabulary, reviewer: str) -> pd.DataFrame:
    """Return the columns `after`, by id, that somebody gives to cells of `table`, with all that follows.

    A reading that is replaced loses its score, a cell that is moved gets its new size, of both nothing is measured any
    more, and they count as changed; what is as it was counts as accepted.
    """
    before = table.loc[after.index]
    differs = {name: differing(before[name], column) for name, column in after.items()}
    follows: dict[str, Any] = {}
    for name in vocabulary.reading_names:
        if name in after:
            follows[f"{name}_score"] = before[f"{name}_score"].mask(differs[name])
    readings = [differs[name] for name in (*vocabulary.attribute_names, VERTICES) if name in after]
    if CONTRADICTED in before and readings:
        follows[CONTRADICTED] = before[CONTRADICTED].mask(np.logical_or.reduce(readings), "")
    if VERTICES in after and DIAMETER in before:
        with np.errstate(divide="ignore", invalid="ignore"):
            follows[DIAMETER] = before[DIAMETER] * np.sqrt(areas(after[VERTICES]) / areas(before[VERTICES]))
    if REVIEW not in after:
        same = before[REVIEW].astype(object).replace({UNREVIEWED: ACCEPTED, REJECTED: ACCEPTED})
        follows[REVIEW] = np.where(np.logical_or.reduce(list(differs.values())), CHANGED, same)
    if not {REVIEWER, REVIEWED_AT} & set(after):
        follows |= stamp(reviewer)
    return after.assign(**follows)


def drawn(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return new `rows` for `table` as sure cells of which nothing is known but their shape."""
    blank = {str(name): blank_value(column) for name, column in table.drop(columns=list(SHAPE)).items()}
    rows = rows[list(SHAPE)].assign(**blank)
    if DIAMETER in rows:
        per_side = (table[DIAMETER] / np.sqrt(areas(table[VERTICES]))).median()
        rows[DIAMETER] = np.sqrt(areas(rows[VERTICES])) * per_side
    return rows


def blank_value(column: pd.Series) -> Any:
    """Return what a cell that the user draws has in a column: the last category, which is the missing one."""
    if column.name == "score":
        return 1.0
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.categories[-1]
    if pd.api.types.is_float_dtype(column.dtype):
        return np.nan
    return "" if column.dtype == object else column.dtype.type()


def differing(before: pd.Series, after: pd.Series) -> npt.NDArray[np.bool_]:
    """Tell which rows (N,) of two columns differ; what is missing in both does not."""
    if before.name == VERTICES:
        return _moved(list(before), list(after))
    if isinstance(before.dtype, pd.CategoricalDtype) and before.dtype == after.dtype:
        return np.asarray(before.cat.codes.to_numpy() != after.cat.codes.to_numpy())
    if all(pd.api.types.is_float_dtype(column.dtype) for column in (before, after)):
        numbers = before.to_numpy(float), after.to_numpy(float)
        return np.asarray((numbers[0] != numbers[1]) & ~(np.isnan(numbers[0]) & np.isnan(numbers[1])))
    a, b = before.to_numpy(object), after.to_numpy(object)
    return np.asarray((a != b) & ~(pd.isna(a) & pd.isna(b)), bool)


def _moved(before: list[npt.NDArray[Any]], after: list[npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    """Tell which of two lists of shapes (V, D) differ."""
    counts = [np.array([len(shape) for shape in shapes], int) for shapes in (before, after)]
    moved = np.asarray(counts[0] != counts[1])
    same = np.flatnonzero(~moved)
    if len(same):
        a, b = (np.concatenate([np.asarray(shapes[row], float) for row in same]) for shapes in (before, after))
        starts = np.concatenate([[0], np.cumsum(counts[0][same])[:-1]])
        moved[same] = np.logical_or.reduceat((a != b).any(1), starts)
    return moved


def areas(vertices: pd.Series) -> npt.NDArray[np.float64]:
    """Return the areas (N,) of the bounding boxes of shapes, in square pixels."""
    sides = [np.ptp(np.asarray(shape, float)[:, -2:], axis=0) for shape in vertices]
    return np.asarray(np.array(sides, float).reshape(-1, 2).prod(1))
