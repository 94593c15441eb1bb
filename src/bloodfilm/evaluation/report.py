"""Everything that can be scored of found cells, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bloodfilm.cells import Cells, Field
from bloodfilm.errors import UserError
from bloodfilm.evaluation.attributes import score_attributes
from bloodfilm.evaluation.detection import score_detection
from bloodfilm.weights import MIN_SCORE


def evaluate(truth: Sequence[Field], found: Sequence[Field], min_score: float = MIN_SCORE) -> dict[str, Any]:
    """Score `found` against `truth`; pictures go together by name, one that was not searched found nothing.

    Returns
    -------
    dict
        ``detection`` as of `score_detection`, ``attributes`` as of `score_attributes`.

    Raises
    ------
    UserError
        If no picture of `truth` is in `found`.
    """
    tables = {field.name: field.cells for field in found}
    if not any(field.name in tables for field in truth):
        known = next(iter(tables), "none")
        wanted = truth[0].name if truth else "none"
        raise UserError(
            f"No picture is in both files: the truth has {wanted}, the found cells {known}. "
            "Run detect on the folder that holds the truth file."
        )
    cells = [tables.get(field.name, Cells.empty(field.cells.vocabulary)) for field in truth]
    return {
        "detection": score_detection(cells, truth, min_score),
        "attributes": score_attributes(cells, truth, min_score),
    }
