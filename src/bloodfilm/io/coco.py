"""COCO files with attributes: read to Fields, written from Cells."""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic import Field as Entry

from bloodfilm.cells import Cells, Field
from bloodfilm.errors import LabelError
from bloodfilm.io.entry import (
    ImageEntry,
    bboxes,
    columns,
    corners,
    decimals,
    image_entry,
    invalid,
    plain,
    shared_vocabulary,
)
from bloodfilm.io.files import read_labels, replacing
from bloodfilm.io.lld.attributes import lld_words
from bloodfilm.io.lld.listing import Listed
from bloodfilm.io.lld.names import split_named, tidy
from bloodfilm.io.lld.pictures import Pictures, find_all, picture_folders
from bloodfilm.io.merge import merge_pictures
from bloodfilm.io.sizes import fitted
from bloodfilm.vocabulary import AUXILIARY, LLD, UNKNOWN, UNKNOWN_CLASS, Vocabulary, auxiliary_kind, normalise

Boxes = npt.NDArray[np.float32]
Score = Annotated[float, Entry(ge=0, le=1)]

UNTYPED = {UNKNOWN_CLASS, "white blood cell", "wbc", "cell", "leukocyte", ""}
"""Names that say of a cell no more than that it is one."""


class _Image(ImageEntry):
    id: int | str
    not_exhaustive_category_ids: list[int] = []


