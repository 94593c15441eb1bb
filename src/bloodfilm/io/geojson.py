"""GeoJSON as QuPath exports and imports it: one file a picture, a rectangle a cell.

What QuPath 0.4 to 0.6 read and write: a FeatureCollection (or a bare list) of features whose ``id`` is a UUID;
``properties.objectType`` is "annotation" (may be edited) or "detection"; ``classification`` has ``name`` (or ``names``)
and ``color``; ``measurements`` maps names to numbers (before 0.4 a list of name and value); ``metadata`` maps names to
words (since 0.5); an ellipse is a polygon with ``isEllipse``; coordinates are pixels of the full image.
Sources: https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html,
https://github.com/qupath/qupath/pull/1099 and QuPath's ``qupath.lib.io.QuPathTypeAdapters``.

Scores are measurements, attributes and other words metadata, so that QuPath keeps and shows them. Ignored cells have
QuPath's class ``Ignore*``, labelled regions its ``Region*``. What belongs to the picture stands in a member
``bloodfilm`` beside ``features``, which QuPath passes over and does not write again.
"""

from __future__ import annotations

import json
import uuid
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from pydantic import BaseModel, Discriminator, FiniteFloat, Tag, ValidationError, model_validator
from pydantic import Field as Entry

from bloodfilm.cells import Cells, Field
from bloodfilm.errors import LabelError, UserError
from bloodfilm.io.entry import ImageEntry, columns, decimals, image_entry, invalid, label_files, name_of, plain, within
from bloodfilm.io.files import files_below, read_labels, replacing, replacing_folder
from bloodfilm.io.lld.listing import Listed
from bloodfilm.io.lld.pictures import Pictures, pictures_beside
from bloodfilm.io.polygons import rectangles
from bloodfilm.io.sizes import fitted
from bloodfilm.io.table import sized_fields, vocabulary_of
from bloodfilm.palette import colours
from bloodfilm.vocabulary import AUXILIARY, NOT_PREDICTED, UNKNOWN, UNKNOWN_CLASS, Vocabulary, auxiliary_kind

SUFFIX = ".geojson"
IGNORED, REGION = "Ignore*", "Region*"
NO_CELLS = {"root", "tmaCore", "PathRootObject", "TMACoreObject"}

Boxes = npt.NDArray[np.float32]
Point = Annotated[list[FiniteFloat], Entry(min_length=2)]
Ring = Annotated[list[Point], Entry(min_length=1)]


class _Polygon(BaseModel):
    type: Literal["Polygon"]
    coordinates: Annotated[list[Ring], Entry(min_length=1)]

    @property
    def polygons(self) -> list[list[Ring]]:
        """Outline, then holes, of each part."""
        return [self.coordinates]


class _MultiPolygon(BaseModel):
    type: Literal["MultiPolygon"]
    coordinates: Annotated[list[Annotated[list[Ring], Entry(min_length=1)]], Entry(min_length=1)]

    @property
    def polygons(self) -> list[list[Ring]]:
        return self.coordinates


class _Flat(BaseModel):
    """Points and lines, which hold no cell."""

    polygons: list[list[Ring]] = []


def _geometry_type(geometry: Any) -> str:
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    return kind if kind in ("Polygon", "MultiPolygon") else "other"


class _Class(BaseModel):
    name: str | None = None
    names: list[str] = []

    def __str__(self) -> str:
        return self.name or ": ".join(self.names)


class _Measurement(BaseModel):
    name: str
    value: float | None = None


class _Properties(BaseModel):
    objectType: str | None = None
    classification: _Class | str | None = None
    measurements: dict[str, float | None] | list[_Measurement] = {}
    metadata: dict[str, bool | int | float | str | None] = {}
    childObjects: list[_Feature] = []


class _Feature(BaseModel):
    geometry: Annotated[
        Annotated[_Polygon, Tag("Polygon")]
        | Annotated[_MultiPolygon, Tag("MultiPolygon")]
        | Annotated[_Flat | None, Tag("other")],
        Discriminator(_geometry_type),
    ]
    properties: _Properties | None = None

    def all(self) -> Iterator[_Feature]:
        """Yield the feature and those inside it."""
        yield self
        for child in self.told.childObjects:
            yield from child.all()

    @property
    def told(self) -> _Properties:
        return self.properties or _Properties()

    @property
    def polygons(self) -> list[list[Ring]]:
        return self.geometry.polygons if self.geometry else []

    @property
    def class_name(self) -> str:
        return str(self.told.classification or "")

    @property
    def columns(self) -> dict[str, Any]:
        """What the feature says in a table of cells."""
        measured = self.told.measurements
        if isinstance(measured, list):
            measured = {each.name: each.value for each in measured}
        return {"class": self.class_name or UNKNOWN_CLASS, **measured, **self.told.metadata}


class _Entry(ImageEntry):
    vocabulary: Vocabulary | None = None
    complete: frozenset[str] = frozenset()


class _Collection(BaseModel):
    features: list[_Feature]
    bloodfilm: _Entry | None = None

    @model_validator(mode="before")
    @classmethod
    def _wrap(cls, content: Any) -> Any:
        """Take a bare list of features, or a single one, for a collection."""
        if isinstance(content, list):
            return {"features": content}
        return {"features": [content]} if isinstance(content, dict) and content.get("type") == "Feature" else content


