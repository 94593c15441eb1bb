"""Which cells are shown, in which groups and order; tables only, no window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

MAX_WORDS = 30

IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Values:
    """Cells with one of some values."""

    values: frozenset[str]

    def keeps(self, column: pd.Series) -> npt.NDArray[np.bool_]:
        return column.astype(str).isin(self.values).to_numpy()

    def __str__(self) -> str:
        return " or ".join(sorted(value or "none" for value in self.values))


@dataclass(frozen=True)
class Range:
    """Cells with a number from `low` to `high`; those without a number are left out."""

    low: float
    high: float

    def keeps(self, column: pd.Series) -> npt.NDArray[np.bool_]:
        return column.between(self.low, self.high).to_numpy()

    def __str__(self) -> str:
        return f"{self.low:.3g} to {self.high:.3g}"


@dataclass(frozen=True)
class Text:
    """Cells with a value that contains `text`, in any letter case."""

    text: str

    def keeps(self, column: pd.Series) -> npt.NDArray[np.bool_]:
        return column.astype(str).str.contains(self.text, case=False, regex=False).to_numpy()

    def __str__(self) -> str:
        return f"“{self.text}”"


Condition = Values | Range | Text


@dataclass(frozen=True)
class Group:
    """Rows of a table under one title."""

    title: str
    rows: IntArray


def is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def is_words(column: pd.Series) -> bool:
    """Return if `column` holds few enough words to choose from."""
    few = isinstance(column.dtype, pd.CategoricalDtype) or (not is_number(column) and column.nunique() <= MAX_WORDS)
    return bool(few)


def shown_rows(table: pd.DataFrame, conditions: Mapping[str, Condition]) -> IntArray:
    """Return the rows of `table` that meet the conditions on its columns; those on other columns do not count."""
    keep = np.ones(len(table), bool)
    for name, condition in conditions.items():
        if name in table:
            keep &= condition.keeps(table[name])
    return np.flatnonzero(keep)


def in_order(column: pd.Series, falling: bool) -> IntArray:
    """Return the places of `column` sorted by its values, categories in their order; missing values come last."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        keys = column.cat.codes.to_numpy(float)
        keys[keys < 0] = np.nan
    elif is_number(column):
        keys = column.to_numpy(float)
    else:
        keys = pd.factorize(column.astype(str), sort=True)[0].astype(float)
    return np.argsort(-keys if falling else keys, kind="stable")


def arrange(
    table: pd.DataFrame,
    group_by: str | None = None,
    sort_by: str | None = None,
    falling: bool = True,
    conditions: Mapping[str, Condition] | None = None,
) -> list[Group]:
    """Return the rows of `table` that meet `conditions`, sorted, in groups of one value each.

    Groups come in the order of the categories, else of the alphabet; without `group_by` there is one, untitled.
    """
    rows = shown_rows(table, conditions or {})
    if sort_by in table:
        rows = rows[in_order(table[sort_by].iloc[rows], falling)]
    if group_by not in table or not len(rows):
        return [Group("", rows)] if len(rows) else []
    column = table[group_by].iloc[rows]
    order = in_order(column, falling=False)
    words = column.astype(str).to_numpy()[order]
    starts = np.flatnonzero(np.r_[True, words[1:] != words[:-1]])
    parts = np.split(rows[order], starts[1:])
    return [Group(str(words[start]), part) for start, part in zip(starts, parts, strict=True)]
