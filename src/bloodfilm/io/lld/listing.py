"""What text labels do not say of their pictures, name and size, as a table beside them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from bloodfilm.cells import Field
from bloodfilm.errors import LabelError
from bloodfilm.io.entry import name_of
from bloodfilm.io.files import read_labels

LISTING = "pictures.csv"
HEADER = ["labels", "picture", "width", "height"]


class Listed(NamedTuple):
    """Name and size in pixels of the picture of a label file."""

    name: str
    width: int
    height: int


def write_listing(folder: Path, files: Iterable[str], fields: Sequence[Field]) -> None:
    """Write which picture each of the label `files` in `folder` belongs to."""
    with (folder / LISTING).open("w", newline="", encoding="utf-8") as file:
        rows = ([name, name_of(each), each.width, each.height] for name, each in zip(files, fields, strict=True))
        csv.writer(file).writerows([HEADER, *rows])


def read_listing(files: Iterable[Traversable]) -> dict[str, Listed]:
    """Return the pictures by their label files, as the `LISTING` among `files` says; none if there is none of ours.

    Raises
    ------
    LabelError
        If a row of it is not a label file, a name and two sizes.
    """
    file = next((each for each in files if each.name == LISTING), None)
    if file is None:
        return {}
    rows = csv.reader(io.StringIO(read_labels(file).decode(), newline=""))
    if next(rows, None) != HEADER:
        return {}
    return {row[0]: _listed(row, f"{file}: row {number}") for number, row in enumerate(rows, start=2) if row}


def _listed(row: list[str], place: str) -> Listed:
    sizes = [int(text) for text in row[2:] if text.isascii() and text.isdigit() and len(text) < 10]
    if len(row) != len(HEADER) or len(sizes) != 2 or 0 in sizes:
        raise LabelError(f"{place}: {','.join(row)[:80]!r} does not say {', '.join(HEADER)}.")
    return Listed(row[1], *sizes)
