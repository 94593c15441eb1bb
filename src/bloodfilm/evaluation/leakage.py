"""Patients and pictures that were trained on and must not be tested on."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from bloodfilm.cells import Field
from bloodfilm.errors import UserError
from bloodfilm.io.entry import name_of
from bloodfilm.vocabulary import number_of


def patients_of(fields: Iterable[Field]) -> set[str]:
    return {field.origin.patient for field in fields if field.origin}


def leaking(trained: Sequence[Field], tested: Sequence[Field]) -> list[Field]:
    """Return the fields of `tested` whose patient, or very picture under any name, is in `trained`.

    Pictures of which one is not there are the same if they have the same name and size.
    """
    patients, copies = patients_of(trained), _copies(trained, tested)
    known, absent = ({_sign(f) for f in trained if not (gone and f.path.is_file())} for gone in (False, True))
    return [
        f
        for f in tested
        if (f.origin and f.origin.patient in patients)
        or f.path in copies
        or _sign(f) in (absent if f.path.is_file() else known)
    ]


def _sign(field: Field) -> tuple[str, int, int]:
    return name_of(field), field.width, field.height


def check_leakage(trained: Sequence[Field], tested: Sequence[Field]) -> str:
    """Return a sentence that says what is known: no patient and no picture is in both.

    Raises
    ------
    UserError
        If one is.
    """
    if both := leaking(trained, tested):
        patients = sorted(patients_of(both), key=lambda name: (len(name), name))
        what = f"patients {', '.join(patients)}" if patients else "pictures"
        raise UserError(
            f"{len(both)} of the {len(tested)} fields to test on were trained on, or are of patients that were: "
            f"{what}; the first is {both[0].name}. Leave them out of one of both."
        )
    unknown = [sum(field.origin is None for field in part) for part in (trained, tested)]
    if not any(unknown):
        return "No patient was trained on and tested."
    missing = sum(not field.path.is_file() for field in (*trained, *tested))
    by_name = f" {number_of(missing, 'picture')} that are not there were compared by name only." if missing else ""
    return (
        "No picture was trained on and tested, and no patient as far as names tell: the patient is unknown of "
        f"{unknown[0]} fields trained on and {unknown[1]} tested.{by_name}"
    )


def check_patients(learned: Collection[str], tested: Sequence[Field]) -> tuple[list[Field], str]:
    """Return the fields of `tested` that a model did not learn from by the patients on its card, and what is known."""
    kept = [field for field in tested if not (field.origin and field.origin.patient in learned)]
    unknown = sum(field.origin is None for field in tested)
    if not learned:
        return kept, "unknown: the model does not say which patients it learned from"
    if unknown:
        return kept, f"unknown for {unknown} fields whose names tell no patient"
    return kept, "none"


def _copies(trained: Sequence[Field], tested: Sequence[Field]) -> set[Path]:
    """Return the files of `tested` that have the content of one of `trained`; only those of equal size are read."""
    ours, theirs = _by_size(trained), _by_size(tested)
    copies: set[Path] = set()
    for size in ours.keys() & theirs.keys():
        digests = set(map(_digest, ours[size]))
        copies |= {path for path in theirs[size] if _digest(path) in digests}
    return copies


def _by_size(fields: Iterable[Field]) -> dict[int, set[Path]]:
    sizes = defaultdict(set)
    for path in {field.path for field in fields}:
        if path.is_file():
            sizes[path.stat().st_size].add(path)
    return sizes


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
