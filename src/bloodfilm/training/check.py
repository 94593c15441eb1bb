"""What stands in the way of a good training, found before it begins; known without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bloodfilm.cells import Field
from bloodfilm.training.project import ENOUGH_TO_HOLD_OUT
from bloodfilm.vocabulary import UNKNOWN

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
    looked = [field for field in fields if field.labelled_regions is None or len(field.labelled_regions)]
    if not looked:
        return [Problem("Nothing is labelled yet: draw a region, and a box around each white cell in it.", True)]
    problems = [problem for number, field in enumerate(fields) for problem in _check_field(number, field)]
    cells = sum(int(field.looked_at(field.cells.boxes).sum()) for field in looked)
    with_cells = sum(bool(field.looked_at(field.cells.boxes).any()) for field in looked)
    if not cells:
        problems.append(Problem("There is no white cell in any region: draw a box around at least one.", True))
    elif cells < FEW:
        problems.append(Problem(f"{_cells(cells)} will do for a first try; more teach more."))
    if cells and with_cells < ENOUGH_TO_HOLD_OUT:
        told = f"Fewer than {ENOUGH_TO_HOLD_OUT} fields have a cell: none is held out, and scores flatter the model."
        problems.append(Problem(told))
    return sorted(problems, key=lambda problem: not problem.stops)


def _check_field(number: int, field: Field) -> Iterator[Problem]:
    boxes, regions = field.cells.boxes, field.labelled_regions
    inside = field.looked_at(boxes)
    if regions is not None:
        for region in regions:
            if (region[:2] < -SLACK).any() or (region[2:] > np.array([field.width, field.height]) + SLACK).any():
                yield Problem(f"{field.name}: a region leaves the picture.", True, number, _box(region))
        if (outside := ~inside).any():
            told = f"{field.name}: {_cells(int(outside.sum()))} outside the regions, where nothing is learned."
            yield Problem(told, False, number, _box(boxes[outside][0]))
        empty = [region for region in regions if not _holds(region, boxes).any()]
        if empty:
            told = f"{field.name}: no cell in {'a region' if len(empty) == 1 else f'{len(empty)} regions'}: "
            yield Problem(told + "that teaches what is no white cell.", False, number, _box(empty[0]))
    if (untyped := inside & (field.cells.codes == UNKNOWN)).any():
        told = f"{field.name}: {_cells(int(untyped.sum()))} without a type, which is not learned from them."
        yield Problem(told, False, number, _box(boxes[untyped][0]))


def _holds(region: npt.NDArray[Any], boxes: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.asarray(((middle >= region[:2]) & (middle <= region[2:])).all(1))


def _box(values: npt.NDArray[Any]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(value) for value in values)
    return x0, y0, x1, y1


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"
