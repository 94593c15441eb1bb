"""CSV tables of cells: one row a cell, with its picture, box, type, scores and attributes in words."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from bloodfilm.cells import Cells, Field, concatenate
from bloodfilm.errors import LabelError
from bloodfilm.io.entry import name_of, shared_vocabulary, within
from bloodfilm.io.files import read_labels, replacing
from bloodfilm.io.lld.names import origin_of
from bloodfilm.io.lld.pictures import Pictures, find_all, picture_size, pictures_beside
from bloodfilm.vocabulary import (
    LLD,
    NOT_ANNOTATED,
    NOT_PREDICTED,
    UNKNOWN,
    UNKNOWN_CLASS,
    Attribute,
    Vocabulary,
    normalise,
)

CORNERS = ["x0", "y0", "x1", "y1"]
TEXTS = ("id", "review", "reviewer", "reviewed_at")
"""Further columns that are words even where all of them look like numbers."""


def to_table(fields: Iterable[Field]) -> pd.DataFrame:
    """Return one frame for all `fields`: image, corners of the box in pixels, then `Cells.to_frame`."""
    fields = list(fields)
    vocabulary = shared_vocabulary(fields)
    filled = [field for field in fields if len(field.cells)]
    cells = concatenate(aligned([field.cells for field in filled]) or [Cells.empty(vocabulary)])
    frame = pd.DataFrame(cells.boxes, columns=CORNERS)
    if any(field.cells.novelty is not None for field in filled):
        cells_of = [len(field.cells) for field in filled]
        frame["novelty"] = np.repeat([np.nan if f.cells.novelty is None else f.cells.novelty for f in filled], cells_of)
    frame.insert(0, "image", [name_of(field) for field in filled for _ in range(len(field.cells))])
    told = cells.to_frame()
    if any(field.cells.scale for field in filled):
        measured = pd.Series(np.concatenate([field.cells.diameters_um for field in filled]))
        told["diameter_um"] = measured.fillna(told["diameter_um"]) if "diameter_um" in told else measured
    return pd.concat([frame, told], axis=1)


def aligned(tables: list[Cells]) -> list[Cells]:
    """Return the tables with the further columns that any of them has, NaN where one had it not."""
    kinds = {name: column.dtype.kind for cells in tables for name, column in cells.extra.items() if len(cells)}
    blank = {name: np.full(1, np.nan, float if kind in "iuf" else object) for name, kind in kinds.items()}
    return [
        replace(
            c,
            extra={name: c.extra[name] if len(c) and name in c.extra else blank[name].repeat(len(c)) for name in kinds},
        )
        for c in tables
    ]


def write_csv(path: str | Path, fields: Iterable[Field]) -> None:
    """Write the cells of `fields` as one CSV file; pictures without cells have no row in it.

    Raises
    ------
    UserError
        If they have several vocabularies.
    """
    table = to_table(fields)
    with replacing(Path(path)) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def read_csv(path: str | Path, vocabulary: Vocabulary | None = None) -> list[Field]:
    """Read a file of `write_csv`, or any table with its first five columns; return its pictures.

    Pictures are beside it or in LLD's folders. Where one is not, its size is that of what holds its cells, and a
    warning says so. Without `vocabulary` it is `vocabulary_of` the table.

    Raises
    ------
    LabelError
        If it is no such file, or a number is none.
    """
    path = Path(path)
    try:
        text = read_labels(path).decode()
        frame = pd.read_csv(io.StringIO(text, newline=""), dtype=str, keep_default_na=False).fillna("")
        if not isinstance(frame.index, pd.RangeIndex):
            raise LabelError(f"{path}: not a table of cells: its rows are longer than its first line.")
        lacking = [name for name in ("image", *CORNERS) if name not in frame]
        if lacking:
            raise LabelError(f"{path}: not a table of cells: it has no column {', '.join(lacking)}.")
        vocabulary = vocabulary or vocabulary_of(frame)
        texts = {name for name in TEXTS if name in frame and frame[name].any()}
        words = {"image", "class", *texts, *vocabulary.attribute_names}
        for name in frame.columns.difference(sorted(words), sort=False):
            frame[name] = _typed(frame[name])
        _check_numbers(path, frame, [*CORNERS, *(n for n in frame if n in _scores(vocabulary))])
        groups = frame.groupby("image", sort=False)
        tables = {str(name): _cells(path, rows, vocabulary) for name, rows in groups}
    except LabelError:
        raise
    except (ValueError, csv.Error, OverflowError) as error:
        raise LabelError(f"{path}: not a table of cells ({error}).") from None
    return sized_fields(path, pictures_beside(path.parent, path.stem), tables)


def _typed(column: pd.Series) -> pd.Series:
    """Return words as whole numbers, numbers or truth values if all of them are; "" is a missing number."""
    if column.str.fullmatch(r"-?(0|[1-9][0-9]{0,17})").all() and len(column):
        return column.astype(np.int64)
    if column.isin(["True", "False", ""]).all() and column.any():
        return column.map({"True": True, "False": False})
    if column.str.fullmatch(r"(-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|-?inf|nan)?").all():
        return column.replace("", "nan").astype(float)
    return column


def _cells(path: Path, rows: pd.DataFrame, vocabulary: Vocabulary) -> Cells:
    rows, lines = rows.reset_index(drop=True), rows.index + 2
    has_novelty = "novelty" in rows and pd.api.types.is_numeric_dtype(rows["novelty"])
    novelty = float(rows.pop("novelty").iloc[0]) if has_novelty else np.nan
    further = rows.drop(columns=["image", *CORNERS])
    try:
        cells = Cells.from_frame(rows[CORNERS], further.dropna(axis="columns", how="all"), vocabulary)
    except ValueError as error:
        raise LabelError(f"{path}: rows {lines[0]} to {lines[-1]}, {rows['image'][0]}: {error}") from None
    return replace(cells, novelty=novelty if np.isfinite(novelty) else None)


def _check_numbers(path: Path, frame: pd.DataFrame, names: list[str]) -> None:
    for name in names:
        wrong = pd.to_numeric(frame[name], errors="coerce").isna() & ~frame[name].isna()
        if not pd.api.types.is_float_dtype(frame[name]) and wrong.any():
            row = int(np.argmax(wrong))
            raise LabelError(f"{path}: row {row + 2}: {name} is {frame[name][row]!r}, not a number.")


def _scores(vocabulary: Vocabulary) -> set[str]:
    return {"score", "class_score", *(f"{name}_score" for name in vocabulary.attribute_names)}


def vocabulary_of(frame: pd.DataFrame) -> Vocabulary:
    """Return LLD's classes and attributes if they have all words of a table of cells, else the table's own.

    Its classes are what stands under "class", its attributes the columns of words with a column of scores.
    """
    names = [name for name in frame if f"{name}_score" in frame and name != "class"]
    said = {name: _unique(frame[name]) for name in names}
    types = _unique(frame["class"]) if "class" in frame else ()
    known = {attribute.name: attribute for attribute in LLD.attributes}
    fits = all(name in known and all(known[name].code(word) != UNKNOWN for word in said[name]) for name in names)
    return Vocabulary(
        LLD.classes if all(LLD.class_code(name) != UNKNOWN for name in types) else types,
        LLD.attributes if fits else tuple(Attribute(name, said[name]) for name in names),
    )


def _unique(words: pd.Series) -> tuple[str, ...]:
    """Return the words that say something, each once, as they come."""
    first: dict[str, str] = {}
    for word in map(str, words.dropna().unique()):
        first.setdefault(normalise(word), word)
    nothing = {"", UNKNOWN_CLASS, NOT_PREDICTED, NOT_ANNOTATED}
    return tuple(word for said, word in first.items() if said not in nothing)


def sized_fields(path: Path, pictures: Pictures, tables: dict[str, Cells]) -> list[Field]:
    """Return a field for each table of cells by its picture's name, of that picture's size if it is found.

    A warning tells of those that are not: they are as large as what holds their cells. Boxes are cut as by `within`.
    """
    found = find_all(tables, pictures.find)
    if missing := [name for name, picture in found.items() if picture is None]:
        warnings.warn(
            f"{path}: {len(missing)} pictures are not beside it, for instance {missing[0]}; they count as no larger "
            "than what holds their cells.",
            stacklevel=3,
        )
    fields = []
    for name, cells in tables.items():
        picture, far = found[name], np.ceil(cells.boxes[:, 2:].max(0, initial=1))
        width, height = picture_size(picture) if picture else (int(far[0]), int(far[1]))
        fields.append(Field(picture or path.parent / name, cells, width, height, name=name, origin=origin_of(name)))
    return within(path, fields)


def looks_like_table(path: str | Path) -> bool:
    """Tell by its first line if `path` is a table of cells."""
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            header = next(csv.reader([file.readline(100_000)]), [])
    except (OSError, ValueError, csv.Error):
        return False
    return {"image", *CORNERS} <= set(header)
