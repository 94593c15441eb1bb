"""COCO files with attributes: read to Fields, written from Cells."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Entry

from bloodfilm.cells import Cells, Field
from bloodfilm.errors import LabelError
from bloodfilm.io.files import replacing
from bloodfilm.io.lld import lld_words
from bloodfilm.vocabulary import AUXILIARY, LLD, UNKNOWN, UNKNOWN_CLASS, Vocabulary, auxiliary_kind


class _Image(BaseModel):
    id: int | str
    file_name: str
    width: int = Entry(gt=0)
    height: int = Entry(gt=0)
    source: str = ""
    not_exhaustive_category_ids: list[int] = []


class _Annotation(BaseModel):
    model_config = ConfigDict(extra="allow")

    image_id: int | str
    bbox: tuple[float, float, float, float]
    category_id: int | None = None
    category_name: str | None = None
    score: float = 1.0
    class_score: float | None = None
    iscrowd: int = 0
    attributes: dict[str, Any] = {}
    attribute_scores: dict[str, float] = {}


class _Category(BaseModel):
    id: int
    name: str


class _File(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation] = []
    categories: list[_Category] = []


def read_coco(path: str | Path, vocabulary: Vocabulary = LLD) -> list[Field]:
    """Read a COCO file, LLD's own among them, with the pictures' paths as they stand beside it.

    Classes go by name, never by id; names that `vocabulary` lacks become `UNKNOWN`. Boxes are cut at the
    picture's edge. ``iscrowd`` marks cells that are ignored.

    Red cells and platelets go to `Field.auxiliary`. A file that has such a category is taken to label all of
    them, but for the pictures that list it under LVIS's ``not_exhaustive_category_ids``.

    Raises
    ------
    LabelError
        If the file is no COCO file, or a box lies outside its picture.
    """
    path = Path(path)
    content = _parse(path)
    names: dict[int | None, str] = {category.id: category.name for category in content.categories}
    by_image = defaultdict(list)
    for row, annotation in enumerate(content.annotations):
        by_image[annotation.image_id].append((row, annotation))
    lost = set(by_image) - {image.id for image in content.images}
    if lost:
        raise LabelError(f"{path}: annotations belong to image {min(lost, key=str)}, which is not in images[].")
    return [_field(path, image, by_image[image.id], names, vocabulary) for image in content.images]


def _parse(path: Path) -> _File:
    try:
        return _File.model_validate_json(path.read_bytes())
    except OSError as error:
        raise LabelError(f"{path}: {error.strerror}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "top"
        raise LabelError(f"{path}: {place}: {first['msg']} ({error.error_count()} such problems).") from None


def _field(
    path: Path,
    image: _Image,
    annotations: list[tuple[int, _Annotation]],
    names: dict[int | None, str],
    vocabulary: Vocabulary,
) -> Field:
    size = np.array([image.width, image.height] * 2, np.float32)
    boxes = np.array([a.bbox for _, a in annotations], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    boxes = np.clip(boxes, 0, size)
    for (row, annotation), box in zip(annotations, boxes, strict=True):
        if not (np.isfinite(box).all() and box[0] < box[2] and box[1] < box[3]):
            raise LabelError(
                f"{path}: annotations.{row}: the box {list(annotation.bbox)} has no area inside "
                f"{image.file_name} ({image.width} x {image.height} px)."
            )
    kinds = {id_: kind for id_, name in names.items() if (kind := auxiliary_kind(name))}
    kind = np.array([kinds.get(a.category_id, "") for _, a in annotations], object)
    crowd = np.array([a.iscrowd for _, a in annotations], bool)
    white = (kind == "") & ~crowd
    kept = [a for (_, a), ours in zip(annotations, white, strict=True) if ours]
    words = [lld_words(a.attributes or a.model_extra or {}, vocabulary) for a in kept]
    codes = [vocabulary.class_code(names.get(k.category_id, k.category_name or "")) for k in kept]
    scores = [[a.attribute_scores.get(name, np.nan) for name in vocabulary.attribute_names] for a in kept]
    a = len(vocabulary.attributes)
    cells = Cells(
        boxes[white],
        codes=np.array(codes, np.int16),
        scores=np.array([k.score for k in kept], np.float32),
        class_scores=np.array([np.nan if k.class_score is None else k.class_score for k in kept], np.float32),
        attributes=np.array(words, np.int16).reshape(-1, a),
        attribute_scores=np.array(scores, np.float32).reshape(-1, a),
        vocabulary=vocabulary,
    )
    return Field(
        path.parent / image.file_name,
        cells,
        image.width,
        image.height,
        boxes[crowd & (kind == "")],
        image.source,
        image.file_name,
        {name: boxes[(kind == name) & ~crowd] for name in set(kinds.values())},
        frozenset(kinds.values()) - {kinds.get(id_, "") for id_ in image.not_exhaustive_category_ids},
    )


def write_coco(path: str | Path, fields: Iterable[Field], info: dict[str, Any] | None = None) -> None:
    """Write `fields` as one COCO file; `info` holds the provenance."""
    fields = list(fields)
    vocabulary = fields[0].cells.vocabulary if fields else LLD
    others = [name for name in AUXILIARY if any(name in field.auxiliary for field in fields)]
    names = (*vocabulary.classes, UNKNOWN_CLASS, *others)
    categories = [{"id": i, "name": name} for i, name in enumerate(names, start=1)]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, field in enumerate(fields, start=1):
        name = field.name or str(field.path)
        images.append({"id": image_id, "file_name": name, "width": field.width, "height": field.height})
        if field.source:
            images[-1]["source"] = field.source
        if open_kinds := [i for i, name in enumerate(names, start=1) if name in others and name not in field.complete]:
            images[-1]["not_exhaustive_category_ids"] = open_kinds
        for row in range(len(field.cells)):
            annotations.append({"id": len(annotations) + 1, "image_id": image_id} | _annotation(field.cells, row))
        unnamed = [(len(vocabulary.classes), 1, box) for box in field.ignored]
        unnamed += [(names.index(name), 0, box) for name in others for box in field.auxiliary.get(name, ())]
        for place, crowd, box in unnamed:
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image_id, "category_id": place + 1, "iscrowd": crowd}
                | _box(box)
            )
    content = {"info": info or {}, "images": images, "annotations": annotations, "categories": categories}
    with replacing(Path(path)) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _box(box: Any) -> dict[str, Any]:
    x0, y0, x1, y1 = (round(float(v), 4) for v in box)
    return {"bbox": [x0, y0, round(x1 - x0, 4), round(y1 - y0, 4)], "area": round((x1 - x0) * (y1 - y0), 2)}


def _annotation(cells: Cells, row: int) -> dict[str, Any]:
    code = int(cells.codes[row])
    vocabulary = cells.vocabulary
    annotation = _box(cells.boxes[row]) | {
        "category_id": (len(vocabulary.classes) if code == UNKNOWN else code) + 1,
        "iscrowd": 0,
        "score": round(float(cells.scores[row]), 4),
        "attributes": {},
        "attribute_scores": {},
    }
    if np.isfinite(cells.class_scores[row]):
        annotation["class_score"] = round(float(cells.class_scores[row]), 4)
    for column, attribute in enumerate(vocabulary.attributes):
        value, score = int(cells.attributes[row, column]), float(cells.attribute_scores[row, column])
        if value != UNKNOWN:
            annotation["attributes"][attribute.name] = attribute.values[value]
            if np.isfinite(score):
                annotation["attribute_scores"][attribute.name] = round(score, 4)
    return annotation


def looks_like_coco(path: str | Path) -> bool:
    """Tell, without reading labels, if `path` is a JSON file with the lists of a COCO file."""
    path = Path(path)
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(content, dict) and {"images", "annotations", "categories"} <= set(content)