def read_geojson(path: str | Path) -> list[Field]:
    """Read a file of `write_geojson` or of QuPath's own, or all in and below a folder: a field a file.

    Polygons become the rectangles that hold them, those of labelled regions the rectangles that make them up, see
    `bloodfilm.io.polygons`; points, lines and holes in regions are left out, with a warning. A feature without a class
    is a cell of unknown type, one without ``score`` has the score 1. Without the member ``bloodfilm`` the picture is
    the one of the file's name beside it, and the vocabulary `bloodfilm.io.table.vocabulary_of` the words; a picture of
    another size than this member says is treated as by `bloodfilm.io.coco.read_coco`.

    Raises
    ------
    LabelError
        If a file is no GeoJSON, a coordinate is not finite, or a score not from 0 to 1.
    """
    path = Path(path)
    files = sorted(files_below(path, f"*{SUFFIX}")) if path.is_dir() else [path]
    if not files:
        raise LabelError(f"{path}: there is no {SUFFIX} file in it.")
    places = {place: pictures_beside(place) for place in {file.parent for file in files}}
    return [_read(file, places[file.parent]) for file in files]


def _read(path: Path, pictures: Pictures) -> Field:
    try:
        content = _Collection.model_validate_json(read_labels(path))
    except ValidationError as error:
        raise invalid(path, error) from None
    features = [each for top in content.features for each in top.all() if each.told.objectType not in NO_CELLS]
    entry = content.bloodfilm
    picture, factors = _fit(path, entry, pictures) if entry else (None, (1, 1, 1, 1))
    boxes = np.array([_bounds(each) for each in features], float).reshape(-1, 4)
    with np.errstate(over="ignore"):
        boxes = (boxes * factors).astype(np.float32)
    solid = np.isfinite(boxes).all(1) & (boxes[:, :2] < boxes[:, 2:]).all(1)
    if not solid.all():
        warnings.warn(f"{path}: {(~solid).sum()} features without area, points or lines, are left out.", stacklevel=3)
    own = entry.vocabulary if entry else None
    kinds = np.array([_kind(each.class_name, own) for each in features], object)
    rows = [each.columns for each in compress(features, solid & (kinds == ""))]
    cells = _cells(path, boxes[solid & (kinds == "")], pd.DataFrame(columns(rows), index=range(len(rows))), entry)
    others = {kind: boxes[solid & (kinds == kind)] for kind in {*kinds}}
    if REGION in others:
        regions = _regions(path, list(compress(features, solid & (kinds == REGION))))
        others[REGION] = np.asarray(regions * factors, np.float32)
    return _field(path, pictures, picture, entry, cells, others)


def _fit(path: Path, entry: _Entry, pictures: Pictures) -> tuple[Path | None, tuple[float, ...]]:
    """Return the picture of `entry`, which gets its size, and by how much x0, y0, x1, y1 on it are scaled."""
    listed = Listed(entry.file_name, entry.width, entry.height)
    ((real, picture),) = fitted(path, [(listed, pictures.find(entry.file_name))])
    return picture, entry.resize(real.width, real.height) * 2


def _bounds(feature: _Feature) -> tuple[float, float, float, float]:
    points = [point for polygon in feature.polygons for point in polygon[0]]
    x, y = [point[0] for point in points], [point[1] for point in points]
    return (min(x), min(y), max(x), max(y)) if points else (0, 0, 0, 0)


def _regions(path: Path, features: Sequence[_Feature]) -> Boxes:
    """Return the rectangles (R, 4) that make up labelled regions, one for a region that is a rectangle itself."""
    polygons = [polygon for each in features for polygon in each.polygons]
    if holes := sum(len(polygon) > 1 for polygon in polygons):
        warnings.warn(f"{path}: labelled regions with holes, which count as labelled, too: {holes}.", stacklevel=4)
    parts = [_rectangles(np.array([point[:2] for point in polygon[0]], float)) for polygon in polygons]
    return np.concatenate([np.empty((0, 4)), *parts]).astype(np.float32)


def _rectangles(outline: npt.NDArray[np.float64]) -> npt.NDArray[np.float32] | npt.NDArray[np.float64]:
    low, high = outline.min(0), outline.max(0)
    straight = (np.diff(outline, axis=0) == 0).any(1).all() and len(np.unique(outline, axis=0)) == 4
    if straight and ((outline == low) | (outline == high)).all():
        return np.concatenate([low, high])[None]
    return rectangles(outline.ravel().tolist())


def _kind(name: str, vocabulary: Vocabulary | None) -> str:
    """Return "" for a white cell, else which of `IGNORED`, `REGION` and `AUXILIARY` a class means."""
    if vocabulary and vocabulary.class_code(name) != UNKNOWN:
        return ""
    return name if name in (IGNORED, REGION) else auxiliary_kind(name) or ""


