"""A small Large Leukemia Dataset, drawn, with everything that users found wrong with the real one.

======================  ===============================================================================
subset                  has
======================  ===============================================================================
H_100X_C2               json, text of 12 and of 5 columns; a list of classes among the text files
H_100X_C1               a train.json with pictures listed again and again, boxes given twice or twice
                        with different types, slivers and misplaced boxes; ``images`` in lower case
H_40X_C2                names of three numbers; every fifth picture missing
L_40X_C1                the other layout, ``COCO Dataset/Annotations``
L_100X_C2               its json in ``labels.zip``; ``WBC_detection`` in another case; strange names
L_10X_C1                pictures without labels, and a zip cut short
Sparse-LeukemiaAttri    16 columns: one labelled region a picture, all of it in test
======================  ===============================================================================
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from bloodfilm.cells import Cells
from bloodfilm.errors import UserError
from bloodfilm.io.files import replacing_folder
from bloodfilm.io.lld.attributes import ARTEFACT, NOT_APPLICABLE_IN_JSON, NOT_APPLICABLE_IN_TEXT
from bloodfilm.synth.film import draw_field
from bloodfilm.vocabulary import LLD, UNKNOWN

SIDE = 640
SQUEEZE = 0.6
DRAWN = 8
"""Pictures that are drawn; further fields show them again."""

PATIENTS = {35: "ALL", 4: "ALL", 10: "AML", 12: "AML", 21: "CML", 7: "APML", 30: "CLL"}
TEST_PATIENTS = (21, 7)
MISPLACED = (1356, 1658, 2020)
REGION = 286
"""Side of a labelled region: a fifth of the picture."""


class _View(NamedTuple):
    """One field of view: its name at 100x without suffix, its split, its picture and the cells on it."""

    name: str
    split: str
    picture: int
    cells: Cells


@dataclass(frozen=True)
class _Subset:
    """Writes one subset below `folder`; pictures are linked to where they were written first."""

    folder: Path
    views: Sequence[_View]
    pictures: Path
    images: str = "Images"

    def of(self, split: str) -> list[_View]:
        return [view for view in self.views if view.split == split]

    def show(self, missing: int = 0, strange: bool = False) -> None:
        """Write the pictures but for every `missing`-th, with a macOS file, and two names with stray characters."""
        for number, view in enumerate(self.views, start=1):
            if not missing or number % missing:
                name = f"{view.name}`.png" if strange and number % 4 == 1 else f"{view.name}.png"
                _link(self.pictures / f"{view.picture}.png", self.folder / self.images / view.split / name)
        _write(self.folder / self.images / "train" / f"._{self.views[0].name}.png", b"\0\5\x16\7")

    def json(self, folder: str = "json_labels") -> None:
        for split in ("train", "test"):
            _write(self.folder / folder / f"{split}.json", json.dumps(_coco(self.of(split))).encode())

    def text(self, folder: str, columns: int) -> None:
        for view in self.views:
            rows = "".join(_text_row(view.cells, row, columns) for row in range(len(view.cells)))
            _write(self.folder / folder / view.split / f"{view.name}.txt", rows.encode())


def write_lld(out: str | Path, fields: int = 10, seed: int = 0) -> None:
    """Draw the data set above into the folder `out`, `fields` fields a subset; the same seed draws the same.

    Pictures are 640 x 640 px, squeezed to 0.6 of their width as LLD's are. All subsets show the same fields.

    Raises
    ------
    UserError
        If `out` holds something already.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out {out}: there is something already; give a new folder.")
    if out.exists():
        out.rmdir()
    with replacing_folder(out) as temporary:
        _write_all(temporary, fields, seed)


def _write_all(out: Path, fields: int, seed: int) -> None:
    pictures = out / "pictures"
    pictures.mkdir()
    drawn = [_draw(seed + number, pictures / f"{number}.png") for number in range(min(fields, DRAWN))]
    views = _views(drawn, fields)
    root = out / "LeukemiaAttri_Dataset"

    full = _Subset(root / "H_100X_C2", views, pictures)
    full.show()
    full.json()
    full.text("txt_labels/AttriDet", 12)
    full.text("txt_labels/WBC_Detection", 5)
    _write(full.folder / "txt_labels/WBC_Detection/train/classes.txt", "\n".join(LLD.classes).encode())

    dirty = _Subset(root / "H_100X_C1", views, pictures, "images")
    dirty.show()
    dirty.json()
    _write(dirty.folder / "json_labels/train.json", json.dumps(_soiled(_coco(dirty.of("train")))).encode())

    lower = [view._replace(name=_at_40x(view.name, number)) for number, view in enumerate(views)]
    missing = _Subset(root / "H_40X_C2", lower, pictures)
    missing.show(missing=5)
    missing.json()

    other = _Subset(root / "L_40X_C1" / "COCO Dataset", lower, pictures)
    other.show()
    other.json("Annotations")

    zipped = _Subset(root / "L_100X_C2", views, pictures, "images")
    zipped.show(strange=True)
    with zipfile.ZipFile(zipped.folder / "labels.zip", "w") as archive:
        for split in ("train", "test"):
            archive.writestr(f"json_labels/{split}.json", json.dumps(_coco(zipped.of(split))))
            archive.writestr(f"__MACOSX/json_labels/._{split}.json", b"\0\5\x16\7")
    zipped.text("txt_labels/WBC_detection", 5)

    bare = _Subset(root / "L_10X_C1", [v._replace(name=v.name.replace("_1000_", "_100_")) for v in views], pictures)
    bare.show()
    _write(bare.folder / "json_labels.zip", (zipped.folder / "labels.zip").read_bytes()[:200])

    sparse = _Subset(out / "Sparse-LeukemiaAttri", lower, pictures)
    sparse.show()
    _write_sparse(sparse, np.random.default_rng(seed))
    shutil.rmtree(pictures)


