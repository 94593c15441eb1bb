"""Reviews that were not saved, because napari ended before: found, restored or given up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Shapes

from bloodfilm.napari.layers import (
    METADATA_KEY,
    PICTURE_ID,
    WITHOUT_PICTURE,
    described,
    layer_vocabulary,
    picture_id,
    shapes_arguments,
    spatial,
)
from bloodfilm.napari.pictures import field_of, full_resolution
from bloodfilm.napari.review import Review
from bloodfilm.review.edits import ID, KIND, SHAPE, VERTICES
from bloodfilm.review.journal import Journal, JournalError, Replayed, left, read, start_again
from bloodfilm.review.session import Session

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer


def unsaved(layer: Layer) -> tuple[list[Replayed], list[str]]:
    """Return the reviews of cells on `layer` that nobody saved, the oldest first, and why some cannot be read.

    `layer` is an Image, or, where a file of labels was opened without its pictures, the Shapes of the cells.
    """
    reviews, problems = [], []
    for path in left(*_source(layer)):
        try:
            replayed = read(path)
        except JournalError as error:
            problems.append(str(error))
            continue
        if _is_of(replayed, layer):
            reviews.append(replayed)
    return reviews, problems


def restore(viewer: ViewerModel, on: Layer, replayed: Replayed) -> Shapes:
    """Add the cells of a review that was not saved to `viewer`, to go on where it ended.

    Raises
    ------
    JournalError
        If another window did so.
    """
    about, table = dict(replayed.about), replayed.history.table
    source, name = _source(on)
    journal = start_again(replayed, source, name) if replayed.problem else Journal.resume(replayed)
    features = table.drop(columns=list(SHAPE)).reset_index(names=ID)
    known = _metadata(about["metadata"])
    pictures = {index: _found_again(told, on, index) for index, told in known.get("pictures", {}).items()}
    told = on.metadata.get(METADATA_KEY, {})
    place = {name: told[name] for name in (PICTURE_ID, WITHOUT_PICTURE) if name in told}
    place |= {} if isinstance(on, Shapes) else {PICTURE_ID: picture_id(on)}
    metadata = {METADATA_KEY: known | {"pictures": pictures} | place}
    vocabulary = layer_vocabulary(metadata)
    arguments = shapes_arguments(list(table[VERTICES]), features, vocabulary, about["name"], about["ndim"])
    arguments |= {"shape_type": list(table[KIND]) or "rectangle", "metadata": metadata} | spatial(on)
    layer = Shapes(arguments.pop("data"), **arguments)
    review = Review.of(layer, session=Session(replayed.history, source, name, about, journal=journal))
    review.show(about.get("min_score", 0.0))
    viewer.add_layer(layer)
    Review.of(layer, viewer)
    return layer


def _found_again(told: dict[str, Any], on: Layer, index: tuple[int, ...]) -> dict[str, Any]:
    """Return what the journal told of a picture, with what `on` knows of its file and its labels."""
    field = on.metadata.get(METADATA_KEY, {}).get("pictures", {}).get(index, {}).get("field")
    if field is not None:
        return told | {"field": replace(field, cells=told["field"].cells)}
    if isinstance(on, Image):
        return told | {"field": replace(told["field"], path=field_of(on, index).path)}
    return told


def _source(layer: Layer) -> tuple[Path | None, str]:
    """Return the file, and else the name, by which the journal of cells on `layer` goes."""
    known = layer.metadata.get(METADATA_KEY, {})
    path, name = layer.source.path, layer.name
    if isinstance(layer, Shapes):
        path, name = known.get("source", path), known.get("picture", name)
    return (Path(path).absolute() if path else None), name


def _is_of(replayed: Replayed, layer: Layer) -> bool:
    """Tell if the cells of a review lie on pictures of the size of `layer`, and of the names it has, if it has any."""
    pictures = _metadata(replayed.about.get("metadata", {})).get("pictures", {})
    here = layer.metadata.get(METADATA_KEY, {}).get("pictures", {})
    if isinstance(layer, Shapes):
        return {i: at["name"] for i, at in pictures.items()} == {i: at["name"] for i, at in here.items()}
    data = full_resolution(layer)
    height, width = data.shape[layer.ndim - 2 : layer.ndim]
    return all(
        (picture["width"], picture["height"]) == (width, height) and picture["name"] == here.get(index, picture)["name"]
        for index, picture in pictures.items()
    )


def _metadata(content: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata that `bloodfilm.napari.review` made plain as they were."""
    vocabulary = layer_vocabulary({METADATA_KEY: content})
    pictures = {tuple(index): described(picture, vocabulary) for index, picture in content.get("pictures", [])}
    return content | {"pictures": pictures}
