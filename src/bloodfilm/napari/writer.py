"""Shapes layers to COCO and CSV files, attributes included."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bloodfilm.cells import Field
from bloodfilm.errors import UserError
from bloodfilm.io.coco import write_coco
from bloodfilm.io.table import write_csv
from bloodfilm.napari.layers import METADATA_KEY, REGIONS_KEY, layer_cells
from bloodfilm.napari.review import Review


def layer_fields(data: Any, meta: dict[str, Any]) -> list[Field]:
    """Return the cells of a Shapes layer as one Field for each picture of the stack they lie on.

    Raises
    ------
    UserError
        If the layer shows labelled regions, not cells.
    """
    rows = defaultdict(list)
    for row, shape in enumerate(data):
        rows[tuple(int(v) for v in np.rint(np.asarray(shape)[0, :-2]))].append(row)
    features = pd.DataFrame(meta.get("features", {}), index=range(len(data)))
    metadata = meta.get("metadata", {})
    about = metadata.get(METADATA_KEY, {})
    if about.get(REGIONS_KEY):
        raise UserError(f"{meta.get('name')} shows labelled regions: save the layer of the cells, which knows them.")
    pictures = about.get("pictures", {})
    default = {"name": meta.get("name", "picture"), "width": None, "height": None}
    fields = []
    for index in sorted(set(rows) | set(pictures)):
        picture = pictures.get(index, default)
        size = picture["width"] or np.inf, picture["height"] or np.inf
        cells = layer_cells([data[r] for r in rows[index]], features.iloc[rows[index]], metadata, size)
        width, height = (
            picture[side] or int(max(np.ceil(cells.boxes[:, column].max(initial=1)), 1))
            for side, column in (("width", 2), ("height", 3))
        )
        regions = np.array(picture[REGIONS_KEY], np.float32).reshape(-1, 4) if REGIONS_KEY in picture else None
        path = Path(picture["name"])
        fields.append(Field(path, cells, width, height, name=picture["name"], labelled_regions=regions))
    return fields


def write_coco_layer(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write the cells of one Shapes layer as a COCO file."""
    info = meta.get("metadata", {}).get(METADATA_KEY, {}).get("provenance", {})
    with _reviewed(data, meta) as fields:
        write_coco(path, fields, info)
    return [path]


def write_csv_layer(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write the cells of one Shapes layer as a CSV table."""
    with _reviewed(data, meta) as fields:
        write_csv(path, fields)
    return [path]


@contextmanager
def _reviewed(data: Any, meta: dict[str, Any]) -> Iterator[list[Field]]:
    """Give what `layer_fields` returns, the last edits among it; once it is written, these need no journal."""
    review = Review.of_metadata(meta.get("metadata", {}))
    if review is not None:
        review.sync()
        data, meta = review.layer.data, meta | {"features": review.layer.features}
    yield layer_fields(data, meta)
    if review is not None:
        review.saved()
