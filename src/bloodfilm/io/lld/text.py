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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.resources.abc import Traversable
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from bloodfilm.cells import Cells, Field
from bloodfilm.errors import LabelError
from bloodfilm.io.files import files_below, read_labels
from bloodfilm.io.lld.attributes import lld_numbers, unread_numbers
from bloodfilm.io.lld.listing import LISTING, Listed, read_listing
from bloodfilm.io.lld.names import origin_of, tidy
from bloodfilm.io.lld.pictures import picture_size, pictures_beside
from bloodfilm.io.sizes import fitted
from bloodfilm.vocabulary import LLD, UNKNOWN_CLASS, Vocabulary, normalise

Rows = npt.NDArray[np.float64]
F = TypeVar("F", bound=Traversable)

BOX, REGION, ATTRIBUTES = slice(1, 5), slice(5, 9), slice(9, 16)
PLACES = {
    5: range(5),
    11: (*range(5), *range(10, 16)),
    12: (*range(5), *range(9, 16)),
    16: range(16),
}
"""Which of the 16 columns a row of so many numbers fills."""

CLASSES = "classes.txt"
"""The names of the types, one a line in order of their numbers, beside text of 5 columns."""

MOST_TEXTS = 100
"""Text labels of which `text_columns` reads the first row."""

SIDE = 640
"""Pixels a side of LLD's pictures, for labels whose picture is missing."""


class TextField(NamedTuple):
    """One text file as a Field.

    `regions` (N, 4) are the columns of each cell's region, NaN if there are none; `places` say where each was read;
    `unread` attributes mean nothing and count as unknown.
    """

    field: Field
    regions: Rows
    places: Sequence[str] = ()
    unread: int = 0


def read_rows(file: Traversable, classes: int = len(LLD.classes)) -> tuple[Rows, npt.NDArray[np.str_]]:
    """Return the rows of a text file as (N, 16), NaN for the columns that a row lacks, and the place of each.

    `classes` is their number.

    Raises
    ------
    LabelError
        If a row is none of those above.
    """
    lines = enumerate(read_labels(file).decode().splitlines(), start=1)
    told = {f"{file}: line {number}": line for number, line in lines if line.strip()}
    rows = [_row(line, place, classes) for place, line in told.items()]
    return np.array(rows, float).reshape(-1, 16), np.array(list(told), str)


def count_columns(files: Iterable[Traversable]) -> int:
    """Return how many numbers the first row of `files` has, 0 if there is none or it cannot be read."""
    try:
        lines = (line for file in files for line in read_labels(file).splitlines() if line.strip())
        return len(next(lines, b"").split())
    except LabelError:
        return 0


def _row(line: str, place: str, classes: int) -> list[float]:
    try:
        numbers = [float(word) for word in line.split()]
    except ValueError:
        raise LabelError(f"{place}: {line[:60]!r} is not a row of numbers.") from None
    if len(numbers) not in PLACES:
        raise LabelError(f"{place}: it has {len(numbers)} numbers; rows of labels have 5, 11, 12 or 16.")
    if not all(map(math.isfinite, numbers)):
        raise LabelError(f"{place}: {line[:60]!r} is not finite.")
    if numbers[0] not in range(classes):
        raise LabelError(f"{place}: no class has the number {numbers[0]:g}; they go from 0 to {classes - 1}.")
    row = [math.nan] * 16
    for column, number in zip(PLACES[len(numbers)], numbers, strict=True):
        row[column] = number
    return row


def read_field(
    file: Traversable,
    picture: Path | None,
    names: Sequence[str] = LLD.classes,
    vocabulary: Vocabulary = LLD,
    listed: Listed | None = None,
) -> TextField:
    """Read a text file; boxes are cut at the picture's edge, those without area inside it left out with a warning.

    `names` are those of the class numbers; one that `vocabulary` lacks is an unknown type.
    The field gets the size that is `listed`, else that of `picture`; without both LLD's. Without `picture` it gets the
    path where its picture would lie beside `file`.
    """
    rows, places = read_rows(file, len(names))
    width, height = listed[1:] if listed else picture_size(picture) if picture else (SIDE, SIDE)
    shares = np.clip(rows[:, [1, 2, 1, 2]] + rows[:, [3, 4, 3, 4]] * (-0.5, -0.5, 0.5, 0.5), 0, 1)
    boxes = np.asarray(shares * (width, height, width, height), np.float32)
    inside = (boxes[:, :2] < boxes[:, 2:]).all(1)
    if not inside.all():
        warnings.warn(
            f"{file}: {(~inside).sum()} boxes have no area inside their picture and are left out.", stacklevel=2
        )
    rows = rows[inside]
    codes = np.array([vocabulary.class_code(name) for name in names], np.int16)[rows[:, 0].astype(int)]
    attributes = lld_numbers(rows[:, ATTRIBUTES], codes) if vocabulary == LLD else None
    cells = Cells(boxes[inside], codes=codes, attributes=attributes, vocabulary=vocabulary)  # type: ignore[arg-type]
    own = picture.name if picture else f"{Path(tidy(file.name)).stem}.png"
    name = listed.name if listed else tidy(own)
    path = picture or Path(str(file)).parent / name
    field = Field(path, cells, width, height, name=name, origin=origin_of(name))
    return TextField(field, rows[:, REGION], places[inside].tolist(), unread_numbers(rows[:, ATTRIBUTES]))


