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


def um_per_px(layer: Layer) -> npt.NDArray[np.float64] | None:
    """Return the micrometres (y, x) of a pixel of `layer`: as its red cells told, else as its scale says."""
    told = layer.metadata.get(METADATA_KEY, {}).get(UM_PER_PX)
    if told is not None:
        return np.array(told[::-1], float)
    try:
        sides = zip(layer.scale[-2:], layer.units[-2:], strict=True)
        return np.array([(side * unit).to("micrometer").magnitude for side, unit in sides])
    except DimensionalityError:
        return None


def cell_table(layer: Shapes, corners: npt.NDArray[np.float64], vocabulary: Vocabulary) -> pd.DataFrame:
    """Return the features of `layer` with doubt, size and picture by the corners (N, 2, D), for users to read."""
    table = layer.features.drop(columns=[ID, "diameter_um"], errors="ignore")
    unit = um_per_px(layer)
    sides = np.ptp(corners[:, :, -2:], axis=1) * (1 if unit is None else unit)
    table[SIZES[unit is None]] = np.sqrt(sides.prod(1))
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
