"""Labels (LLD's json and other COCO files) with the pictures beside them; never plain pictures."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bloodfilm.cells import Field, concatenate
from bloodfilm.errors import LabelError
from bloodfilm.io.coco import looks_like_coco, read_coco
from bloodfilm.io.images import read_image
from bloodfilm.napari.layers import METADATA_KEY, cells_layer, to_rectangles
from bloodfilm.vocabulary import NOT_ANNOTATED

LayerData = tuple[Any, dict[str, Any], str]


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Return `read_labels` for a COCO file, None for anything else."""
    paths = [path] if isinstance(path, str) else path
    return read_labels if all(looks_like_coco(each) for each in paths) else None


def read_labels(path: str | list[str]) -> list[LayerData]:
    """Return an Image layer, a stack where there are several pictures, and a Shapes layer of the cells on it.

    Pictures of different sizes come as one pair of layers for each size.
    """
    layers = []
    for each in [path] if isinstance(path, str) else path:
        layers += _read_file(Path(each))
    return layers


def _read_file(path: Path) -> list[LayerData]:
    found: dict[tuple[int, int], list[Field]] = defaultdict(list)
    missing = []
    for field in read_coco(path):
        if field.path.is_file():
            found[field.height, field.width].append(field)
        else:
            missing.append(field.name)
    if missing and not found:
        raise LabelError(f"{path}: none of its {len(missing)} pictures is beside it, for instance {missing[0]}.")
    if missing:
        warnings.warn(f"{path}: {len(missing)} pictures are missing, for instance {missing[0]}.", stacklevel=2)
    layers = []
    for (height, width), group in found.items():
        name = path.stem if len(found) == 1 else f"{path.stem} {width} x {height}"
        layers += _stack(group, name, (height, width))
    return layers


def _stack(group: list[Field], name: str, size: tuple[int, int]) -> list[LayerData]:
    indices: list[tuple[int, ...]] = [(i,) for i in range(len(group))] if len(group) > 1 else [()]
    cells = concatenate(field.cells for field in group)
    placed = list(zip(indices, group, strict=True))
    rectangles = [r for index, field in placed for r in to_rectangles(field.cells.boxes, index)]
    pictures = {index: {"name": field.name, "width": field.width, "height": field.height} for index, field in placed}
    arguments = cells_layer(cells, f"{name} cells", indices[0], {"pictures": pictures}, NOT_ANNOTATED)
    del arguments["data"]
    image = _lazy([field.path for field in group], size)
    metadata = {METADATA_KEY: {"pictures": pictures}}
    return [(image, {"name": name, "rgb": True, "metadata": metadata}, "image"), (rectangles, arguments, "shapes")]


def _lazy(paths: list[Path], size: tuple[int, int]) -> Any:
    """Return the pictures as a stack (N, H, W, 3) that reads each when shown, or one picture (H, W, 3)."""
    if len(paths) == 1:
        return read_image(paths[0])
    import dask
    import dask.array as da

    read = dask.delayed(read_image, pure=True)
    return da.stack([da.from_delayed(read(path), (*size, 3), np.uint8) for path in paths])
