"""The report of a film as plain values, for JSON, for a row of a table, and for the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bloodfilm.film.bank import dominant_types
from bloodfilm.film.count import ARTEFACTS, BELOW, BLASTS, REPEATS, shares
from bloodfilm.film.notes import NOTHING_LIKE_IT, blasts_not_assessed, unnamed_types
from bloodfilm.film.summary import Summary, review_states
from bloodfilm.percentiles import LEVEL
from bloodfilm.review.states import REJECTED, reviewed
from bloodfilm.vocabulary import normalise

PLACE = ["image", "x0", "y0", "x1", "y1", "class", "score", "class_score", "diameter_um", "doubt", "review"]


def to_dict(summary: Summary) -> dict[str, Any]:
    """Return all of a film's report, but for the pictures of cells, as what JSON can say; None stands for NaN."""
    film, counts, cells = summary.film, summary.counts, summary.cells
    content = {
        "film": film.name,
        "grouped_by": film.grouped_by,
        "diagnosis_in_file_names": diagnoses(summary),
        "text": summary.text,
        "notes": summary.notes,
        "fields": len(film.fields),
        "counted": counts.total + counts.unknown,
        "of_known_type": counts.total,
        "of_unknown_type": counts.unknown,
        "artefacts": int((cells["status"] == ARTEFACTS).sum()),
        "rejected": int((cells["status"] == REJECTED).sum()),
        "below_min_score": int((cells["status"] == BELOW).sum()),
        "differential": records(counts.types.rename_axis("type").reset_index()),
        "dominant_types": dominant_types(counts),
        "blasts": blasts(summary),
        "not_named_by_the_model": unnamed_types(film),
        "morphology": records(summary.bank),
        "sizes_um": records(summary.sizes.rename_axis("type").reset_index()),
        "morphology_words": {str(name): row.to_dict() for name, row in summary.words.iterrows()},
        "review": review(cells),
        "quality": quality(summary.pictures),
        "pictures": records(summary.pictures),
        "doubtful": records(summary.doubtful[PLACE].rename(columns={"class": "type"})),
        "settings": {
            "min_score": summary.min_score,
            "interval": LEVEL,
            "bootstrap_draws": REPEATS,
            "bootstrap_seed": summary.seed,
        },
        "provenance": film.provenance,
    }
    return plain(content)  # type: ignore[no-any-return]


def to_row(summary: Summary, types: Sequence[str]) -> dict[str, Any]:
    """Return the film as one row of a table, with columns for those of `types` that it has, or could have had."""
    content = to_dict(summary)
    names = ("film", "grouped_by", "fields", "counted", "of_known_type", "of_unknown_type", "artefacts", "rejected")
    row = {name: content[name] for name in names}
    row["doubtful"] = len(content["doubtful"])
    row["reviewed"] = content["review"]["reviewed"]
    row["dominant_type"] = " and ".join(content["dominant_types"])
    blasts = content["blasts"]
    row |= {f"blasts_{name}": blasts[name] for name in ("assessed", "count", "share", "low", "high")}
    row |= content["quality"]
    found, unnamed = summary.counts.types, unnamed_types(summary.film)
    known = summary.film.fields[0].cells.vocabulary.classes
    absent = [name for name in types if name in known and name not in found.index and name not in unnamed]
    none = shares(pd.DataFrame(0, [0], absent), pd.Series([summary.counts.total]))
    for kind, told in pd.concat([found, none]).to_dict("index").items():
        row |= {f"{kind} {name}": plain(value) for name, value in told.items()}
    return row


def blasts(summary: Summary) -> dict[str, Any]:
    """Return number, share and interval of the blasts; none where nobody could have named them."""
    known = {normalise(name) for name in summary.film.fields[0].cells.vocabulary.classes}
    reason, found = blasts_not_assessed(summary.film, summary.counts), summary.counts.blasts
    return {
        "assessed": not reason,
        "reason": reason,
        "types": [name for name in BLASTS if name in known],
        "count": None if reason else int(found["count"]),
        **{name: None if reason else float(found[name]) for name in ("share", "low", "high")},
    }


def review(cells: pd.DataFrame) -> dict[str, Any]:
    """Return how many cells are in each state of review, who reviewed them and when."""
    states, done = review_states(cells), cells[reviewed(cells)]
    times = sorted(filter(None, done["reviewed_at"]))
    return {
        **states,
        "reviewed": sum(states.values()) - states["not reviewed"],
        "cells": sum(states.values()),
        "reviewers": sorted(set(filter(None, done["reviewer"]))),
        "first": times[0] if times else "",
        "last": times[-1] if times else "",
    }


def quality(pictures: pd.DataFrame) -> dict[str, Any]:
    """Return the medians over the pictures of a film, and how many of them are remarkable."""
    medians = pictures[["blur", "covered", "stain", "novelty"]].median()
    return {
        **{f"median_{name}": float(value) for name, value in medians.items()},
        "least_novelty": float(pictures["novelty"].min()),
        "largest_novelty": float(pictures["novelty"].max()),
        "pictures_novel": int((pictures["novelty"] > NOTHING_LIKE_IT).sum()),
        "cells_per_field": float(pictures["counted"].mean()),
        "pictures_with_remarks": int((pictures["remarks"] != "").sum()),
        "pictures_missing": int((pictures["problem"] != "").sum()),
    }


def diagnoses(summary: Summary) -> list[str]:
    """Return what the names of the pictures call the disease; nothing that was found out here."""
    return sorted({field.origin.diagnosis for field in summary.film.fields if field.origin})


def records(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    rows: list[dict[Any, Any]] = frame.to_dict("records")
    return rows


def plain(value: Any) -> Any:
    """Return `value` in types that JSON has, numbers to six digits, None for NaN."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
