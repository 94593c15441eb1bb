"""The table of a layer's cells as the panel shows it: their features, and what follows from their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pint import DimensionalityError

from bloodfilm.napari.layers import ID, METADATA_KEY, UM_PER_PX
from bloodfilm.review.states import REVIEW, UNREVIEWED, doubts_of, with_review
from bloodfilm.vocabulary import Vocabulary

if TYPE_CHECKING:
    from napari.layers import Layer, Shapes

TYPE, SCORE, PICTURE, DOUBT = "class", "score", "picture", "doubt"
SIZES = ("size_um", "size_px")
UNSEEN = "not reviewed"

_LABELS = {TYPE: "type", "class_score": "score of the type", "size_um": "size (µm)", "size_px": "size (px)"}


def label(column: str) -> str:
    """Return what users read for the name of a column."""
    return _LABELS.get(column) or column.replace("_", " ")


def bare(layer: Any) -> Any:
    """Return `layer` itself, of which napari gives widgets a new wrapper each time."""
    return getattr(layer, "__wrapped__", layer)


def shows_cells(layer: Layer | None) -> bool:
    """Return if `layer` is a Shapes layer whose features name the type of each shape."""
    return getattr(layer, "shape_type", None) is not None and TYPE in layer.features


def bounds(data: Sequence[npt.NDArray[Any]], ndim: int = 2) -> npt.NDArray[np.float64]:
    """Return the lowest and highest corner (N, 2, D) of shapes of any kind."""
    if not len(data):
        return np.empty((0, 2, ndim))
    points = np.concatenate(data)
    starts = np.cumsum([0, *map(len, data[:-1])])
    return np.stack([np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)], axis=1)


def um_per_px(layer: Layer, corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the micrometres (N, 2) of a pixel, in y and x, around the cells of `layer` with `corners` (N, 2, D).

    That is what red cells told, of all pictures or of each, else what the layer's scale says, else NaN.
    """
    known = layer.metadata.get(METADATA_KEY, {})
    if UM_PER_PX in known:
        return np.full((len(corners), 2), known[UM_PER_PX][::-1], float)
    fields = {index: picture.get("field") for index, picture in known.get("pictures", {}).items()}
    scales = {index: field.cells.scale for index, field in fields.items() if field is not None}
    sizes = {index: scale.um_per_px[::-1] for index, scale in scales.items() if scale and scale.sure}
    if sizes:
        indices = map(tuple, np.rint(corners[:, 0, :-2]).astype(int).tolist())
        return np.array([sizes.get(index, (np.nan, np.nan)) for index in indices], float).reshape(-1, 2)
    try:
        sides = zip(layer.scale[-2:], layer.units[-2:], strict=True)
        um = [(side * unit).to("micrometer").magnitude for side, unit in sides]
    except DimensionalityError:
        um = [np.nan, np.nan]
    return np.full((len(corners), 2), um, float)


def squeeze(um: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how many pixels high something is that is one pixel wide and as high (N,), 1 where that is not known."""
    return np.nan_to_num(um[:, 1] / um[:, 0], nan=1.0)


def cell_table(layer: Shapes, corners: npt.NDArray[np.float64], vocabulary: Vocabulary) -> pd.DataFrame:
    """Return the features of `layer` with doubt, size and picture by the corners (N, 2, D), for users to read."""
    table = layer.features.drop(columns=[ID, "diameter_um"], errors="ignore")
    um = um_per_px(layer, corners)
    unknown = bool(np.isnan(um).all())
    table[SIZES[unknown]] = np.sqrt((np.ptp(corners[:, :, -2:], axis=1) * (1 if unknown else um)).prod(1))
    if SCORE in table and "class_score" in table:
        table[DOUBT] = doubts_of(table, vocabulary)
    if REVIEW in table:
        table = with_review(table)
        table[REVIEW] = table[REVIEW].cat.rename_categories({UNREVIEWED: UNSEEN})
    if layer.ndim > 2:
        table[PICTURE] = _picture_names(layer, corners)
    return table


def _picture_names(layer: Shapes, corners: npt.NDArray[np.float64]) -> pd.Categorical:
    places = np.rint(corners[:, 0, :-2]).astype(int)
    found, codes = np.unique(places, axis=0, return_inverse=True)
    known = layer.metadata.get(METADATA_KEY, {}).get("pictures", {})
    numbers = [", ".join(map(str, place)) for place in found]
    names = [known.get(tuple(place.tolist()), {}).get("name", "picture") for place in found]
    if len(set(names)) < len(names):
        names = [f"{name} {number}" for name, number in zip(names, numbers, strict=True)]
    return pd.Categorical.from_codes(codes.ravel(), names)
