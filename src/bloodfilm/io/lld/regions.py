"""Which part of each picture was labelled, as the text files of Sparse-LeukemiaAttri say in four columns.

The authors describe the columns as x1, x2, y1, y2 and read them as x1, y1, x2, y2, in pixels of their network's
input; so all readings are tried on all files together, and the one that fits most is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bloodfilm.cells import Field
from bloodfilm.errors import LabelError
from bloodfilm.io.lld.text import SIDE, Rows, TextField

ORDERS = {"xyxy": [0, 1, 2, 3], "xxyy": [0, 2, 1, 3]}
UNITS = {"pixels": SIDE, "shares": 1}
READINGS = tuple(f"{order} {unit}" for order in ORDERS for unit in UNITS)

SLACK = 2
"""Pixels by which a region may leave its picture, and the centre of a cell its region."""


@dataclass(frozen=True)
class Reading:
    """One way to read the four columns: of the files with any, the share that it makes sense of.

    `area` is the median share of the picture that a region covers by it.
    """

    name: str
    valid: float
    area: float

    def __str__(self) -> str:
        return f"{self.name}: makes sense of {self.valid:.1%} of the files, median area {self.area:.2f} of the picture"


def check_reading(reading: str | None) -> None:
    """Raise `LabelError` if no reading of the columns is called `reading`."""
    if reading not in (None, *READINGS):
        raise LabelError(f"No reading of labelled regions is called {reading}; there are {', '.join(READINGS)}.")


def resolve_regions(texts: Sequence[TextField], reading: str | None = None) -> tuple[list[Field], list[Reading], int]:
    """Return the fields with their labelled regions, all readings, the one taken first, and the unfit files.

    A field without cells, or which the reading makes no sense of, has no region: it is unknown what was labelled.

    Raises
    ------
    LabelError
        If no reading makes sense of any file, or there is none called `reading`.
    """
    check_reading(reading)
    told = [text for text in texts if len(text.field.cells)]
    readings = [_score(name, told) for name in READINGS]
    best = max(readings, key=lambda each: (each.name == reading, each.valid))
    if told and not best.valid:
        tried = "; ".join(map(str, readings))
        raise LabelError(f"{told[0].field.name}: no reading makes sense of any labelled region ({tried}).")
    regions = [_regions(text, best.name) for text in texts]
    fields = [replace(text.field, labelled_regions=own) for text, own in zip(texts, regions, strict=True)]
    unfit = sum(len(field.cells) > 0 and not len(own) for field, own in zip(fields, regions, strict=True))
    others = [each for each in readings if each is not best]
    return fields, [best, *others], unfit


def _score(name: str, texts: Sequence[TextField]) -> Reading:
    read = [(text, _corners(text, name)) for text in texts]
    fit = [(text.field, corners) for text, corners in read if _fits(text.field, corners)]
    areas = [(c[0, 2] - c[0, 0]) * (c[0, 3] - c[0, 1]) / (field.width * field.height) for field, c in fit]
    return Reading(name, len(fit) / max(len(texts), 1), float(np.median(areas)) if areas else 0.0)


def misfits(texts: Sequence[TextField], reading: str) -> list[str]:
    """Return a sentence for each row whose region, by this reading, is empty, leaves its picture or its cell."""
    wrong = []
    for text in texts:
        corners, reasons = _corners(text, reading), _reasons(text.field, _corners(text, reading))
        other = next((n for n in READINGS if n != reading and _fits(text.field, _corners(text, n))), "")
        mixed = f"; read as {other} it would fit: the order of the columns is mixed" if other else ""
        named = zip(text.places, corners, reasons, strict=True)
        wrong += [f"{place}: the region {_shown(row)} {why}{mixed}." for place, row, why in named if why]
    return wrong


def _reasons(field: Field, corners: Rows) -> list[str]:
    """Return what is wrong with each row, nothing if it is sound."""
    low, high = corners[:, :2], corners[:, 2:]
    middle = (field.cells.boxes[:, :2] + field.cells.boxes[:, 2:]) / 2
    size = np.array([field.width, field.height])
    empty = ~(low < high).all(1)
    leaves = ~((low >= -SLACK) & (high <= size + SLACK)).all(1)
    outside = ~((middle >= low - SLACK) & (middle <= high + SLACK)).all(1)
    words = ["is empty", "leaves the picture", "does not hold the middle of its cell"]
    return [str(word) for word in np.select([empty, leaves, outside], words, "")]


def _shown(corners: Rows) -> str:
    return ", ".join(f"{value:g}" for value in corners)


def _corners(text: TextField, name: str) -> Rows:
    """Return each cell's region (N, 4) as x0, y0, x1, y1 in pixels of the picture."""
    order, unit = name.split()
    field = text.field
    return text.regions[:, ORDERS[order]] * (np.array([field.width, field.height] * 2) / UNITS[unit])


def _fits(field: Field, corners: Rows) -> bool:
    return not any(_reasons(field, corners))


def _regions(text: TextField, name: str) -> npt.NDArray[np.float32]:
    corners = _corners(text, name)
    if not _fits(text.field, corners):
        return np.empty((0, 4), np.float32)
    size = np.array([text.field.width, text.field.height] * 2)
    return np.unique(np.clip(corners, 0, size), axis=0).astype(np.float32)
