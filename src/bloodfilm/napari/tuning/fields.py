"""What is labelled in a viewer, as fields to train on; no window needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari.layers
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from bloodfilm.cells import Cells, Field, concatenate
from bloodfilm.errors import UserError
from bloodfilm.io.files import replacing
from bloodfilm.io.images import SUFFIXES, as_rgb
from bloodfilm.io.polygons import rectangles
from bloodfilm.napari.layers import (
    METADATA_KEY,
    REGIONS_KEY,
    cells_layer,
    layer_vocabulary,
    regions_layer,
    spatial,
    to_boxes,
    to_rectangles,
)
from bloodfilm.napari.pictures import described, full_resolution
from bloodfilm.napari.reader import get_reader, read_pictures
from bloodfilm.review.states import REJECTED, REVIEW
from bloodfilm.vocabulary import LLD, NOT_ANNOTATED

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Shapes

Index = tuple[int, ...]
PICTURE_ID = "picture_id"
"""Of a layer's metadata: the picture that it was made for, whatever that is called now."""

ELLIPSE = np.linspace(0, 2 * np.pi, 32, endpoint=False)


@dataclass(frozen=True, eq=False)
class Labelled:
    """A picture in the viewer, `index` of the stack `image`, and the field that it is to training.

    The field's path may not exist yet: `write` makes it.
    """

    image: Image
    index: Index
    field: Field

    def write(self, folder: Path, number: int) -> Field:
        """Return the field with a picture on disk, written to `folder` with `number` in its name if there is none."""
        if self.field.path.is_absolute() and self.field.path.is_file():
            return self.field
        path = folder / f"{number:03}-{self.field.path.name}"
        with replacing(path) as temporary:
            Pillow.fromarray(as_rgb(pixels(self.image, self.index), self.field.name)).save(temporary)
        return replace(self.field, path=path)


def indices(image: Image) -> list[Index]:
    """Return the places of all pictures of `image`, a single one or a stack."""
    return [tuple(int(v) for v in place) for place in np.ndindex(*full_resolution(image).shape[: image.ndim - 2])]


def pixels(image: Image, index: Index) -> npt.NDArray[Any]:
    """Return the picture at `index` of `image` (H, W) or (H, W, C)."""
    return np.asarray(full_resolution(image)[index])


def cells_of(viewer: ViewerModel, image: Image) -> Shapes | None:
    """Return the layer of cells on `image`; of several the oldest visible one, for detection adds its own on top."""
    layers = [layer for layer in layers_on(viewer, image) if "class" in layer.features]
    return next(reversed([layer for layer in layers if layer.visible] or layers), None)


def regions_of(viewer: ViewerModel, image: Image) -> Shapes | None:
    """Return the layer of labelled regions of `image`."""
    return next((layer for layer in layers_on(viewer, image) if layer.metadata[METADATA_KEY].get(REGIONS_KEY)), None)


def layers_on(viewer: ViewerModel, image: Image) -> list[Shapes]:
    """Return the layers of this program on `image`, visible ones first, the uppermost first."""
    alone = sum(isinstance(layer, napari.layers.Image) for layer in viewer.layers) == 1

    def is_on(layer: Any) -> bool:
        if not isinstance(layer, napari.layers.Shapes) or METADATA_KEY not in layer.metadata:
            return False
        about = layer.metadata[METADATA_KEY]
        if PICTURE_ID in about:
            return bool(about[PICTURE_ID] == str(image.unique_id))
        picture = about.get("picture")
        return layer.ndim == image.ndim and (picture == image.name or (picture is None and alone))

    return sorted(filter(is_on, reversed(viewer.layers)), key=lambda layer: not layer.visible)


def show_only(viewer: ViewerModel, image: Image) -> None:
    """Hide all other pictures, and what lies on them."""
    images = [layer for layer in viewer.layers if isinstance(layer, napari.layers.Image)]
    for each in images:
        for layer in (each, *layers_on(viewer, each)):
            layer.visible = each is image


def open_folder(viewer: ViewerModel, folder: Path) -> None:
    """Add the labelled pictures of `folder` to `viewer`; if nothing in it is labels, its pictures.

    Raises
    ------
    UserError
        If it holds neither.
    """
    reader = get_reader(str(folder))
    layers = reader(str(folder)) if reader else read_pictures(folder)
    if not layers:
        raise UserError(f"{folder} holds no picture.")
    for each in layers:
        viewer.add_layer(napari.layers.Layer.create(*each))


def add_regions(viewer: ViewerModel, image: Image) -> Shapes:
    """Return the layer of labelled regions of `image`, made now if there is none."""
    if (layer := regions_of(viewer, image)) is not None:
        return layer
    layer = viewer.add_shapes(**regions_layer(image.name, image.ndim), **spatial(image))
    layer.metadata[METADATA_KEY][PICTURE_ID] = str(image.unique_id)
    return layer


