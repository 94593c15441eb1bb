"""The differential count of a film, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binomtest

from bloodfilm.cells import Field
from bloodfilm.film.film import Film
from bloodfilm.io.table import to_table
from bloodfilm.percentiles import LEVEL, ends
from bloodfilm.review.states import REJECTED, REVIEW, doubt, reviewed, with_review
from bloodfilm.vocabulary import UNKNOWN_CLASS, normalise
from bloodfilm.weights import MIN_SCORE

ARTEFACT = "none"
BLASTS = ("myeloblast", "lymphoblast", "monoblast", "promonocyte", "abnormal promyelocyte")
"""Types that are reported together as blasts."""

COUNTED, ARTEFACTS, BELOW = "counted", "artefact", "below the lowest score"
REPEATS = 5000


def cell_table(film: Film, min_score: float = MIN_SCORE) -> pd.DataFrame:
    """Return one row a cell, with the columns of `bloodfilm.io.table.to_table` and some more.

    ``picture`` is the row of its field in `film.fields`, ``cluster`` see `clusters`; there are ``diameter_um`` (NaN
    without a sure scale), the columns of the review, ``doubt`` (`bloodfilm.review.states.doubt`), and ``status``:
    counted, rejected, artefact, or below the lowest score. What was reviewed is counted whatever its score.
    """
    table = with_review(to_table(film.fields))
    sizes = [len(field.cells) for field in film.fields]
    table["picture"] = np.repeat(np.arange(len(sizes)), sizes)
    table["cluster"] = np.repeat(clusters(film.fields), sizes)
    if "diameter_um" not in table:
        table["diameter_um"] = np.nan
    table["diameter_um"] = pd.to_numeric(table["diameter_um"], errors="coerce")
    table["doubt"] = np.concatenate([doubt(field.cells) for field in film.fields])
    artefact = table["class"].astype(str).map(normalise) == ARTEFACT
    below = ~reviewed(table) & (table["score"] < min_score)
    table["status"] = np.select([table[REVIEW] == REJECTED, artefact, below], [REJECTED, ARTEFACTS, BELOW], COUNTED)
    return table


def clusters(fields: tuple[Field, ...]) -> list[str]:
    """Return what each picture is drawn with in the bootstrap: itself, or the field that it is a view of."""
    views = [field.origin if field.origin and field.origin.view is not None else None for field in fields]
    return [f"{v.patient} {v.field}" if v else field.name for v, field in zip(views, fields, strict=True)]


@dataclass(frozen=True, eq=False)
class Differential:
    """Shares of the cells with a type; ``count``, ``share``, ``low`` and ``high`` of the interval at 95 %.

    Parameters
    ----------
    types : DataFrame
        Indexed by type, the most frequent first; types that were not found are not in it.
    blasts : Series
        All types of `BLASTS` together.
    total : int
        Cells with a type.
    unknown : int
        Counted cells of unknown type, which have no part in the shares.
    """

    types: pd.DataFrame
    blasts: pd.Series
    total: int
    unknown: int


def differential(table: pd.DataFrame, drawn: list[str], seed: int = 0) -> Differential:
    """Return the differential count of a `cell_table`; `drawn` lists all clusters, those without cells too."""
    counted = table[table["status"] == COUNTED]
    known = counted[counted["class"] != UNKNOWN_CLASS]
    counts = pd.crosstab(known["cluster"], known["class"].astype(str)).reindex(list(dict.fromkeys(drawn)), fill_value=0)
    counts = counts[counts.sum().sort_values(ascending=False, kind="stable").index]
    blasts = counts[[name for name in counts if normalise(name) in BLASTS]].sum(axis=1)
    together = pd.concat([counts, blasts.rename(None)], axis=1)
    found = shares(together, counts.sum(axis=1), seed)
    return Differential(found.iloc[:-1], found.iloc[-1], len(known), len(counted) - len(known))


def shares(counts: pd.DataFrame, totals: pd.Series, seed: int = 0) -> pd.DataFrame:
    """Return the share that each column of `counts` (fields x types) has in `totals`, with its interval at 95 %.

    The interval holds both the bootstrap's, which draws fields with replacement, as cells of a field are alike,
    and Wilson's for as many independent cells, without which a type that was not seen, or a single field,
    would have an interval without width.
    """
    total, sums = int(totals.sum()), counts.sum()
    result = pd.DataFrame({"count": sums.astype(int), "share": sums / total if total else np.nan})
    result[["low", "high"]] = np.nan
    if total:
        wilson = [binomtest(int(n), total).proportion_ci(LEVEL, "wilson") for n in sums]
        edges = _bootstrap(counts.to_numpy(), totals.to_numpy(), seed)
        result["low"] = np.fmin(edges[0], [interval.low for interval in wilson])
        result["high"] = np.fmax(edges[1], [interval.high for interval in wilson])
    return result


def _bootstrap(counts: npt.NDArray[np.int64], totals: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.float64]:
    """Return both ends (2, K) of the intervals of counts (F, K) over totals (F,); NaN of a single field."""
    n, k = counts.shape
    if n < 2:
        return np.full((2, k), np.nan)
    drawn = np.random.default_rng(seed).multinomial(n, [1 / n] * n, REPEATS)
    parts, wholes = drawn @ counts, (drawn @ totals)[:, None]
    found = np.divide(parts, wholes, out=np.full(parts.shape, np.nan), where=wholes > 0)
    return np.asarray(np.nanquantile(found, ends(n), axis=0))