class _Annotation(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: int | str | None = None
    image_id: int | str
    bbox: tuple[float, float, float, float]
    category_id: int | None = None
    category_name: str | None = None
    score: Score = 1.0
    class_score: Score | None = None
    iscrowd: int = 0
    attributes: dict[str, Any] = {}
    attribute_scores: dict[str, Score] = {}
    extra: dict[str, Any] = {}


class _Category(BaseModel):
    id: int
    name: str


class CocoFile(BaseModel):
    info: Annotated[dict[str, Any], BeforeValidator(lambda info: info if isinstance(info, dict) else {})] = {}
    images: list[_Image]
    annotations: list[_Annotation] = []
    categories: list[_Category] = []
    vocabulary: Vocabulary | None = None


def read_coco(path: str | Path, vocabulary: Vocabulary | None = LLD) -> list[Field]:
    """Read a COCO file, LLD's own among them; its pictures are where it says, beside it or in LLD's folders.

    Classes go by name, never by id; names that `vocabulary` lacks become `UNKNOWN`, with a warning. Boxes are cut at
    the picture's edge; those without area inside it are left out, with a warning. Where a picture has another size than
    the file says, what is said of it is scaled, with a warning; in another folder than its name says, it is another
    picture then, and the one that is meant counts as missing. ``iscrowd`` marks cells that are ignored, and of red
    cells and platelets that the picture does not have all of them boxed. A picture that is listed again and again is
    one field. With None for `vocabulary` it is the file's own, LLD's if it says none.

    Red cells and platelets go to `Field.auxiliary`. A file that has such a category is taken to label all of
    them, but for the pictures that list it under LVIS's ``not_exhaustive_category_ids``.

    Raises
    ------
    LabelError
        If the file is no COCO file, or a box is not finite.
    """
    path = Path(path)
    content = parse_coco(path)
    return to_fields(content, path, pictures_of(content, path).find, vocabulary or content.vocabulary or LLD)


def pictures_of(content: CocoFile, path: Path, first: Path | None = None) -> Pictures:
    """Return the pictures in the folder `first`, where ``info.pictures`` says, and beside the file at `path`."""
    told = [path.parent / str(folder) for folder in [content.info.get("pictures")] if folder]
    folders = [*([first] if first else []), *told, *picture_folders(path.parent, split_named(path.name))]
    return Pictures(folder for folder in folders if folder.is_dir())


def to_fields(
    content: CocoFile, path: Path, find: Callable[[str], Path | None], vocabulary: Vocabulary = LLD
) -> list[Field]:
    """Return what `read_coco` does for a file at `path` that has been parsed; `find` knows where pictures are."""
    _check_ids(path, content)
    names: dict[int | None, str] = {category.id: category.name for category in content.categories}
    for annotation in content.annotations:
        annotation.category_name = names.get(annotation.category_id, annotation.category_name or "")
    lost = {a.image_id for a in content.annotations} - {image.id for image in content.images}
    if lost:
        raise LabelError(f"{path}: annotations belong to image {min(lost, key=str)}, which is not in images[].")
    found = find_all((image.file_name for image in content.images), find)
    pictures = _fit(path, content, found)
    by_image = defaultdict(list)
    for annotation, box, inside in zip(content.annotations, *_boxes(path, content), strict=True):
        if inside:
            by_image[annotation.image_id].append((annotation, box))
    _tell_unknown_names(path, content, vocabulary)
    others = {c.id: kind for c in content.categories if (kind := auxiliary(c.name, vocabulary))}
    unread: list[str] = []
    fields = merge_pictures(
        _field(
            pictures[image.id] or path.parent / image.file_name,
            image,
            by_image.pop(image.id, []),
            others,
            vocabulary,
            unread,
        )
        for image in content.images
    )
    if unread:
        message = f"{path}: {len(unread)} values of attributes mean nothing and count as unknown, such as {unread[0]}."
        warnings.warn(message, stacklevel=2)
    return fields


def _fit(path: Path, content: CocoFile, found: Mapping[str, Path | None]) -> dict[int | str, Path | None]:
    """Scale what is said of pictures that have another size; return those that are there, by their ids."""
    listed = [(Listed(image.file_name, image.width, image.height), found[image.file_name]) for image in content.images]
    pictures: dict[int | str, Path | None] = {}
    factors: dict[int | str, tuple[float, float]] = {}
    for image, (real, picture) in zip(content.images, fitted(path, listed), strict=True):
        pictures[image.id], factors[image.id] = picture, image.resize(real.width, real.height)
    for annotation in content.annotations:
        (fx, fy), (x, y, w, h) = factors[annotation.image_id], annotation.bbox
        annotation.bbox = x * fx, y * fy, w * fx, h * fy
    return pictures


def _check_ids(path: Path, content: CocoFile) -> None:
    """Raise `LabelError` if two categories, or two pictures, have one id."""
    names: dict[int, str] = {}
    for category in content.categories:
        if names.setdefault(category.id, category.name) != category.name:
            raise LabelError(f"{path}: the category {category.id} is called {names[category.id]} and {category.name}.")
    pictures: dict[Any, str] = {}
    for row, image in enumerate(content.images):
        first = pictures.setdefault(image.id, image.file_name)
        if tidy(first) != tidy(image.file_name):
            raise LabelError(f"{path}: images.{row}: {image.file_name} has the id of {first}, {image.id}.")


def auxiliary(name: str, vocabulary: Vocabulary) -> str:
    """Return which red cell or platelet `name` means, "" for none and for a type of `vocabulary`."""
    return (auxiliary_kind(name) or "") if vocabulary.class_code(name) == UNKNOWN else ""


def parse_coco(path: Traversable) -> CocoFile:
    """Return the content of a COCO file, which may lie in a zip.

    Raises
    ------
    LabelError
        If it is none or cannot be read.
    """
    try:
        return CocoFile.model_validate_json(read_labels(path))
    except ValidationError as error:
        raise invalid(path, error) from None


def _boxes(path: Path, content: CocoFile) -> tuple[Boxes, npt.NDArray[np.bool_]]:
    """Return the boxes (N, 4) as x0, y0, x1, y1, cut at the picture's edge, and which of them have area left."""
    images = {image.id: image for image in content.images}
    boxes = corners([a.bbox for a in content.annotations])
    finite = np.isfinite(boxes).all(1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise LabelError(f"{path}: annotations.{row}: the box {list(content.annotations[row].bbox)} is not finite.")
    sides = [(images[a.image_id].width, images[a.image_id].height) for a in content.annotations]
    cut: Boxes = np.clip(boxes, 0, np.array(sides, float).reshape(-1, 2)[:, [0, 1, 0, 1]]).astype(np.float32)
    inside = np.asarray((cut[:, :2] < cut[:, 2:]).all(1))
    if not inside.all():
        row = int(np.argmin(inside))
        annotation = content.annotations[row]
        warnings.warn(
            f"{path}: {(~inside).sum()} boxes have no area inside their picture and are left out, the first is "
            f"annotations.{row}, {list(annotation.bbox)} on {images[annotation.image_id].file_name}.",
            stacklevel=3,
        )
    return cut, inside


def _tell_unknown_names(path: Path, content: CocoFile, vocabulary: Vocabulary) -> None:
    names = {a.category_name or "" for a in content.annotations if not a.iscrowd}
    names = {name for name in names if normalise(name) not in UNTYPED and not auxiliary_kind(name)}
    lacking = sorted(name for name in names if vocabulary.class_code(name) == UNKNOWN)
    if lacking:
        message = f"{path}: no class is called {', '.join(lacking)}; such cells count as of unknown type."
        warnings.warn(message, stacklevel=3)


def _field(
    picture: Path,
    image: _Image,
    annotations: list[tuple[_Annotation, Boxes]],
    others: dict[int, str],
    vocabulary: Vocabulary,
    unread: list[str],
) -> Field:
    """Return a field; values of attributes that cannot be read go to `unread`."""
    boxes = np.array([box for _, box in annotations], np.float32).reshape(-1, 4)
    crowd = np.array([a.iscrowd for a, _ in annotations], bool)
    kind = np.array([auxiliary(a.category_name or "", vocabulary) for a, _ in annotations], object)
    white = (kind == "") & ~crowd
    kept = [a for (a, _), ours in zip(annotations, white, strict=True) if ours]
    words = []
    for each in kept:
        values, wrong = lld_words(each.attributes or each.model_extra or {}, vocabulary, each.category_name or "")
        words.append(values)
        unread += wrong
    codes = [vocabulary.class_code(k.category_name or "") for k in kept]
    scores = [[a.attribute_scores.get(name, np.nan) for name in vocabulary.attribute_names] for a in kept]
    a = len(vocabulary.attributes)
    cells = Cells(
        boxes[white],
        codes=np.array(codes, np.int16),
        scores=np.array([k.score for k in kept], np.float32),
        class_scores=np.array([np.nan if k.class_score is None else k.class_score for k in kept], np.float32),
        attributes=np.array(words, np.int16).reshape(len(kept), a),
        attribute_scores=np.array(scores, np.float32).reshape(len(kept), a),
        vocabulary=vocabulary,
        extra=columns([k.extra for k in kept]),
    )
    open_kinds = {others[id_] for id_ in image.not_exhaustive_category_ids if id_ in others} | {*kind[crowd]}
    return image.to_field(
        picture,
        cells,
        ignored=boxes[crowd & (kind == "")],
        auxiliary={name: boxes[(kind == name) & ~crowd] for name in set(others.values())},
        complete=frozenset(others.values()) - open_kinds,
    )


def write_coco(path: str | Path, fields: Iterable[Field], info: dict[str, Any] | None = None) -> None:
    """Write `fields` as one COCO file; `info` holds the provenance.

    Raises
    ------
    UserError
        If their cells have several vocabularies.
    """
    content = coco_content(list(fields), info)
    with replacing(Path(path)) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def coco_content(fields: Sequence[Field], info: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what `write_coco` writes."""
    vocabulary = shared_vocabulary(fields)
    others = [name for name in AUXILIARY if any(name in field.auxiliary or name in field.complete for field in fields)]
    names = (*vocabulary.classes, UNKNOWN_CLASS, *others)
    categories = [{"id": i, "name": name} for i, name in enumerate(names, start=1)]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, field in enumerate(fields, start=1):
        images.append({"id": image_id} | image_entry(field))
        if open_kinds := [i for i, name in enumerate(names, start=1) if name in others and name not in field.complete]:
            images[-1]["not_exhaustive_category_ids"] = open_kinds
        found = _annotations(field.cells, len(vocabulary.classes))
        found += _unnamed(field.ignored, len(vocabulary.classes), 1)
        for name in others:
            found += _unnamed(field.auxiliary.get(name, np.empty((0, 4), np.float32)), names.index(name), 0)
        annotations += [{"id": len(annotations) + n, "image_id": image_id} | a for n, a in enumerate(found, start=1)]
    return {
        "info": info or {},
        "images": images,
        "annotations": annotations,
        "categories": categories,
        "vocabulary": vocabulary.to_dict(),
    }


def _boxed(boxes: Boxes) -> list[dict[str, Any]]:
    return [{"bbox": box, "area": round(box[2] * box[3], 2)} for box in bboxes(boxes)]


def _unnamed(boxes: Boxes, place: int, crowd: int) -> list[dict[str, Any]]:
    """Return annotations of the category at `place` that are no more than a box."""
    return [{"category_id": place + 1, "iscrowd": crowd} | box for box in _boxed(boxes)]


def _annotations(cells: Cells, untyped: int) -> list[dict[str, Any]]:
    """Return an annotation for each cell; the category at the place `untyped` is the unknown type."""
    annotations = []
    names = cells.vocabulary.attribute_names
    scores, class_scores = decimals(cells.scores).tolist(), decimals(cells.class_scores)
    attribute_scores = decimals(cells.attribute_scores)
    extra = {name: plain(column) for name, column in cells.extra.items()}
    for row, box in enumerate(_boxed(cells.boxes)):
        code, known = int(cells.codes[row]), np.isfinite(attribute_scores[row])
        words = zip(cells.vocabulary.attributes, cells.attributes[row].tolist(), strict=True)
        annotation = box | {
            "category_id": (untyped if code == UNKNOWN else code) + 1,
            "iscrowd": 0,
            "score": scores[row],
            "attributes": {attribute.name: attribute.values[value] for attribute, value in words if value != UNKNOWN},
            "attribute_scores": {names[a]: float(attribute_scores[row, a]) for a in np.flatnonzero(known)},
        }
        if np.isfinite(class_scores[row]):
            annotation["class_score"] = float(class_scores[row])
        if extra:
            annotation["extra"] = {name: values[row] for name, values in extra.items()}
        annotations.append(annotation)
    return annotations


def looks_like_coco(path: str | Path) -> bool:
    """Tell if `path` is a JSON file with the lists of a COCO file, whatever is in them."""
    path = Path(path)
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(content, dict) and {"images", "annotations", "categories"} <= set(content)
