"""CSV tables of cells: one row a cell, with its picture, box, type, scores and attributes in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from bloodfilm.cells import Cells, Field, concatenate
from bloodfilm.errors import LabelError
from bloodfilm.io.files import replacing
from bloodfilm.vocabulary import LLD, Vocabulary

CORNERS = ["x0", "y0", "x1", "y1"]


def to_table(fields: Iterable[Field]) -> pd.DataFrame:
    """Return one frame for all `fields`: image, corners of the box in pixels, then `Cells.to_frame`."""
    fields = list(fields)
    further = dict.fromkeys(name for field in fields for name in field.cells.extra)
    tables = [
        replace(f.cells, extra={name: f.cells.extra.get(name, np.full(len(f.cells), np.nan)) for name in further})
        for f in fields
    ]
    cells = concatenate(tables)
    frame = pd.DataFrame(cells.boxes.round(2), columns=CORNERS)
    if any(field.cells.novelty is not None for field in fields):
        cells_of = [len(field.cells) for field in fields]
        frame["novelty"] = np.repeat([np.nan if f.cells.novelty is None else f.cells.novelty for f in fields], cells_of)
    frame.insert(0, "image", [field.name or str(field.path) for field in fields for _ in range(len(field.cells))])
    return pd.concat([frame, cells.to_frame()], axis=1)


def write_csv(path: str | Path, fields: Iterable[Field]) -> None:
    """Write the cells of `fields` as one CSV file."""
    with replacing(Path(path)) as temporary:
        to_table(fields).to_csv(temporary, index=False, float_format="%.4f")


def read_csv(path: str | Path, vocabulary: Vocabulary = LLD) -> dict[str, Cells]:
    """Read a file of `write_csv`; return the cells of each picture by its name.

    Raises
    ------
    LabelError
        If it is no such file.
    """
    try:
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
        groups = frame.groupby("image", sort=False)
        return {
            str(name): Cells.from_frame(rows[CORNERS], rows.drop(columns=["image", *CORNERS]), vocabulary)
            for name, rows in groups
        }
    except (KeyError, ValueError, OSError) as error:
        raise LabelError(f"{path}: not a table of cells ({error}).") from error
