"""What is labelled in a viewer, as fields to train on; no window needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari.layers
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from bloodfilm.cells import Cells, Field, concatenate
from bloodfilm.errors import UserError
from bloodfilm.io.files import replacing
from bloodfilm.io.formats import recognise
from bloodfilm.io.images import SUFFIXES, as_rgb, read_image
from bloodfilm.napari.layers import (
    METADATA_KEY,
    PICTURE_ID,
    REGIONS_KEY,
    by_index,
    cells_layer,
    describe,
    labelled_regions,
    layer_vocabulary,
    picture_id,
    regions_layer,
    spatial,
    to_boxes,
    to_rectangles,
)
from bloodfilm.napari.pictures import Part, field_of, full_resolution
from bloodfilm.napari.reader import get_reader, read_labels, read_pictures
from bloodfilm.review.states import REJECTED, REVIEW
from bloodfilm.training.project import Project, choose_judges, choose_method, save, taught
from bloodfilm.vocabulary import NOT_ANNOTATED

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Shapes

    from bloodfilm.training.settings import Settings

Index = tuple[int, ...]
PICTURES = "pictures"
"""Folder of a project with the pictures that were only in napari."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """A picture in the viewer, `index` of the stack `image`, and the field that it is to training.

    The field's path may not exist yet: `write` makes it.
    """

    image: Image
    index: Index
    field: Field

    def write(self, folder: Path, number: int) -> Field:
        """Return the field with a picture on disk, written to `folder` with `number` in its name if there is none.

        A file of another size is not the picture that is shown, which is written then, too.
        """
        if self.field.path.is_absolute() and _size(self.field.path) == (self.field.width, self.field.height):
            return self.field
        path = folder / f"{number:03}-{self._written_name}"
        with replacing(path) as temporary:
            Pillow.fromarray(as_rgb(pixels(self.image, self.index), self.field.name)).save(temporary)
        return replace(self.field, path=path)

    def shows(self, path: Path) -> bool:
        """Tell if this is the picture of a project at `path`: its file, or what `write` made of it."""
        written = path.parent.name == PICTURES and path.name.partition("-")[2] == self._written_name
        return written or path == self.field.path

    @property
    def _written_name(self) -> str:
        return f"{self.field.path.stem}.png"


def indices(image: Image) -> list[Index]:
    """Return the places of all pictures of `image`, a single one or a stack."""
    return [tuple(int(v) for v in place) for place in np.ndindex(*full_resolution(image).shape[: image.ndim - 2])]


def pixels(image: Image, index: Index) -> npt.NDArray[Any]:
    """Return the picture at `index` of `image` (H, W) or (H, W, C).

    Raises
    ------
    UserError
        If it is too large to be read at once.
    """
    return Part(full_resolution(image)[index], 0, 0, index).load()


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
            return bool(about[PICTURE_ID] == picture_id(image))
        picture = about.get("picture")
        return layer.ndim == image.ndim and (picture == image.name or (picture is None and alone))

    return sorted(filter(is_on, reversed(viewer.layers)), key=lambda layer: not layer.visible)


def show_only(viewer: ViewerModel, image: Image) -> None:
    """Show `image` and select it; hide all other pictures, and what lies on them."""
    images = [layer for layer in viewer.layers if isinstance(layer, napari.layers.Image)]
    for each in images:
        for layer in (each, *layers_on(viewer, each)):
            layer.visible = each == image  # a plugin may have been given a proxy
    viewer.layers.selection.active = image


def open_folder(viewer: ViewerModel, folder: Path) -> None:
    """Add the pictures of `folder` to `viewer`, with the labels that are in it.

    Raises
    ------
    UserError
        If it holds neither, or several files of labels.
    """
    if get_reader(str(folder)):
        layers = read_labels(str(folder))
    else:
        labels = _labels_in(folder)
        layers = read_labels(str(labels)) if labels else []
        told = [arguments["metadata"][METADATA_KEY].get("pictures", {}) for _, arguments, _ in layers]
        layers += read_pictures(folder, {each["field"].path for pictures in told for each in pictures.values()})
    if not layers:
        raise UserError(f"{folder} holds no picture.")
    for each in layers:
        viewer.add_layer(napari.layers.Layer.create(*each))


def _labels_in(folder: Path) -> Path | None:
    """Return the file of labels in `folder`; of a COCO file and a table the first, which says more."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for kind in ("coco", "csv"):
        found = [path for path in files if recognise(path) == kind]
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise UserError(f"{folder} holds several files of labels: open one of {names} by File → Open.")
        if found:
            return found[0]
    return None


