"""What stands in the way of a good training, found before it begins; known without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bloodfilm.cells import Field, inside
from bloodfilm.training.project import ENOUGH_TO_HOLD_OUT
from bloodfilm.training.regions import around, drawn, labelled
from bloodfilm.vocabulary import UNKNOWN, number_of

FEW = 10
"""Cells below which a training is told to have few."""

SLACK = 2
"""Pixels by which a region may leave its picture."""


@dataclass(frozen=True)
class Problem:
    """What is wrong, in words, and where: the number of the field, and the box that it is about.

    If it `stops`, training cannot begin.
    """

    text: str
    stops: bool = False
    field: int | None = None
    box: tuple[float, float, float, float] | None = None


def check(fields: Sequence[Field]) -> list[Problem]:
    """Return what is wrong with `fields`, that which stops training first.

    A field without a labelled region (`Field.labelled_regions` is empty) is one where nobody looked.
    """
    if not any(len(labelled(field)) for field in fields):
        return [Problem("Nothing is labelled yet: draw a region, and a box around each white cell in it.", True)]
    taught = [field.looked_at(field.cells.boxes) for field in fields]
    problems = [problem for number, field in enumerate(fields) for problem in _check_regions(number, field)]
    cells = sum(int(part.sum()) for part in taught)
    if not cells:
        problems.append(Problem("There is no white cell in any region: draw a box around at least one.", True))
    elif cells < FEW:
        problems.append(Problem(f"{number_of(cells, 'cell')} will do for a first try; more teach more."))
    if cells and sum(bool(part.any()) for part in taught) < ENOUGH_TO_HOLD_OUT:
        told = f"Fewer than {ENOUGH_TO_HOLD_OUT} fields have a cell: none is held out, and scores flatter the model."
        problems.append(Problem(told))
    problems += _tell_cells(fields, [~part for part in taught], "outside the regions: nothing is learned from them.")
    untyped = [part & (field.cells.codes == UNKNOWN) for field, part in zip(fields, taught, strict=True)]
    problems += _tell_cells(fields, untyped, "without a type, which is not learned from them.")
    return sorted(problems, key=lambda problem: not problem.stops)


def _tell_cells(fields: Sequence[Field], chosen: Sequence[npt.NDArray[np.bool_]], told: str) -> Iterator[Problem]:
    """Yield one problem about the chosen cells of all fields, at the first of them."""
    count = sum(int(part.sum()) for part in chosen)
    for number, (field, part) in enumerate(zip(fields, chosen, strict=True)):
        if part.any():
            yield Problem(f"{number_of(count, 'cell')} {told}", False, number, _box(field.cells.boxes[part][0]))
            return


def _check_regions(number: int, field: Field) -> Iterator[Problem]:
    for parts in drawn(field.labelled_regions) if field.labelled_regions is not None else []:
        region = around(parts)
        if (region[:2] < -SLACK).any() or (region[2:] > np.array([field.width, field.height]) + SLACK).any():
            yield Problem(f"{field.name}: a region leaves the picture.", True, number, _box(region))
        if not inside(field.cells.boxes, parts).any():
            told = f"{field.name}: a region without a cell; it teaches what is no white cell."
            yield Problem(told, False, number, _box(region))


def _box(values: npt.NDArray[Any]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(value) for value in values)
    return x0, y0, x1, y1
