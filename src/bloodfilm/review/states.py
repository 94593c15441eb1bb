"""The columns that say who looked at a cell and what came of it, and how sure a model's reading is."""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bloodfilm.cells import Cells, Field
from bloodfilm.vocabulary import UNKNOWN, UNKNOWN_CLASS, Vocabulary, number_of

REVIEW, REVIEWER, REVIEWED_AT = COLUMNS = ("review", "reviewer", "reviewed_at")
ACCEPTED, CHANGED, REJECTED, UNREVIEWED = STATES = ("accepted", "changed", "rejected", "")

CONTRADICTED, SEPARATOR = "contradicted", ", "
"""The column that names the attributes of a cell that a measure contradicts, those that somebody measured."""

ODDS, USUAL = 0.2, 0.9
"""WBCAtt's test cells: a measure contradicted 1.4 % of right readings and 7 % of wrong ones; 0.9 were right."""


def with_review(frame: pd.DataFrame) -> pd.DataFrame:
    """Return `frame` with the columns of the review, of the right kind; whatever is no state becomes unreviewed."""
    found = {name: frame[name] if name in frame else pd.Series("", frame.index) for name in COLUMNS}
    states = found[REVIEW].astype(object)
    texts = {name: found[name].astype(object).fillna("").astype(str) for name in (REVIEWER, REVIEWED_AT)}
    known = pd.Categorical(states.where(states.isin(STATES), UNREVIEWED), categories=STATES)
    return frame.assign(**{REVIEW: pd.Series(known, frame.index), **texts})


def reviewed(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Tell which rows somebody looked at."""
    return np.asarray(frame[REVIEW] != UNREVIEWED)


def is_rejected(cells: Cells) -> npt.NDArray[np.bool_]:
    """Tell which cells (N,) a reviewer rejected."""
    return np.isin(_states(cells), REJECTED)


def _states(cells: Cells) -> npt.NDArray[Any]:
    return np.asarray(cells.extra.get(REVIEW, np.full(len(cells), UNREVIEWED)), str)


def unreviewed(cells: Cells) -> npt.NDArray[np.bool_]:
    """Tell which cells (N,) a model found, by their scores, and nobody reviewed."""
    return np.asarray(cells.scored & (_states(cells) == UNREVIEWED))


def taken_for_true(fields: Iterable[Field]) -> str:
    """Tell how many cells of `fields`, taken for true, are `unreviewed`; "" if none."""
    count = sum(int(unreviewed(field.cells).sum()) for field in fields)
    return f"Taken for true: {number_of(count, 'cell')} that a model found and nobody reviewed" if count else ""


def kept(cells: Cells) -> Cells:
    """Return the cells without those that a reviewer rejected: these count nowhere, and nothing learns from them."""
    return cells[~is_rejected(cells)]


def without_rejected(field: Field) -> Field:
    """Return `field` with the cells that are `kept`."""
    return replace(field, cells=kept(field.cells))


def stamp(reviewer: str | None = None) -> dict[str, str]:
    """Return who reviews, by default the user of the computer, and when: ISO 8601, in UTC."""
    return {REVIEWER: reviewer or user(), REVIEWED_AT: datetime.now(UTC).isoformat(timespec="seconds")}


def user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def doubt(cells: Cells) -> npt.NDArray[np.float32]:
    """Return how doubtful the readings of each cell (N,) are, from 0 to 1: see `doubt_of`."""
    seen = np.isin(_states(cells), (ACCEPTED, CHANGED, REJECTED))
    against = _contradicted(pd.Series(cells.extra.get(CONTRADICTED, [""] * len(cells))), cells.vocabulary)
    return doubt_of(cells.scores, cells.class_scores, cells.attribute_scores, cells.codes != UNKNOWN, seen, against)


def doubts_of(features: pd.DataFrame, vocabulary: Vocabulary) -> npt.NDArray[np.float32]:
    """Return how doubtful the readings in each row (N,) of a layer's features are; see `doubt_of`."""
    readings = features.reindex(columns=[f"{name}_score" for name in vocabulary.attribute_names])
    seen = reviewed(features) if REVIEW in features else np.zeros(len(features), bool)
    against = _contradicted(features[CONTRADICTED], vocabulary) if CONTRADICTED in features else False
    return doubt_of(
        features["score"], features["class_score"], readings, features["class"] != UNKNOWN_CLASS, seen, against
    )


def _contradicted(column: pd.Series, vocabulary: Vocabulary) -> npt.NDArray[np.bool_]:
    """Return which attributes (N, A) the words of a column `CONTRADICTED` name."""
    words = column.astype(object).fillna("").to_numpy()
    against = np.zeros((len(words), len(vocabulary.attributes)), bool)
    some = words != ""
    named = pd.Series(words[some], dtype=object).str.get_dummies(SEPARATOR) if some.any() else pd.DataFrame()
    against[some] = named.reindex(columns=list(vocabulary.attribute_names), fill_value=0).to_numpy(bool)
    return against


def doubt_of(
    scores: npt.ArrayLike,
    class_scores: npt.ArrayLike,
    attribute_scores: npt.ArrayLike,
    typed: npt.ArrayLike,
    seen: npt.ArrayLike,
    against: npt.ArrayLike = False,
) -> npt.NDArray[np.float32]:
    """Return 1 - p(cell) p(type) p(attributes) of N cells; 0 of those that were `seen` by a reviewer.

    p(attributes) is the geometric mean of `attribute_scores` (N, A), so that seven readings do not outweigh the
    type; but at most that of a reading that a measure is `against` (N, A), with its odds times `ODDS`. A type
    without a score is sure if there is one (`typed`), and else all doubt; attributes without a score do not count,
    where a measure is against them as readings of `USUAL` probability.
    """
    type_scores = np.asarray(class_scores, float)
    type_scores = np.where(np.isnan(type_scores), np.asarray(typed, float), type_scores)
    readings = np.asarray(attribute_scores, float)
    logs = np.log(np.clip(np.where(np.isnan(readings), 1.0, readings), 1e-6, 1))
    count = np.maximum((~np.isnan(readings)).sum(1), 1)
    usual = np.where(np.isnan(readings), USUAL, readings)
    contradicted = np.where(against, ODDS * usual / (ODDS * usual + 1 - usual), 1.0)
    attributes = np.minimum(np.exp(logs.sum(1) / count), contradicted.min(1, initial=1.0))
    sure = np.asarray(scores, float) * type_scores * attributes
    return np.where(np.asarray(seen, bool), 0.0, 1 - sure).astype(np.float32)