def read_folder(folder: str | Path) -> list[Field]:
    """Read all text labels in and below `folder`; types are named by its ``classes.txt``, without one LLD's.

    Pictures are beside the labels or in LLD's folders; names and sizes are those of its ``pictures.csv``, and a picture
    of another size is treated as by `bloodfilm.io.coco.read_coco`. Boxes on one that is neither there nor listed are
    taken as on 640 x 640 px, and a warning says so.

    Raises
    ------
    LabelError
        If there is no text, or a row is none of those above.
    """
    folder = Path(folder)
    names = _class_names(folder / CLASSES) if (folder / CLASSES).is_file() else LLD.classes
    types = tuple(name for name in names if normalise(name) != UNKNOWN_CLASS)
    try:
        vocabulary = LLD if types == LLD.classes else Vocabulary(types)
    except ValueError as error:
        raise LabelError(f"{folder / CLASSES}: {error}") from None
    files = sorted(path for path in files_below(folder, "*.txt") if path.name != CLASSES)
    listing = read_listing([folder / LISTING] if (folder / LISTING).is_file() else [])
    if not files and not (folder / CLASSES).is_file() and not (folder / LISTING).is_file():
        raise LabelError(f"{folder}: there are no text labels in it.")
    places = {place: pictures_beside(place) for place in {file.parent for file in files}}
    rows = [listing.get(file.relative_to(folder).as_posix()) for file in files]
    found = find_listed(folder, files, rows, lambda file, name: places[file.parent].find(name))
    fields, missing, unread = [], [], 0
    for file, (listed, picture) in zip(files, found, strict=True):
        own = file.relative_to(folder).with_name(picture.name if picture else f"{file.stem}.png").as_posix()
        name = listed.name if listed else own
        text = read_field(file, picture, names, vocabulary, listed)
        unread += text.unread
        fields.append(replace(text.field, name=name, path=picture or folder / name))
        missing += [] if picture or listed else [name]
    if unread:
        message = f"{folder}: {unread} values of attributes mean nothing and count as unknown."
        warnings.warn(message, stacklevel=2)
    if missing:
        warnings.warn(
            f"{folder}: {len(missing)} pictures are not there, for instance {missing[0]}: boxes on them are taken as "
            f"on {SIDE} x {SIDE} px.",
            stacklevel=2,
        )
    return fields


def find_listed(
    where: Path, files: Sequence[F], rows: Sequence[Listed | None], find: Callable[[F, str], Path | None]
) -> list[tuple[Listed | None, Path | None]]:
    """Return the pictures of text `files`, and what is listed of each: what fits the `rows`, see `fitted`.

    Warnings tell of others; `where` is the folder of what is listed.
    """
    found = [find(file, row.name if row else file.name) for file, row in zip(files, rows, strict=True)]
    fits = iter(fitted(where / LISTING, [(row, picture) for row, picture in zip(rows, found, strict=True) if row]))
    return [next(fits) if row else (None, picture) for row, picture in zip(rows, found, strict=True)]


def _class_names(file: Path) -> tuple[str, ...]:
    lines = read_labels(file).decode().replace("\r\n", "\n").rstrip("\n")
    return tuple(lines.split("\n")) if lines else ()


def text_columns(folder: str | Path) -> int:
    """Return 5 if `folder` lists types beside text labels of 5 columns, 12 if it lists pictures beside ones of 12.

    0 if it does neither, and if it has LLD's labels as they were downloaded, which `read_lld` knows more of.
    """
    folder = Path(folder)
    if _is_downloaded(folder):
        return 0
    texts = (path for path in files_below(folder, "*.txt") if path.name != CLASSES)
    expected = 5 if (folder / CLASSES).is_file() else 12 if (folder / LISTING).is_file() else 0
    return expected if expected and count_columns(islice(texts, MOST_TEXTS)) in (0, expected) else 0


def _is_downloaded(folder: Path) -> bool:
    """Tell if text in `folder` is called as LLD's, and the types that it lists, but no pictures, are LLD's."""
    if (folder / LISTING).is_file() or not (folder / CLASSES).is_file():
        return False
    codes = [LLD.class_code(name) for name in _class_names(folder / CLASSES)]
    return codes == list(range(len(LLD.classes))) and any(origin_of(file.name) for file in files_below(folder, "*.txt"))
