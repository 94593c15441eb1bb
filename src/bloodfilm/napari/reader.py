"""Labels (LLD's folders and json, other COCO files) with their pictures; never plain pictures."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from bloodfilm.cells import Cells, Field, concatenate
from bloodfilm.io.coco import looks_like_coco
from bloodfilm.io.images import read_image
from bloodfilm.io.lld.dataset import read_lld
from bloodfilm.io.lld.discover import looks_like_lld
from bloodfilm.napari.layers import METADATA_KEY, REGIONS_KEY, cells_layer, to_rectangles
from bloodfilm.vocabulary import NOT_ANNOTATED

LayerData = tuple[Any, dict[str, Any], str]


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Return `read_labels` for a COCO file or a folder of LLD, None for anything else."""
    paths = [path] if isinstance(path, str) else path
    return read_labels if all(looks_like_coco(each) or looks_like_lld(each) for each in paths) else None


def read_labels(path: str | list[str]) -> list[LayerData]:
    """Return an Image layer, a stack where there are several pictures, and Shapes of the cells on it.

    Each subset is a stack; where only parts of its pictures were labelled, further Shapes show which. Pictures
    of different sizes come apart. A warning tells what had to be mended or left out.
    """
    layers = []
    for each in [path] if isinstance(path, str) else path:
        layers += _read(Path(each))
    return layers


def _read(path: Path) -> list[LayerData]:
    dataset = read_lld(path)
    report = dataset.report
    if report.fixed or report.skipped:
        warnings.warn("\n".join([f"{path}:", *report.fixed, *report.skipped]), stacklevel=3)
    groups: dict[tuple[str, int, int], list[Field]] = defaultdict(list)
    for part in dataset.parts:
        for field in part.fields:
            groups[part.subset if path.is_dir() else path.stem, field.height, field.width].append(field)
    sizes = Counter(name for name, _, _ in groups)
    layers = []
    for (name, height, width), group in groups.items():
        title = name if sizes[name] == 1 else f"{name} {width} x {height}"
        layers += _stack(group, title, (height, width), str(report), path)
    return layers


def _stack(group: list[Field], name: str, size: tuple[int, int], report: str, path: Path) -> list[LayerData]:
    indices: list[tuple[int, ...]] = [(i,) for i in range(len(group))] if len(group) > 1 else [()]
    placed = list(zip(indices, group, strict=True))
    pictures = {index: _describe(field) for index, field in placed}
    about = {METADATA_KEY: {"pictures": pictures, "report": report}}
    image = _lazy([field.path for field in group], size)
    layers: list[LayerData] = [(image, {"name": name, "rgb": True, "metadata": about}, "image")]

    sparse = [(index, field.labelled_regions) for index, field in placed if field.labelled_regions is not None]
    if sparse:
        rectangles = [r for index, regions in sparse for r in to_rectangles(regions, index)]
        layers.append((rectangles, _regions(f"{name} labelled regions", len(indices[0]) + 2), "shapes"))

    cells = concatenate(_with_origin(field) for field in group)
    metadata = {"pictures": pictures, "source": str(path), "picture": name}
    arguments = cells_layer(cells, f"{name} cells", indices[0], metadata, NOT_ANNOTATED)
    del arguments["data"]
    rectangles = [r for index, field in placed for r in to_rectangles(field.cells.boxes, index)]
    return [*layers, (rectangles, arguments, "shapes")]


def _describe(field: Field) -> dict[str, Any]:
    told = {"name": field.name, "width": field.width, "height": field.height}
    regions = field.labelled_regions
    return told if regions is None else told | {REGIONS_KEY: regions.tolist()}


def _with_origin(field: Field) -> Cells:
    """Return the cells with columns that say which patient and field they come from."""
    told = asdict(field.origin) if field.origin else {}
    names = ("patient", "field", "magnification", "diagnosis")
    origin = {name: np.full(len(field.cells), told[name]) for name in names if told}
    return replace(field.cells, extra=field.cells.extra | origin)


def _regions(name: str, ndim: int) -> dict[str, Any]:
    return {
        "name": name,
        "ndim": ndim,
        "shape_type": "rectangle",
        "edge_color": "white",
        "edge_width": 2,
        "face_color": "transparent",
        "metadata": {METADATA_KEY: {REGIONS_KEY: True}},
    }


def _lazy(paths: list[Path], size: tuple[int, int]) -> Any:
    """Return the pictures as a stack (N, H, W, 3) that reads each when shown, or one picture (H, W, 3)."""
    if len(paths) == 1:
        return read_image(paths[0])
    import dask.array as da

    numbers = da.arange(len(paths), chunks=1)[:, None, None, None]
    chunks = ((1,) * len(paths), size[:1], size[1:], (3,))
    empty = np.empty((0, 0, 0, 0), np.uint8)
    return da.map_blocks(lambda number: read_image(paths[number.item()])[None], numbers, chunks=chunks, meta=empty)
