"""Shapes layers to files of every format, attributes included."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari.layers
import numpy as np
import pandas as pd
from napari.utils.notifications import show_info

from bloodfilm.cells import Field
from bloodfilm.errors import UserError
from bloodfilm.io.files import way_to
from bloodfilm.io.formats import FORMATS, losses, write_fields
from bloodfilm.napari.layers import (
    FOUND_KEY,
    METADATA_KEY,
    ORIGIN,
    PICTURE_ID,
    REGIONS_KEY,
    by_index,
    labelled_regions,
    layer_cells,
)
from bloodfilm.napari.review import Review

if TYPE_CHECKING:
    from napari.layers import Shapes

WHOLE = ("coco", "csv")
"""Formats that hold all of a review: saving as one of them ends its journal."""


def layer_fields(data: Any, meta: dict[str, Any]) -> list[Field]:
    """Return the cells of a Shapes layer as one Field for each picture of the stack they lie on.

    Raises
    ------
    UserError
        If the layer shows labelled regions, not cells.
    """
    rows = by_index(data)
    features = pd.DataFrame(meta.get("features", {}), index=range(len(data)))
    metadata = meta.get("metadata", {})
    about = metadata.get(METADATA_KEY, {})
    if about.get(REGIONS_KEY):
        raise UserError(f"{meta.get('name')} shows labelled regions: save the layer of the cells, which knows them.")
    pictures, regions = about.get("pictures", {}), _regions_of(about)
    drawn = by_index(regions.data if regions is not None else [])
    whole = "model" not in about.get("provenance", {})
    fields = []
    for index in sorted(set(rows) | set(pictures)):
        picture = pictures.get(index, {})
        size = picture.get("width") or np.inf, picture.get("height") or np.inf
        here = rows.get(index, [])
        cells = layer_cells([data[r] for r in here], features.iloc[here], metadata, size)
        name = picture.get("name") or f"{meta.get('name', 'picture')}{list(index) if index else ''}"
        far = np.ceil(cells.boxes[:, 2:].max(0, initial=1)).astype(int).tolist()
        width, height = picture.get("width") or far[0], picture.get("height") or far[1]
        known = picture.get("field") or Field(Path(name), cells[:0], width, height, name=name)
        if index in drawn or (regions is not None and (known.is_labelled_in_part or not whole)):
            known = replace(known, labelled_regions=labelled_regions(regions, drawn.get(index, []), size))
        derived = {"diameter_um"} if known.cells.scale else set()
        derived |= set(ORIGIN) if known.origin else set()
        extra = {column: values for column, values in cells.extra.items() if column not in derived}
        about_it = {"extra": extra, "scale": known.cells.scale, "novelty": known.cells.novelty}
        fields.append(replace(known, cells=replace(cells, **about_it)))
    return fields


def _regions_of(about: dict[str, Any]) -> Shapes | None:
    """Return the layer of labelled regions on the picture of the cells that `about` tells of, if napari shows one.

    What was found on a picture that has labels has none: the regions are those of the labels.
    """
    viewer = napari.current_viewer()
    if viewer is None or PICTURE_ID not in about:
        return None
    shapes = [layer for layer in viewer.layers if isinstance(layer, napari.layers.Shapes)]
    beside = [each for each in shapes if each.metadata.get(METADATA_KEY, {}).get(PICTURE_ID) == about[PICTURE_ID]]
    labels = next((each for each in beside if "class" in each.features), None)
    if FOUND_KEY in about and labels is not None and labels.metadata[METADATA_KEY] is not about:
        return None
    return next((each for each in beside if REGIONS_KEY in each.metadata[METADATA_KEY]), None)


def _way(fields: list[Field], folder: Path) -> dict[str, str]:
    """Return how to go from `folder` to the pictures, if one folder has them all by their names."""
    named = [field for field in fields if field.path.is_file() and field.path.as_posix().endswith(field.name)]
    relative = [field for field in named if not Path(field.name).is_absolute()]
    homes = {field.path.parents[len(Path(field.name).parts) - 1] for field in relative}
    return {"pictures": way_to(homes.pop(), folder)} if len(homes) == 1 else {}


def _save(kind: str, path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write the cells of one Shapes layer as `kind`; tell what is lost.

    A format that has a file for each picture makes a folder of the name given, without its suffix; GeoJSON of a
    single picture is one file.
    """
    review = Review.of_metadata(meta.get("metadata", {}))
    if review is not None:
        review.sync()
        data, meta = review.layer.data, meta | {"features": review.layer.features}
    fields, wanted = layer_fields(data, meta), FORMATS[kind]
    target, suffix = Path(path), wanted.suffix or ".txt"
    if target.suffix.lower() != suffix:
        raise UserError(f"{path}: cells as {wanted.title} are saved with {suffix} at the end of the name.")
    if not wanted.suffix or (kind == "geojson" and len(fields) != 1):
        target = target.with_suffix("")
    info = meta.get("metadata", {}).get(METADATA_KEY, {}).get("provenance", {})
    write_fields(target, fields, kind, info | _way(fields, target.parent))
    if review is not None and kind in WHOLE:
        review.saved()
    for line in losses(fields, kind):
        show_info(line)
    return [str(target)]


write_coco_layer = partial(_save, "coco")
write_csv_layer = partial(_save, "csv")
write_geojson_layer = partial(_save, "geojson")
write_lld_json_layer = partial(_save, "lld-json")
write_txt12_layer = partial(_save, "txt12")
write_yolo_layer = partial(_save, "yolo")
