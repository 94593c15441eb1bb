"""Annotated fields to learn from or to test on, wherever they are: COCO files, and the Large Leukemia Dataset."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bloodfilm.cells import Cells, Field
from bloodfilm.errors import LabelError
from bloodfilm.io.coco import looks_like_coco, read_coco
from bloodfilm.io.formats import recognise
from bloodfilm.io.lld.dataset import read_lld
from bloodfilm.vocabulary import LLD, Vocabulary


def read_annotated(
    path: str | Path, vocabulary: Vocabulary = LLD, test: bool = False, keep_missing: bool = False
) -> list[Field]:
    """Read a COCO file, or what `read_lld` reads, as fields of `vocabulary`.

    Of data sets with several splits, test is left out, or all others if `test`. So are pictures that are not there,
    unless `keep_missing`. A warning says what was left out.

    Raises
    ------
    LabelError
        If it cannot be read, or no picture is there.
    """
    path = Path(path)
    check_format(path)
    if looks_like_coco(path):
        fields = read_coco(path, vocabulary)
        return fields if keep_missing else with_pictures(fields, path)
    dataset = read_lld(path, keep_missing=keep_missing)
    parts, notes = dataset.parts_to(test)
    for line in (*dataset.report.skipped, *notes):
        warnings.warn(f"{path}: {line}", stacklevel=2)
    return [in_words_of(vocabulary, field) for part in parts for field in part.fields]


def check_format(path: Path) -> None:
    """Raise `LabelError` if the file `path` holds cells in a format that has to be converted before."""
    kind = recognise(path) if path.is_file() and path.suffix.lower() != ".json" else None
    if kind in ("csv", "geojson"):
        command = shlex.join(("bloodfilm", "convert", str(path), f"{path.stem}.json"))
        raise LabelError(f"{path}: {kind}, not COCO: `{command}` makes it so.")


def with_pictures(fields: Sequence[Field], where: str | Path) -> list[Field]:
    """Return those of `fields` whose picture is there; a warning says how many others `where` lists.

    Raises
    ------
    LabelError
        If none is there.
    """
    there = [field for field in fields if field.path.is_file()]
    missing = [field.name for field in fields if not field.path.is_file()]
    if fields and not there:
        raise LabelError(f"{where}: none of its {len(fields)} pictures is there, for instance {missing[0]}.")
    if missing:
        warnings.warn(
            f"{where}: {len(missing)} of {len(fields)} pictures are missing and left out, for instance {missing[0]}.",
            stacklevel=3,
        )
    return there


def in_words_of(vocabulary: Vocabulary, field: Field) -> Field:
    """Return `field` with cells of `vocabulary`; a type or attribute that it has no word for becomes unknown."""
    cells = field.cells
    if cells.vocabulary == vocabulary:
        return field
    named = Cells.from_frame(cells.boxes, cells.to_frame(), vocabulary)
    return replace(field, cells=replace(named, scale=cells.scale, novelty=cells.novelty, extra=cells.extra))