def _cells(path: Path, boxes: Boxes, frame: pd.DataFrame, entry: _Entry | None) -> Cells:
    if entry and entry.scale:
        frame = frame.drop(columns="diameter_um", errors="ignore")
    try:
        vocabulary = (entry and entry.vocabulary) or vocabulary_of(frame)
        words = [name for name in vocabulary.attribute_names if name in frame]
        frame = frame.assign(**{name: frame[name].astype(object).fillna(NOT_PREDICTED) for name in words})
        return Cells.from_frame(boxes, frame, vocabulary)
    except (ValueError, TypeError, OverflowError) as error:
        raise LabelError(f"{path}: {error}") from None


def _field(
    path: Path,
    pictures: Pictures,
    picture: Path | None,
    entry: _Entry | None,
    cells: Cells,
    others: dict[str, Boxes],
) -> Field:
    if entry:
        (field,) = within(path, [entry.to_field(picture or path.parent / entry.file_name, cells)])
    else:
        picture = pictures.find(path.name) or pictures.find(path.stem)
        (field,) = sized_fields(path, pictures, {picture.name if picture else path.stem: cells})
    complete = entry.complete if entry else frozenset()
    none = np.empty((0, 4), np.float32)
    return replace(
        field,
        ignored=others.get(IGNORED, none),
        auxiliary={name: others.get(name, none) for name in AUXILIARY if name in others or name in complete},
        complete=complete,
        labelled_regions=others.get(REGION, field.labelled_regions),
    )


def write_geojson(path: str | Path, fields: Sequence[Field]) -> None:
    """Write one field as one file, or, without ``.geojson`` at the end of `path`, a new folder with a file a picture.

    Raises
    ------
    UserError
        If several fields are to be one file, or two pictures have one name.
    """
    path = Path(path)
    if path.suffix.lower() != SUFFIX:
        with replacing_folder(path) as folder:
            for name, field in zip(label_files(map(name_of, fields), SUFFIX), fields, strict=True):
                _write(folder / name, field)
    elif len(fields) == 1:
        _write(path, fields[0])
    else:
        raise UserError(f"{path}: QuPath has a file for each picture, here are {len(fields)}: give a folder.")


def _write(path: Path, field: Field) -> None:
    entry = image_entry(field) | {"vocabulary": field.cells.vocabulary.to_dict(), "complete": sorted(field.complete)}
    boxes = {IGNORED: field.ignored, REGION: field.labelled_regions} | field.auxiliary
    if field.labelled_regions is not None:
        entry["labelled_regions"] = []
    features = _features(field.cells)
    for name, shown in boxes.items():
        features += [_feature(box, {"classification": _class(name, "")}) for box in _corners(shown)]
    content = {"type": "FeatureCollection", "bloodfilm": entry, "features": features}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def _features(cells: Cells) -> list[dict[str, Any]]:
    shades, frame = colours(cells.vocabulary.classes), cells.to_frame()
    types = [_class(name, shades.get(name, "")) for name in cells.class_names]
    numbers = [n for n, column in frame.items() if is_numeric_dtype(column) and not is_bool_dtype(column)]
    words = [name for name in frame if name not in (*numbers, "class")]
    silent = {name: {None, NOT_PREDICTED} for name in cells.vocabulary.attribute_names}
    told = {name: plain(frame[name].to_numpy()) for name in (*numbers, *words)}
    features = []
    for row, box in enumerate(_corners(cells.boxes)):
        groups = (
            {name: told[name][row] for name in names if told[name][row] not in silent.get(name, {None})}
            for names in (numbers, words)
        )
        properties = dict(zip(("measurements", "metadata"), groups, strict=True))
        known = {"classification": types[row]} if cells.codes[row] != UNKNOWN else {}
        features.append(_feature(box, known | properties, "annotation" if cells.scores[row] == 1 else "detection"))
    return features


def _corners(boxes: Boxes | None) -> list[list[float]]:
    corners: list[list[float]] = [] if boxes is None else decimals(boxes).tolist()
    return corners


def _feature(box: Sequence[float], properties: dict[str, Any], kind: str = "annotation") -> dict[str, Any]:
    x0, y0, x1, y1 = box
    return {
        "type": "Feature",
        "id": str(uuid.uuid4()),
        "geometry": {"type": "Polygon", "coordinates": [[[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]]},
        "properties": {"objectType": kind} | properties,
    }


def _class(name: str, shade: str) -> dict[str, Any]:
    """Return a classification, which QuPath reads with a colour only; grey without one."""
    return {"name": name, "color": list(bytes.fromhex(shade[1:] or "808080"))}


def looks_like_geojson(path: str | Path) -> bool:
    """Tell if `path` is a GeoJSON file of bloodfilm's or QuPath's, or a folder with one."""
    path = Path(path)
    file = next(files_below(path, f"*{SUFFIX}"), None) if path.is_dir() else path
    if file is None or file.suffix.lower() != SUFFIX:
        return False
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    if isinstance(content, dict) and "bloodfilm" in content:
        return True
    features = content.get("features") if isinstance(content, dict) else content
    told = [f.get("properties") for f in features if isinstance(f, dict)] if isinstance(features, list) else []
    return any(isinstance(each, dict) and "objectType" in each for each in told)