def _draw(seed: int, path: Path) -> Cells:
    """Draw a field, squeeze it, and return its cells, one of them an artefact without attributes."""
    picture, cells = draw_field(round(SIDE / SQUEEZE), SIDE, 4 + seed % 3 // 2, seed=seed)
    factor = SIDE / picture.shape[1]
    Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(path)
    codes, attributes = cells.codes.copy(), cells.attributes.copy()
    codes[-1:], attributes[-1:] = ARTEFACT, UNKNOWN
    boxes = (cells.boxes * np.array([factor, 1, factor, 1])).round(1)
    return replace(cells, boxes=boxes, codes=codes, attributes=attributes)


def _views(drawn: Sequence[Cells], fields: int) -> list[_View]:
    patients = list(PATIENTS)
    views = []
    for number in range(fields):
        patient = patients[number % len(patients)]
        name = f"{patient}_{number // len(patients) + 1}_1000_{PATIENTS[patient]}"
        split = "test" if patient in TEST_PATIENTS else "train"
        views.append(_View(name, split, number % len(drawn), drawn[number % len(drawn)]))
    return views


def _at_40x(name: str, number: int) -> str:
    patient, field, _, diagnosis = name.split("_")
    return f"{patient}_{field}_{number % 40 + 1}_400_{diagnosis}"


def _coco(views: Sequence[_View]) -> dict[str, Any]:
    """Return LLD's json for `views`: flat attributes as numbers, one name misspelt, 4 for what does not apply."""
    images = [
        {"id": i, "file_name": f"{view.name}.png", "width": SIDE, "height": SIDE} for i, view in enumerate(views, 1)
    ]
    annotations: list[dict[str, Any]] = []
    names = [name.replace("chromatin", "chromatio") for name in LLD.attribute_names]
    for image, view in zip(images, views, strict=True):
        for row, (x0, y0, x1, y1) in enumerate(view.cells.boxes.tolist()):
            code = int(view.cells.codes[row])
            attributes = view.cells.attributes[row].tolist()
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": code or len(LLD.classes),
                    "category_name": LLD.classes[code].lower(),
                    "bbox": [round(x0, 1), round(y0, 1), round(x1 - x0, 1), round(y1 - y0, 1)],
                    "cell_id": row + 1,
                    **{
                        n: NOT_APPLICABLE_IN_JSON if v == UNKNOWN else v for n, v in zip(names, attributes, strict=True)
                    },
                }
            )
    categories = [{"id": code or len(LLD.classes), "name": name.lower()} for code, name in enumerate(LLD.classes)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _soiled(content: dict[str, Any]) -> dict[str, Any]:
    """Return a json with the faults of H_100X_C1's train.json: one fault each on its first pictures."""
    annotations: list[dict[str, Any]] = content["annotations"]
    firsts = [next(a for a in annotations if a["image_id"] == image["id"]) for image in content["images"]]
    again, contradicted, sliver = (firsts * 4)[1:4]
    none = {"category_name": "none", "category_id": len(LLD.classes)}
    faults = [again, contradicted | none, sliver | {"bbox": [300.0, 300.0, 5.0, 40.0]}]
    misplaced = [firsts[0] | {"bbox": [90.0 * i, 560.0, 60.0, 70.0], "id": id_} for i, id_ in enumerate(MISPLACED)]
    images = {image["id"]: image for image in content["images"]}
    annotations = [
        *annotations,
        *(fault | {"id": len(annotations) + i} for i, fault in enumerate(faults, 1)),
        *misplaced,
    ]
    return content | {
        "images": [images[a["image_id"]] | {"id": number} for number, a in enumerate(annotations, start=1)],
        "annotations": [a | {"image_id": number} for number, a in enumerate(annotations, start=1)],
    }


def _text_row(cells: Cells, row: int, columns: int, region: Sequence[int] = ()) -> str:
    """Return one row of text labels, shares with three decimals, 2 for what does not apply."""
    x0, y0, x1, y1 = (cells.boxes[row] / SIDE).tolist()
    box = ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)
    attributes = [NOT_APPLICABLE_IN_TEXT if v == UNKNOWN else v for v in cells.attributes[row].tolist()]
    numbers = [cells.codes[row], *(f"{v:.3f}" for v in box), *region, *(attributes if columns > 5 else ())]
    return " ".join(map(str, numbers)) + "\n"


def _write_sparse(subset: _Subset, random: np.random.Generator) -> None:
    """Write 16 columns: in train only the cells in one region around a cell, none at all in every fifth picture."""
    for number, view in enumerate(subset.views, start=1):
        centres = (view.cells.boxes[:, :2] + view.cells.boxes[:, 2:]) / 2
        x, y, width, height = 0, 0, SIDE, SIDE
        if view.split == "train":
            corner = random.permutation(centres)[0] - REGION * random.uniform(0.2, 0.8, 2)
            x, y = (int(v) for v in corner.clip(0, SIDE - REGION))
            width = height = REGION
        region = (x, y, x + width, y + height)
        rows = [row for row, (cx, cy) in enumerate(centres.tolist()) if x < cx < region[2] and y < cy < region[3]]
        if view.split == "train" and number % 5 == 0:
            rows = []
        lines = [_text_row(view.cells, row, 16, region) for row in rows]
        _write(subset.folder / "labels" / view.split / f"{view.name}.txt", "".join(lines).encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _link(source: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, path)
    except OSError:
        shutil.copy(source, path)
