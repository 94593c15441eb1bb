"""Intervals of confidence by drawing patients, or fields where nobody says whose they are, again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bloodfilm.cells import Field
from bloodfilm.evaluation.matching import FloatArray, IntArray
from bloodfilm.percentiles import ends
from bloodfilm.vocabulary import number_of


@dataclass(frozen=True)
class Units:
    """What is drawn: `of_field` (F,) says which unit each field belongs to."""

    of_field: IntArray
    patients: int
    others: int

    def __len__(self) -> int:
        return self.patients + self.others

    def __str__(self) -> str:
        if not self.others:
            return number_of(self.patients, "patient")
        fields = f"{number_of(self.others, 'field')} whose patient is unknown"
        return f"{number_of(self.patients, 'patient')} and {fields}" if self.patients else fields

    def draw(self, times: int, seed: int = 0) -> FloatArray:
        """Draw as many units as there are, with return; tell how often each field comes (times, F).

        Of a single unit none (0, F): it says nothing of how much they differ.
        """
        count = len(self)
        times = times if count > 1 else 0
        chosen = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / max(count, 1)), size=times)
        return np.asarray(chosen[:, self.of_field], float)


def units_of(fields: Sequence[Field]) -> Units:
    """Put the fields of one patient together: they show the same film, and at 40x often the same cells."""
    names = [f"patient {f.origin.patient}" if f.origin else f"field {row}" for row, f in enumerate(fields)]
    known, of_field = np.unique(np.array(names, str), return_inverse=True)
    others = sum(field.origin is None for field in fields)
    return Units(of_field, len(known) - others, others)


def interval(values: FloatArray, units: int) -> list[float]:
    """Return the limits of the interval that drawn `values` (times,) of so many `units` give; NaN without any.

    Values that are NaN are left out.
    """
    values = values[np.isfinite(values)]
    return np.quantile(values, ends(units)).tolist() if len(values) else [float("nan")] * 2
