"""Everything that can be scored of found cells, in one call."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bloodfilm.cells import Cells, Field
from bloodfilm.errors import UserError
from bloodfilm.evaluation.attributes import read
from bloodfilm.evaluation.curve import Findings, judge
from bloodfilm.evaluation.detection import judge_types, summary
from bloodfilm.evaluation.intervals import interval, units_of
from bloodfilm.evaluation.leakage import check_leakage
from bloodfilm.evaluation.matching import FloatArray
from bloodfilm.evaluation.pairing import pair
from bloodfilm.percentiles import LEVEL
from bloodfilm.review.states import kept, without_rejected
from bloodfilm.weights import MIN_SCORE

DRAWS = 1000
ARTEFACT = "None"
"""The type of LLD that is no cell."""


def evaluate(
    truth: Sequence[Field],
    found: Sequence[Field],
    min_score: float = MIN_SCORE,
    trained_on: Sequence[Field] | None = None,
    draws: int = DRAWS,
    score_of: str = "cell",
) -> dict[str, Any]:
    """Score `found` against `truth`; pictures go together as `bloodfilm.evaluation.pairing` says.

    A picture of `truth` that is not in `found` counts as one on which nothing was found, and is listed.

    `score_of` says of what the scores of `found` are probabilities, as the provenance does: "cell", or "cell and type",
    which are not multiplied by that of the type once more.

    Cells found outside of `Field.labelled_regions` are neither right nor wrong; those that a reviewer rejected are no
    cells.

    Returns
    -------
    dict
        ``detection`` as of `score_detection`; ``types``: AP50 and AP of each annotated type; ``mean_types``: their
        means over all types and without "None"; ``attributes`` as of `score_attributes`, ``mean_attributes`` their
        mean; ``protocol``: what was drawn for the intervals, the names of pictures that were ``not_searched``, what
        was not judged, and what is known of leakage. A name that ends with ``_interval`` holds the limits of 95 %
        confidence by `draws` draws of patients, or of fields where these are unknown; with 0 draws there is none.

    Raises
    ------
    UserError
        If no picture of `truth` is in `found`, one has another size there, their vocabularies differ, or a patient or
        picture of `trained_on` is in `truth`.
    """
    truth = [without_rejected(field) for field in truth]
    partners = pair(truth, found)
    if not any(partners):
        known = found[0].name if found else "none"
        wanted = truth[0].name if truth else "none"
        raise UserError(
            f"No picture is in both files: the truth has {wanted}, the found cells {known}. "
            "Run detect on the pictures of the truth."
        )
    _check_sizes(truth, partners)
    _check_vocabulary([*truth, *found])
    leakage = "not checked: nobody said what was trained on" if trained_on is None else check_leakage(trained_on, truth)
    cells = [
        kept(partner.cells) if partner else Cells.empty(field.cells.vocabulary)
        for field, partner in zip(truth, partners, strict=True)
    ]
    if score_of == "cell and type":
        cells = [replace(each, class_scores=np.ones(len(each), np.float32)) for each in cells]
    units = units_of(truth)
    weights = units.draw(draws)
    elsewhere = sum(int((~f.looked_at(c.boxes)).sum()) for c, f in zip(cells, truth, strict=True))
    return score(cells, truth, min_score, weights, len(units)) | {
        "protocol": {
            "min_score": min_score,
            "level": LEVEL,
            "draws": len(weights),
            "drawn": str(units),
            "labelled_in_part": sum(field.is_labelled_in_part for field in truth),
            "found_elsewhere": elsewhere,
            "not_searched": [each.name for each, partner in zip(truth, partners, strict=True) if partner is None],
            "without_truth": len(found) - sum(partner is not None for partner in partners),
            "leakage": leakage,
        }
    }


def _check_sizes(truth: Sequence[Field], partners: Sequence[Field | None]) -> None:
    """Raise `UserError` if a picture of `truth` has another size in what was found, whose boxes then lie elsewhere.

    A size that is but what holds the cells, of a picture that is not there, is none.
    """
    for field, partner in zip(truth, partners, strict=True):
        held = np.ceil(field.cells.boxes[:, 2:].max(0, initial=1)).tolist()
        guessed = not field.path.is_file() and held == [field.width, field.height]
        if partner and not guessed and (field.width, field.height) != (partner.width, partner.height):
            raise UserError(
                f"{field.name} has {field.width} x {field.height} px in the truth, {partner.width} x {partner.height} "
                "in the found cells: search the very pictures that were labelled, or copies of their size."
            )


def _check_vocabulary(fields: Iterable[Field]) -> None:
    """Raise `UserError` if a code does not mean the same in all `fields`."""
    if len({field.cells.vocabulary for field in fields}) > 1:
        raise UserError(
            "The annotated and the found cells have types or attributes of different vocabularies: read both files "
            "with one, as read_coco(file, vocabulary)."
        )


def score(
    cells: Sequence[Cells], truth: Sequence[Field], min_score: float, weights: FloatArray, units: int
) -> dict[str, Any]:
    """Return the scores of `evaluate`; `weights` (draws, F) say how often each field was drawn, in so many `units`."""
    findings = judge(cells, truth)
    types, readings = judge_types(cells, truth), read(cells, truth, min_score)
    groups = {"all": list(types.values()), "without None": [f for name, f in types.items() if name != ARTEFACT]}
    named = [reading for name, reading in readings.items() if name != "class"]
    return {
        "detection": summary(findings, min_score) | _precision_intervals([findings], weights, units),
        "types": {name: _precisions([each]) for name, each in types.items()},
        "mean_types": {
            name: {"types": len(group)} | _precisions(group) | _precision_intervals(group, weights, units)
            for name, group in groups.items()
            if group
        },
        "attributes": {
            name: reading.scores() | {"macro_f1_interval": interval(reading.f1(weights), units)}
            for name, reading in readings.items()
        },
        "mean_attributes": {
            "macro_f1": float(_mean([reading.f1() for reading in named])),
            "macro_f1_interval": interval(_mean([reading.f1(weights) for reading in named]), units),
        },
    }


def _precisions(group: list[Findings]) -> dict[str, float]:
    mean = np.mean([findings.precisions() for findings in group], axis=0)
    cells = sum(int(findings.annotated.sum()) for findings in group)
    return {"cells": cells, "ap50": float(mean[0]), "ap": float(mean.mean())}


def _precision_intervals(group: list[Findings], weights: FloatArray, units: int) -> dict[str, list[float]]:
    drawn = _mean([np.array([f.precisions(each) for each in weights]).reshape(-1, 10) for f in group])
    return {"ap50_interval": interval(drawn[:, 0], units), "ap_interval": interval(drawn.mean(1), units)}


def _mean(parts: list[FloatArray]) -> FloatArray:
    """Return the mean over `parts` of what is a number; NaN where none is."""
    values = np.array(parts)
    known = np.isfinite(values)
    return np.where(known.any(0), np.where(known, values, 0).sum(0) / np.maximum(known.sum(0), 1), np.nan)


def to_json(result: Any) -> str:
    """Return scores as JSON, which has no NaN: it becomes null."""
    return json.dumps(_without_nan(result), indent=1)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
