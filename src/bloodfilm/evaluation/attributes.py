"""Attribute values of found cells against annotated ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bloodfilm.cells import Cells, Field
from bloodfilm.evaluation.matching import FloatArray, match
from bloodfilm.vocabulary import UNKNOWN
from bloodfilm.weights import MIN_SCORE


def macro_f1(found: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Return the mean F1 over the values that `truth` holds; NaN without cells that both know."""
    said, true = (np.asarray(codes, np.int16) for codes in (found, truth))
    return float(Reading(said, true, np.zeros(len(true), int), 1).f1())


@dataclass(frozen=True)
class Reading:
    """What was said of K cells, found on F fields, and what is true: codes (K,) of one attribute or of types."""

    said: npt.NDArray[np.int16]
    true: npt.NDArray[np.int16]
    field: npt.NDArray[np.int64]
    fields: int

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        return np.asarray((self.said != UNKNOWN) & (self.true != UNKNOWN))

    def f1(self, weights: FloatArray | None = None) -> FloatArray:
        """Return the macro-F1 with each field counted `weights` (..., F) times; NaN without cells that both know."""
        known = self.known
        count = int(max(self.said.max(initial=0), self.true.max(initial=0))) + 1
        counts = np.zeros((self.fields, count, count))
        np.add.at(counts, (self.field[known], self.true[known], self.said[known]), 1)
        weights = np.ones(self.fields) if weights is None else weights
        confusion = np.tensordot(weights, counts, 1)
        true, said, right = confusion.sum(-1), confusion.sum(-2), np.diagonal(confusion, axis1=-2, axis2=-1)
        there = true > 0
        f1 = np.where(there, 2 * right / np.maximum(true + said, 1e-12), 0).sum(-1)
        return np.asarray(np.where(there.any(-1), f1 / np.maximum(there.sum(-1), 1), np.nan))

    def scores(self) -> dict[str, float]:
        """Return ``macro_f1``, ``accuracy`` and ``cells``, the number that both know."""
        known = self.known
        accuracy = float((self.said == self.true)[known].mean()) if known.any() else float("nan")
        return {"macro_f1": float(self.f1()), "accuracy": accuracy, "cells": int(known.sum())}


def score_attributes(
    found: Sequence[Cells], truth: Sequence[Field], min_score: float = MIN_SCORE
) -> dict[str, dict[str, float]]:
    """Score each attribute, and the type, over cells found at IoU 0.5; return `Reading.scores` of each."""
    return {name: reading.scores() for name, reading in read(found, truth, min_score).items()}


def read(found: Sequence[Cells], truth: Sequence[Field], min_score: float = MIN_SCORE) -> dict[str, Reading]:
    """Return what was said of the type, as ``class``, and of each attribute of the cells found at IoU 0.5."""
    said, true = [], []
    for table, field in zip(found, truth, strict=True):
        table = table[table.scores >= min_score]
        hit = match(table, field)
        said.append(np.column_stack((table.codes, table.attributes))[hit[hit >= 0]])
        true.append(np.column_stack((field.cells.codes, field.cells.attributes))[hit >= 0])
    if not truth:
        return {}
    fields = np.repeat(np.arange(len(truth)), [len(part) for part in true])
    columns = zip(np.concatenate(said).T, np.concatenate(true).T, strict=True)
    names = truth[0].cells.vocabulary.reading_names
    return {name: Reading(*pair, fields, len(truth)) for name, pair in zip(names, columns, strict=True)}
