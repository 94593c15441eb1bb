"""The colour of each cell by one column, its legend, and boxes that follow; no window needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from bloodfilm.napari.gallery.arrangement import is_number
from bloodfilm.napari.gallery.table import TYPE
from bloodfilm.palette import REVIEW_COLOURS, UNKNOWN_COLOUR, apart, colours, ramp
from bloodfilm.review.states import REJECTED, REVIEW
from bloodfilm.vocabulary import NOT_ANNOTATED, NOT_PREDICTED, UNKNOWN_CLASS, Vocabulary

FADED = 0.3
"""Opacity of the boxes of rejected cells."""

MISSING = (UNKNOWN_CLASS, NOT_PREDICTED, NOT_ANNOTATED, "")


@dataclass(frozen=True)
class Colouring:
    """How the values of a column are coloured: `words` for its words, or numbers from `low` to `high` by the ramp."""

    words: dict[str, str] | None
    low: float = 0.0
    high: float = 1.0

    @classmethod
    def of(cls, column: pd.Series, vocabulary: Vocabulary) -> Colouring:
        """Return the colours of `column`, the same for the same words whatever cells there are."""
        if is_number(column):
            numbers = column.to_numpy(float)
            numbers = numbers[np.isfinite(numbers)]
            ends = (numbers.min(), numbers.max()) if len(numbers) else (0.0, 1.0)
            low, high = (0.0, 1.0) if ends[0] >= 0 and ends[1] <= 1 else ends
            return cls(None, float(low), float(high))
        if column.name == TYPE:
            return cls(colours(vocabulary.classes))
        if column.name == REVIEW:
            return cls(REVIEW_COLOURS)
        names = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else sorted(set(column))
        return cls(apart([name for name in map(str, names) if name not in MISSING]))

    def rgba(self, column: pd.Series) -> npt.NDArray[np.float32]:
        """Return colours (N, 4) from 0 to 1 for the values of `column`; missing ones are white."""
        result = np.tile(UNKNOWN_RGBA, (len(column), 1))
        if self.words is None:
            numbers = column.to_numpy(float)
            known = np.isfinite(numbers)
            result[known, :3] = ramp((numbers[known] - self.low) / max(self.high - self.low, 1e-9))
            return result
        codes, found = pd.factorize(column.astype(str))
        shades = np.array([_rgba(self.words.get(word, UNKNOWN_COLOUR)) for word in found], np.float32).reshape(-1, 4)
        return shades[codes]


def counts(column: pd.Series) -> dict[str, int]:
    """Return how often each word of `column` occurs, in the order of its categories, else of the alphabet."""
    found = column.value_counts(sort=False)
    found = found if isinstance(column.dtype, pd.CategoricalDtype) else found.sort_index()
    return {str(word): int(count) for word, count in found.items() if count}


def faded(rgba: npt.NDArray[np.float32], features: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Return the colours with those of rejected cells faint."""
    rgba = rgba.copy()
    if REVIEW in features:
        rgba[(features[REVIEW] == REJECTED).to_numpy(), 3] = FADED
    return rgba


def _rgba(code: str) -> tuple[float, ...]:
    return (*(int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)), 1.0)


UNKNOWN_RGBA = np.array(_rgba(UNKNOWN_COLOUR), np.float32)
