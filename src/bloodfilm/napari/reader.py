"""Labels (LLD's folders, COCO, CSV, GeoJSON, YOLO) with their pictures; never plain pictures."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Container
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from bloodfilm.cells import Cells, Field, concatenate
from bloodfilm.io.formats import named, recognise
from bloodfilm.io.images import find_images, read_image
from bloodfilm.io.lld.dataset import read_lld
from bloodfilm.io.lld.discover import looks_like_lld
from bloodfilm.io.lld.pictures import picture_size
from bloodfilm.io.table import aligned
from bloodfilm.napari.layers import (
    METADATA_KEY,
    ORIGIN,
    PICTURE_ID,
    WITHOUT_PICTURE,
    cells_layer,
    describe,
    new_ids,
    regions_layer,
    to_rectangles,
)
from bloodfilm.vocabulary import NOT_ANNOTATED, Vocabulary

LayerData = tuple[Any, dict[str, Any], str]
Index = tuple[int, ...]


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Return `read_labels` for a file of `FORMATS` or a folder of labels, None for anything else.

    Tables and GeoJSON of other programs are left to other readers.
    """
    paths = [path] if isinstance(path, str) else path
    return read_labels if all(recognise(each) or looks_like_lld(each) for each in paths) else None


def read_labels(path: str | list[str]) -> list[LayerData]:
    """Return an Image layer, a stack where there are several pictures, and Shapes of the cells on it.

    Each subset is a stack; where only parts of its pictures were labelled, further Shapes show which. Pictures
    of different sizes come apart. A warning tells what had to be mended or left out. Tables and GeoJSON whose
    pictures are not there are Shapes alone.
    """
    layers = []
    for each in [path] if isinstance(path, str) else path:
        layers += _read(Path(each))
    return layers


def _read(path: Path) -> list[LayerData]:
    kind = recognise(path)
    info: dict[str, Any] = {}
    if kind in (None, "coco"):
        dataset = read_lld(path)
        info = dataset.parts[0].info if path.is_file() and dataset.parts else {}
        report = dataset.report
        if report.fixed or report.skipped:
            warnings.warn("\n".join([f"{path}:", *report.fixed, *report.skipped]), stacklevel=3)
        listed = [
            (part.subset if path.is_dir() else path.stem, field) for part in dataset.parts for field in part.fields
        ]
    else:
        listed, report = [(path.stem, field) for field in named(kind).read(path)], ""
    groups: dict[tuple[str, int, int, Vocabulary], list[Field]] = defaultdict(list)
    for name, field in listed:
        size = (field.height, field.width) if field.path.is_file() else (0, 0)
        groups[name, *size, field.cells.vocabulary].append(field)
    same_name = Counter(name for name, *_ in groups)
    layers = []
    for (name, height, width, _), group in groups.items():
        title = name if same_name[name] == 1 or not height else f"{name} {width} x {height}"
        layers += _stack(group, title, (height, width), str(report), path, info)
    return layers


def _stack(
    group: list[Field], name: str, size: tuple[int, int], report: str, path: Path, info: dict[str, Any]
) -> list[LayerData]:
    placed = _placed(group)
    ndim = len(placed[0][0]) + 2
    pictures = {index: describe(field) for index, field in placed}
    (picture_id,) = new_ids(1)
    layers: list[LayerData] = []
    if any(size):
        layers.append(_image(placed, name, size, {"report": report, PICTURE_ID: picture_id}))

    sparse = [(index, field.labelled_regions) for index, field in placed if field.labelled_regions is not None]
    if sparse:
        rectangles = [r for index, regions in sparse for r in to_rectangles(regions, index)]
        layers.append((rectangles, regions_layer(name, ndim, picture_id), "shapes"))

    cells = concatenate(aligned([_with_origin(field) for field in group]))
    source = str(path.absolute())
    metadata = {"pictures": pictures, "source": source, "picture": name, "provenance": info, PICTURE_ID: picture_id}
    metadata[WITHOUT_PICTURE] = not any(size)
    arguments = cells_layer(cells, f"{name} cells", placed[0][0], metadata, NOT_ANNOTATED)
    del arguments["data"]
    rectangles = [r for index, field in placed for r in to_rectangles(field.cells.boxes, index)]
    return [*layers, (rectangles, arguments, "shapes")]


def read_pictures(folder: Path, without: Container[Path] = ()) -> list[LayerData]:
    """Return the pictures in `folder`, which nobody labelled: an Image layer, or a stack, for each size."""
    groups: dict[tuple[int, int], list[Field]] = defaultdict(list)
    for path in find_images([folder]):
        if path in without:
            continue
        width, height = picture_size(path)
        groups[height, width].append(Field(path, Cells.empty(), width, height, name=path.name))
    layers = []
    for (height, width), group in groups.items():
        title = folder.name if len(groups) == 1 else f"{folder.name} {width} x {height}"
        layers.append(_image(_placed(group), title, (height, width), {"report": ""}))
    return layers


def _placed(group: list[Field]) -> list[tuple[Index, Field]]:
    """Return fields with their places in a stack; a single one is no stack."""
    return [((i,), field) for i, field in enumerate(group)] if len(group) > 1 else [((), group[0])]


def _image(placed: list[tuple[Index, Field]], name: str, size: tuple[int, int], told: dict[str, str]) -> LayerData:
    pictures = {index: describe(field) for index, field in placed}
    about = {METADATA_KEY: {"pictures": pictures, **told}}
    picture = _lazy([field.path for _, field in placed], size)
    return picture, {"name": name, "rgb": True, "metadata": about}, "image"


def _with_origin(field: Field) -> Cells:
    """Return the cells with columns that say which patient and field they come from."""
    told = asdict(field.origin) if field.origin else {}
    origin = {name: np.full(len(field.cells), told[name]) for name in ORIGIN if told}
    return replace(field.cells, extra=field.cells.extra | origin)


def _lazy(paths: list[Path], size: tuple[int, int]) -> Any:
    """Return the pictures as a stack (N, H, W, 3) that reads each when shown, or one picture (H, W, 3)."""
    if len(paths) == 1:
        return read_image(paths[0])
    import dask.array as da

    numbers = da.arange(len(paths), chunks=1)[:, None, None, None]
    chunks = ((1,) * len(paths), size[:1], size[1:], (3,))
    empty = np.empty((0, 0, 0, 0), np.uint8)
    return da.map_blocks(lambda number: read_image(paths[number.item()])[None], numbers, chunks=chunks, meta=empty)
