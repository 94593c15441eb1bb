"""LLD's text labels: a file a picture, a row a cell, boxes as shares of the picture's width and height.

=======  ============================================================================================
columns  hold
=======  ============================================================================================
5        class, x and y of the centre, width, height
11       and six attributes, without the cell size
12       and all seven
16       four columns between box and attributes that say which region of the picture was labelled
=======  ============================================================================================
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from bloodfilm.cells import Cells, Field
from bloodfilm.errors import LabelError
from bloodfilm.io.files import read_labels
from bloodfilm.io.lld.attributes import lld_numbers
from bloodfilm.io.lld.names import origin_of, tidy
from bloodfilm.vocabulary import LLD

Rows = npt.NDArray[np.float64]

BOX, REGION, ATTRIBUTES = slice(1, 5), slice(5, 9), slice(9, 16)
PLACES = {
    5: range(5),
    11: (*range(5), *range(10, 16)),
    12: (*range(5), *range(9, 16)),
    16: range(16),
}
"""Which of the 16 columns a row of so many numbers fills."""

SIDE = 640
"""Pixels a side of LLD's pictures, for labels whose picture is missing."""


class TextField(NamedTuple):
    """One text file as a Field; `regions` (N, 4) are the columns of each cell's region, NaN if there are none."""

    field: Field
    regions: Rows


def read_rows(file: Traversable) -> Rows:
    """Return the rows of a text file as (N, 16), NaN for the columns that a row lacks.

    Raises
    ------
    LabelError
        If a row is none of those above.
    """
    lines = enumerate(read_labels(file).decode("utf-8-sig", errors="replace").splitlines(), start=1)
    rows = [_row(line, f"{file}: line {number}") for number, line in lines if line.strip()]
    return np.array(rows, float).reshape(-1, 16)


def count_columns(files: Iterable[Traversable]) -> int:
    """Return how many numbers the first row of `files` has, 0 if there is none or it cannot be read."""
    try:
        lines = (line for file in files for line in read_labels(file).splitlines() if line.strip())
        return len(next(lines, b"").split())
    except LabelError:
        return 0


def _row(line: str, place: str) -> list[float]:
    try:
        numbers = [float(word) for word in line.split()]
    except ValueError:
        raise LabelError(f"{place}: {line[:60]!r} is not a row of numbers.") from None
    if len(numbers) not in PLACES:
        raise LabelError(f"{place}: it has {len(numbers)} numbers; rows of labels have 5, 11, 12 or 16.")
    if not all(map(math.isfinite, numbers)):
        raise LabelError(f"{place}: {line[:60]!r} is not finite.")
    if numbers[0] not in range(len(LLD.classes)):
        raise LabelError(f"{place}: no class has the number {numbers[0]:g}; they go from 0 to {len(LLD.classes) - 1}.")
    row = [math.nan] * 16
    for column, number in zip(PLACES[len(numbers)], numbers, strict=True):
        row[column] = number
    return row


def read_field(file: Traversable, picture: Path | None) -> TextField:
    """Read a text file; boxes are cut at the picture's edge, those without area inside it left out with a warning.

    Without `picture` the field gets LLD's size and the path where its picture would lie beside `file`.
    """
    rows = read_rows(file)
    width, height = _size(picture) if picture else (SIDE, SIDE)
    shares = np.clip(rows[:, [1, 2, 1, 2]] + rows[:, [3, 4, 3, 4]] * (-0.5, -0.5, 0.5, 0.5), 0, 1)
    boxes = np.asarray(shares * (width, height, width, height), np.float32)
    inside = (boxes[:, :2] < boxes[:, 2:]).all(1)
    if not inside.all():
        warnings.warn(
            f"{file}: {(~inside).sum()} boxes have no area inside their picture and are left out.", stacklevel=2
        )
    rows = rows[inside]
    codes = rows[:, 0].astype(np.int16)
    cells = Cells(boxes[inside], codes=codes, attributes=lld_numbers(rows[:, ATTRIBUTES], codes))
    name = picture.name if picture else f"{Path(tidy(file.name)).stem}.png"
    path = picture or Path(str(file)).with_name(name)
    return TextField(Field(path, cells, width, height, name=tidy(name), origin=origin_of(name)), rows[:, REGION])


def _size(picture: Path) -> tuple[int, int]:
    try:
        with Image.open(picture) as image:
            return image.size
    except OSError as error:
        raise LabelError(f"{picture}: its size is needed to read its labels, and cannot be read ({error}).") from None