def add_regions(viewer: ViewerModel, image: Image) -> Shapes:
    """Return the layer of labelled regions of `image`, made now if there is none."""
    if (layer := regions_of(viewer, image)) is not None:
        return layer
    return viewer.add_shapes(**regions_layer(image.name, image.ndim, picture_id(image)), **spatial(image))


def add_cells(viewer: ViewerModel, image: Image, found: dict[Index, Cells] | None = None) -> Shapes:
    """Return the layer of cells of `image`; if there is none, make one with what was `found` by a model.

    Nothing of its pictures is labelled until a region is drawn.
    """
    if (layer := cells_of(viewer, image)) is not None:
        return layer
    found = {index: cells for index, cells in (found or {}).items() if len(cells)}
    nowhere = np.empty((0, 4), np.float32)
    pictures = {i: describe(replace(field_of(image, i), labelled_regions=nowhere)) for i in indices(image)}
    metadata = {"pictures": pictures, "picture": image.name, "source": image.source.path, "provenance": {"model": ""}}
    metadata[PICTURE_ID] = picture_id(image)
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
    shapes: list[npt.NDArray[Any]] = []
    areas = by_index(regions.data if regions is not None else [])
    whole = cells is not None and "model" not in cells.metadata[METADATA_KEY].get("provenance", {})
    opened = image.metadata.get(METADATA_KEY, {}).get("pictures", {})
    told = cells.metadata[METADATA_KEY].get("pictures", {}) if cells is not None else {}
    if cells is not None:
        corners, rejected = to_boxes(cells.data), cells.features[REVIEW].astype(str).to_numpy() == REJECTED
        wanted = (corners[:, 2:] > corners[:, :2]).all(1) & ~rejected
        shapes = list(compress(cells.data, wanted))
        features = cells.features[wanted].reset_index(drop=True)
        table = Cells.from_frame(corners[wanted], features, layer_vocabulary(cells.metadata))
    boxes = by_index(shapes)
    for index in indices(image):
        rows, drawn = boxes.get(index, []), areas.get(index, [])
        known = told.get(index, {}).get("field") or opened.get(index, {}).get("field")
        in_part = known is not None and known.is_labelled_in_part
        if not rows and not drawn and not (whole and index in told and not in_part):
            continue
        about = field_of(image, index)
        size = about.width, about.height
        field = replace(known or about, path=_path(about.path, image, index))
        if cells is not None:
            part = table[rows]
            edges = np.clip(part.boxes, 0, np.array(size * 2, np.float32))
            solid = (edges[:, 2:] > edges[:, :2]).all(1)
            labels = replace(part[solid], boxes=edges[solid], extra={}, scale=field.cells.scale)
            field = replace(field, cells=labels)
        labelled = labelled_regions(regions, drawn, size) if drawn or in_part or not whole else None
        yield Labelled(image, index, replace(field, labelled_regions=labelled))


def save_labelled(folder: Path, labelled: Sequence[Labelled], settings: Settings, minutes: float | None) -> None:
    """Write a project to `folder` that learns from what is `labelled`, with the settings and minutes of `Project`.

    Raises
    ------
    UserError, OSError
        If a picture or the project cannot be written.
    """
    fields = taught([each.write(folder / PICTURES, number) for number, each in enumerate(labelled)])
    judges = choose_judges(fields)
    method = choose_method(fields, judges)[0]
    save(folder, Project(method=method, settings=settings, minutes=minutes, judged_by=judges), fields)


def _size(path: Path) -> tuple[int, int] | None:
    """Return width and height of the picture in a file; None if training cannot read it."""
    try:
        height, width = read_image(path).shape[:2]
    except UserError:
        return None
    return width, height


def _path(path: Path, image: Image, index: Index) -> Path:
    """Return the `path` of a picture if training can read it, else the name that the picture is to get."""
    if path.is_absolute() and path.suffix.lower() in SUFFIXES:
        return path
    name = "".join(letter if letter.isalnum() else "_" for letter in image.name)
    return Path("-".join([name, *map(str, index)]) + ".png")
