"""What to mind when reading the numbers of a film."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bloodfilm.film.count import BLASTS, Differential, clusters
from bloodfilm.film.film import Film
from bloodfilm.film.quality import BLURRED
from bloodfilm.vocabulary import normalise

FEW_CELLS = 100
"""A differential count by eye is made of 100 cells or more."""

MUCH_UNKNOWN = 0.1
NOTHING_LIKE_IT = 1.0
"""Novelty above which a picture is unlike those that the model learned from: as far go 99 in 100 held-out ones."""

STANDS_OUT = 1.25
"""A picture is remarkable among novel ones if its novelty is above their median by this factor."""


def unnamed_types(film: Film) -> list[str]:
    """Return the types of the film's vocabulary that its model was not taught; none if the file does not tell."""
    taught = film.provenance.get("types")
    if not isinstance(taught, list):
        return []
    known = {normalise(str(name)) for name in taught}
    return [name for name in film.fields[0].cells.vocabulary.classes if normalise(name) not in known | {"none"}]


def of_unknown_origin(film: Film) -> bool:
    """Tell if a model named the types, and the file does not say which types it can name."""
    by_model = "model" in film.provenance or any(np.isfinite(f.cells.class_scores).any() for f in film.fields)
    return by_model and not isinstance(film.provenance.get("types"), list)


def blasts_not_assessed(film: Film, counts: Differential) -> str:
    """Return why a film without blasts says nothing about blasts; "" if it does, or has some."""
    blasts = {normalise(name) for name in film.fields[0].cells.vocabulary.classes} & set(BLASTS)
    if counts.blasts["count"]:
        return ""
    if not blasts:
        return "These types have none."
    if of_unknown_origin(film):
        return "The file does not tell if the model can name them, and none was found."
    named = blasts - {normalise(name) for name in unnamed_types(film)}
    return "" if named else "The model cannot name them, and nobody named one in review."


def film_notes(film: Film, counts: Differential, pictures: pd.DataFrame) -> list[str]:
    """Return what makes the numbers less sure, the gravest first."""
    notes, counted = _of_the_model(film), counts.total + counts.unknown
    if not counted:
        notes.append("No white cell was counted.")
    elif counts.total < FEW_CELLS:
        notes.append(f"Cells with a known type: {counts.total}. A differential count is made of {FEW_CELLS} or more.")
    if counts.unknown > MUCH_UNKNOWN * counted:
        share = counts.unknown / counted
        notes.append(f"Cells of unknown type, which have no part in the shares: {counts.unknown} ({share:.0%}).")
    if counted and len(set(clusters(film.fields))) < 2:
        notes.append("All cells are on one field, so the intervals do not say how fields differ.")
    return notes + _of_the_pictures(film, pictures)


def _of_the_model(film: Film) -> list[str]:
    if unnamed := unnamed_types(film):
        named = f"The model {film.provenance.get('model', '')} names {_listed(film.provenance['types'])} only."
        lost = "such cells are of unknown type here, or wrongly of one of the types that it names"
        return [f"{named} It cannot name {_listed(unnamed)}: {lost}."]
    if of_unknown_origin(film):
        return ["The file does not tell which types its model can name: perhaps none of those that are not found."]
    return []


def _of_the_pictures(film: Film, pictures: pd.DataFrame) -> list[str]:
    numbers = {
        "that could not be read; their cells are not shown, their quality is not measured": pictures["problem"] != "",
        "blurred": pictures["blur"] > BLURRED,
        "labelled in part only; cells outside the labelled regions count if they have a box": [
            field.is_labelled_in_part for field in film.fields
        ],
    }
    notes = [f"Pictures {what}: {sum(which)} of {len(pictures)}." for what, which in numbers.items() if any(which)]
    notes += _of_novelty(pictures["novelty"].dropna())
    if any(field.origin and field.origin.view is not None for field in film.fields):
        notes.append("Several views of one field may overlap: cells there may be counted twice.")
    return notes


def _of_novelty(novelty: pd.Series) -> list[str]:
    novel = novelty[novelty > NOTHING_LIKE_IT]
    if not len(novel):
        return []
    same = f"{novel.min():.1f}" == f"{novel.max():.1f}"
    spread = "" if same else f" at the median ({novel.min():.1f} to {novel.max():.1f})"
    far = f"{novel.median():.1f} times as far off{spread} as 99 in 100 of the learned kind are at most"
    what = f"Pictures of another kind than the model learned from: {len(novel)} of {len(novelty)}, {far}."
    return [f"{what} Scores fit the learned kind, so more may be wrong here than they say: review some by eye."]


def picture_remarks(film: Film, pictures: pd.DataFrame) -> list[str]:
    """Return for each picture what is wrong with it, "" if nothing."""
    remarks: list[str] = []
    novel = max(NOTHING_LIKE_IT, STANDS_OUT * np.nan_to_num(pictures["novelty"].median()))
    for row, field in zip(pictures.itertuples(), film.fields, strict=True):
        found = [
            "no picture" if row.problem else "",
            "blurred" if row.blur > BLURRED else "",
            "novel" if row.novelty > novel else "",
            "labelled in part" if field.is_labelled_in_part else "",
        ]
        remarks.append(", ".join(filter(None, found)))
    return remarks


def _listed(names: Any) -> str:
    """Return names in lower case as a list in a sentence."""
    *first, last = [str(name).lower() for name in names] or ["nothing"]
    return f"{', '.join(first)} and {last}" if first else last
