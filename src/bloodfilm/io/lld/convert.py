"""Write what was read of a data set in another format."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bloodfilm import __version__
from bloodfilm.cells import Field
from bloodfilm.errors import UserError
from bloodfilm.io.coco import write_coco
from bloodfilm.io.lld.dataset import Dataset
from bloodfilm.io.lld.write import write_lld_json, write_text
from bloodfilm.vocabulary import UNKNOWN

PLACES = {
    "coco": "{split}.json",
    "lld-json": "json_labels/{split}.json",
    "txt12": "txt_labels/AttriDet/{split}",
    "yolo": "txt_labels/WBC_Detection/{split}",
}
"""Where in a subset's folder each format has the labels of a split."""


def write_dataset(dest: str | Path, dataset: Dataset, kind: str = "coco") -> list[Path]:
    """Write `dataset` in one of the formats of `PLACES`; return the files and folders written.

    With ``.json`` at its end `dest` becomes one file; else a folder with a file or folder for each split as LLD
    has them, and a folder for each subset if there are several. `dest` may be the data set itself.

    Raises
    ------
    UserError
        If one of them is there already, or two pictures would get one name.
    """
    if kind not in PLACES:
        raise UserError(f"--format {kind}: give one of {', '.join(PLACES)}.")
    targets = _targets(Path(dest), dataset, kind)
    for target, fields in targets.items():
        if target.exists():
            raise UserError(f"{target}: there already; move it away or give another DEST.")
        _check_names(target, fields, kind)
    info = {"bloodfilm": __version__, "report": str(dataset.report).splitlines()}
    for target, fields in targets.items():
        _write(target, fields, kind, info)
    return list(targets)


def _targets(dest: Path, dataset: Dataset, kind: str) -> dict[Path, list[Field]]:
    if dest.suffix.lower() == ".json":
        if not PLACES[kind].endswith(".json"):
            raise UserError(f"{dest}: {kind} is a folder of text files, not one json file.")
        return {dest: dataset.fields}
    several = len({part.subset for part in dataset.parts}) > 1
    targets: dict[Path, list[Field]] = {}
    for part in dataset.parts:
        folder = dest / part.subset if several else dest
        targets.setdefault(folder / PLACES[kind].format(split=part.split or "all"), []).extend(part.fields)
    return targets


def _check_names(target: Path, fields: Sequence[Field], kind: str) -> None:
    name, count = Counter(Path(field.name).stem for field in fields).most_common(1)[0] if fields else ("", 0)
    if kind != "coco" and count > 1:
        raise UserError(f"{target}: {count} pictures are called {name}, which {kind} cannot tell apart.")


def _write(target: Path, fields: Sequence[Field], kind: str, info: dict[str, Any]) -> None:
    if kind == "coco":
        write_coco(target, [_named_from(target.parent, field) for field in fields], info)
    elif kind == "lld-json":
        write_lld_json(target, fields)
    else:
        write_text(target, fields, 12 if kind == "txt12" else 5)


def _named_from(folder: Path, field: Field) -> Field:
    """Name a picture that is there by its path from `folder`, so that it is found again."""
    if not field.path.is_file():
        return field
    return replace(field, name=Path(os.path.relpath(field.path, folder.absolute())).as_posix())


def losses(fields: Sequence[Field], kind: str) -> list[str]:
    """Tell what of `fields` a format has no place for."""
    if kind == "coco":
        return []
    untyped = 0 if kind == "lld-json" else sum(int((f.cells.codes == UNKNOWN).sum()) for f in fields)
    in_part = sum(f.is_labelled_in_part for f in fields)
    counts = {
        "cells of unknown type are left out": untyped,
        "red cells and platelets are left out": sum(len(boxes) for f in fields for boxes in f.auxiliary.values()),
        "ignored cells are left out": sum(len(f.ignored) for f in fields),
        "pictures look as if they were labelled all over; coco keeps their regions": in_part,
    }
    return [f"{kind}: {count} {what}." for what, count in counts.items() if count]
