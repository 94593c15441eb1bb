"""What to mind when reading the numbers of a film."""

from __future__ import annotations

import pandas as pd

from bloodfilm.film.count import BLASTS, Differential
from bloodfilm.film.film import Film
from bloodfilm.film.quality import BLURRED
from bloodfilm.vocabulary import normalise

FEW_CELLS = 100
"""A differential count by eye is made of 100 cells or more."""

MUCH_UNKNOWN = 0.1
NOTHING_LIKE_IT = 1.0
"""Novelty above which a picture is unlike those that the model learned from."""


def unnamed_types(film: Film) -> list[str]:
    """Return the types of the film's vocabulary that its model was not taught; none if the file does not tell."""
    taught = film.provenance.get("types")
    if not isinstance(taught, list):
        return []
    known = {normalise(str(name)) for name in taught}
    return [name for name in film.fields[0].cells.vocabulary.classes if normalise(name) not in known | {"none"}]


def blasts_assessed(film: Film, counts: Differential) -> bool:
    """Tell if blasts could have been named: by the model, or by a person, who named at least one."""
    blasts = {normalise(name) for name in film.fields[0].cells.vocabulary.classes} & set(BLASTS)
    return bool(blasts - {normalise(name) for name in unnamed_types(film)}) or bool(counts.blasts["count"])


def film_notes(film: Film, cells: pd.DataFrame, counts: Differential, pictures: pd.DataFrame) -> list[str]:
    """Return what makes the numbers less sure, the gravest first."""
    notes = _of_the_model(film, counts)
    all_counted = counts.total + counts.unknown
    if not all_counted:
        notes.append("No white cell was counted.")
    elif counts.total < FEW_CELLS:
        notes.append(
            f"Only {_of(counts.total, 'cell')} with a known type: a differential count is made of {FEW_CELLS} or more."
        )
    if counts.unknown > MUCH_UNKNOWN * all_counted:
        notes.append(
            f"{_of(counts.unknown, 'cell')} ({counts.unknown / all_counted:.0%}) are of unknown type and have no part in the shares."
        )
    if cells["cluster"].nunique() < 2 and all_counted:
        notes.append("All cells are on one field, so the intervals do not say how fields differ.")
    notes += _of_the_pictures(film, pictures)
    return notes


def _of_the_model(film: Film, counts: Differential) -> list[str]:
    model, unnamed = film.provenance.get("model"), unnamed_types(film)
    if unnamed:
        return [
            f"The model {model} names {_listed(film.provenance['types'])} only. It cannot name "
            f"{_listed(unnamed)}: such cells are of unknown type here, or wrongly of one of the types that it names."
        ]
    if model and "types" not in film.provenance:
        return ["The file does not tell which types its model can name: a type that is not found may be one it cannot name."]
    return []


def _of_the_pictures(film: Film, pictures: pd.DataFrame) -> list[str]:
    notes, n = [], len(pictures)
    missing, novel = (pictures["problem"] != "").sum(), (pictures["novelty"] > NOTHING_LIKE_IT).sum()
    if missing:
        notes.append(
            f"{missing} of {_of(n, 'picture')} could not be read, so their cells are not shown and their quality is not measured."
        )
    if novel:
        notes.append(f"{novel} of {_of(n, 'picture')} are unlike those that the model learned from.")
    if blurred := (pictures["blur"] > BLURRED).sum():
        notes.append(f"{blurred} of {_of(n, 'picture')} are blurred.")
    if in_part := sum(field.is_labelled_in_part for field in film.fields):
        notes.append(f"{in_part} of {_of(n, 'picture')} are labelled in part only: cells outside are not counted.")
    if any(field.origin and field.origin.view is not None for field in film.fields):
        notes.append("Several views of one field may overlap: cells there may be counted twice.")
    return notes


def picture_remarks(film: Film, pictures: pd.DataFrame) -> list[str]:
    """Return for each picture what is wrong with it, "" if nothing."""
    remarks = []
    for row, field in zip(pictures.itertuples(), film.fields, strict=True):
        found = [
            "no picture" if row.problem else "",
            "blurred" if row.blur > BLURRED else "",
            "novel" if row.novelty > NOTHING_LIKE_IT else "",
            "labelled in part" if field.is_labelled_in_part else "",
        ]
        remarks.append(", ".join(filter(None, found)))
    return remarks


def _of(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _listed(names: list[str]) -> str:
    """Return names in lower case as a list in a sentence."""
    *first, last = map(str.lower, names)
    return f"{', '.join(first)} and {last}" if first else last