def add_cells(viewer: ViewerModel, image: Image, found: dict[Index, Cells] | None = None) -> Shapes:
    """Return the layer of cells of `image`; if there is none, make one with what was `found` by a model."""
    if (layer := cells_of(viewer, image)) is not None:
        return layer
    found = {index: cells for index, cells in (found or {}).items() if len(cells)}
    names = {index: described(image, index) for index in indices(image)}
    metadata = {"pictures": names, "picture": image.name, "source": image.source.path, "provenance": {"model": ""}}
    metadata[PICTURE_ID] = str(image.unique_id)
    cells = replace(concatenate(found.values()), scale=None)
    arguments = cells_layer(cells, f"{image.name} cells", (0,) * (image.ndim - 2), metadata, NOT_ANNOTATED)
    arguments["data"] = [shape for index, part in found.items() for shape in to_rectangles(part.boxes, index)]
    return viewer.add_shapes(arguments.pop("data"), **arguments | spatial(image))


def collect(viewer: ViewerModel, images: Sequence[Image]) -> list[Labelled]:
    """Return the pictures of `images` on which there are cells or labelled regions.

    Cells that were rejected, or are hidden, are none. Where no region is drawn, all of a picture counts as labelled if
    its cells were read from a file of labels, and nothing of it if a model found them or the user drew them.
    """
    return [labelled for image in images for labelled in _collect(viewer, image)]


def _collect(viewer: ViewerModel, image: Image) -> Iterator[Labelled]:
    cells, regions = cells_of(viewer, image), regions_of(viewer, image)
    boxes = _by_index(cells)
    areas = _by_index(regions)
    whole = cells is not None and "model" not in cells.metadata[METADATA_KEY].get("provenance", {})
    opened = image.metadata.get(METADATA_KEY, {}).get("pictures", {})
    told = cells.metadata[METADATA_KEY].get("pictures", {}) if cells is not None else {}
    if cells is not None:
        table = Cells.from_frame(
            to_boxes(cells.data), cells.features.reset_index(drop=True), layer_vocabulary(cells.metadata)
        )
        rejected = cells.features[REVIEW].astype(str).to_numpy() == REJECTED
    for index in indices(image):
        rows, drawn = boxes.get(index, []), areas.get(index, [])
        known = told.get(index, {}).get("field") or opened.get(index, {}).get("field")
        in_part = known is not None and known.is_labelled_in_part
        if not rows and not drawn and not (whole and index in told and not in_part):
            continue
        about = described(image, index)
        size = about["width"], about["height"]
        field = known or Field(_path(image, index), Cells.empty(LLD), *size, name=about["name"])
        if cells is not None:
            part = table[[row for row in rows if not rejected[row]]]
            edges = np.clip(part.boxes, 0, np.array(size * 2, np.float32))
            solid = (edges[:, 2:] > edges[:, :2]).all(1)
            labels = replace(part[solid], boxes=edges[solid], extra={}, scale=field.cells.scale)
            field = replace(field, cells=labels, path=field.path.absolute() if field.path.is_file() else field.path)
        labelled = _rectangles(regions, drawn, size) if drawn or in_part or not whole else None
        yield Labelled(image, index, replace(field, labelled_regions=labelled))


def _by_index(layer: Shapes | None) -> dict[Index, list[int]]:
    """Return the numbers of the shapes of `layer` on each picture of the stack."""
    rows: dict[Index, list[int]] = {}
    for row, shape in enumerate(layer.data if layer is not None else []):
        rows.setdefault(tuple(int(v) for v in np.rint(np.asarray(shape)[0, :-2])), []).append(row)
    return rows


def _rectangles(layer: Shapes | None, rows: Sequence[int], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return the shapes of a layer as rectangles (R, 4), cut at the edges of a picture of `size`."""
    parts = [np.empty((0, 4), np.float32)]
    shapes, kinds = (layer.data, layer.shape_type) if layer is not None else ([], [])
    for row in rows:
        shape, kind = np.asarray(shapes[row])[:, -2:], kinds[row]
        if kind == "rectangle" and _upright(shape):
            parts.append(to_boxes([shape]))
            continue
        if kind == "ellipse":
            middle, half = shape.mean(0), np.ptp(shape, axis=0) / 2
            shape = middle + half * np.stack((np.sin(ELLIPSE), np.cos(ELLIPSE)), 1)
        parts.append(rectangles(shape[:, ::-1].ravel()))
    boxes = np.clip(np.concatenate(parts), 0, np.array(size * 2, np.float32))
    return np.asarray(boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)], np.float32)


def _upright(shape: npt.NDArray[Any]) -> bool:
    return all(len(np.unique(shape[:, axis].round(2))) == 2 for axis in (0, 1))


def _path(image: Image, index: Index) -> Path:
    """Return the file of a picture, or the name that it is to get."""
    source = Path(image.source.path) if image.source.path and not index else None
    if source is not None and source.suffix.lower() in SUFFIXES and source.is_file():
        return source.absolute()
    name = "".join(letter if letter.isalnum() else "_" for letter in image.name)
    return Path("-".join([name, *map(str, index)]) + ".png")
