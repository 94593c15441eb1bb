"""Write labels as the Large Leukemia Dataset has them: its json, and text of 12 or 5 columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bloodfilm.cells import Cells, Field
from bloodfilm.io.entry import bboxes, label_files, name_of, shared_vocabulary
from bloodfilm.io.files import replacing, replacing_folder
from bloodfilm.io.lld.attributes import NOT_APPLICABLE_IN_JSON, NOT_APPLICABLE_IN_TEXT, SIZE
from bloodfilm.io.lld.listing import write_listing
from bloodfilm.io.lld.text import CLASSES
from bloodfilm.vocabulary import LLD, UNKNOWN, UNKNOWN_CLASS

MISSPELT = tuple(name.replace("chromatin", "chromatio") for name in LLD.attribute_names)


def write_lld_json(path: Path, fields: Sequence[Field]) -> None:
    """Write `fields` as one json in LLD's dialect: flat attributes as numbers.

    Scores, labelled regions, ignored cells, red cells and platelets have no place in it.
    """
    names = [name.lower() for name in (*LLD.classes, UNKNOWN_CLASS)]
    images = [
        {"id": number, "file_name": Path(name_of(each)).name, "width": each.width, "height": each.height}
        for number, each in enumerate(fields, start=1)
    ]
    annotations = [
        {"image_id": image, "cell_id": row + 1, "bbox": box} | _annotation(each.cells, row, names)
        for image, each in enumerate(fields, start=1)
        for row, box in enumerate(bboxes(each.cells.boxes))
    ]
    annotations = [{"id": id_} | annotation for id_, annotation in enumerate(annotations, start=1)]
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    with replacing(path) as temporary:
        content = {"images": images, "annotations": annotations, "categories": categories}
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _annotation(cells: Cells, row: int, names: Sequence[str]) -> dict[str, Any]:
    code = int(cells.codes[row])
    values = np.where(cells.attributes[row] == UNKNOWN, NOT_APPLICABLE_IN_JSON, cells.attributes[row]).tolist()
    return {
        "category_id": (code if code != UNKNOWN else len(names) - 1) + 1,
        "category_name": names[code],
        **dict(zip(MISSPELT, values, strict=True)),
    }


def write_text(folder: Path, fields: Sequence[Field], columns: int) -> None:
    """Write `fields` as one text file a picture into a new folder, with 12 columns or 5.

    ``pictures.csv`` says names and sizes of the pictures. With 5 columns ``classes.txt`` names the types; an unknown
    one comes last. Cells of unknown type have no place in 12 columns. Scores, labelled regions, ignored cells, red
    cells and platelets have none in either.
    """
    names = list(shared_vocabulary(fields).classes)
    untyped = len(names) if columns == 5 else UNKNOWN
    if columns == 5 and any((each.cells.codes == UNKNOWN).any() for each in fields):
        names.append(UNKNOWN_CLASS)
    files = label_files(map(name_of, fields), ".txt", columns > 5)
    with replacing_folder(folder) as temporary:
        for name, each in zip(files, fields, strict=True):
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            lines = _rows(each.cells, each.width, each.height, columns, untyped)
            (temporary / name).write_text("".join(lines), encoding="utf-8")
        write_listing(temporary, files, fields)
        if columns == 5:
            (temporary / CLASSES).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def _rows(cells: Cells, width: int, height: int, columns: int, untyped: int) -> list[str]:
    x0, y0, x1, y1 = (cells.boxes.astype(float) / (width, height, width, height)).T
    boxes = np.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], axis=1)
    values = np.empty((len(cells), 0), int)
    if columns > 5:
        values = np.where(cells.attributes == UNKNOWN, NOT_APPLICABLE_IN_TEXT, cells.attributes)
        unsized = (cells.attributes[:, SIZE] == UNKNOWN) & (cells.attributes != UNKNOWN).any(1)
        values[unsized, SIZE] = NOT_APPLICABLE_IN_JSON
    codes = np.where(cells.codes == UNKNOWN, untyped, cells.codes)
    rows = zip(codes.tolist(), boxes.tolist(), values.tolist(), strict=True)
    return [
        " ".join([str(code), *(f"{v:.12g}" for v in box), *map(str, attributes)]) + "\n"
        for code, box, attributes in rows
        if code != UNKNOWN
    ]
