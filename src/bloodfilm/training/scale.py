"""The scale that pictures of all microscopes are brought to, by what their labels say of the size of red cells."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bloodfilm.cells import Field
from bloodfilm.detection.ruler import MAX_SIDE
from bloodfilm.vocabulary import AUXILIARY

NOTHING = np.empty((0, 4), np.float32)
MIN_RED_CELLS = 3
WHITE_TO_RED = 1.7
"""Side of a white cell in that of a red one: lymphocytes 1.2, neutrophils 1.7, monocytes 2.2 and more."""


def usual_sides(fields: Sequence[Field], image_size: int, red_cells: float | None) -> list[int]:
    """Return the longer side in pixels to which each field is brought.

    It is `image_size`, or what brings its red cells to a side of `red_cells`, at most `MAX_SIDE`, if labels tell.
    """
    if not red_cells:
        return [image_size] * len(fields)
    longer = np.array([max(field.width, field.height) for field in fields])
    sides = np.minimum(longer * red_cells / red_cell_sides(fields), MAX_SIDE)
    return [image_size if math.isnan(side) else round(side) for side in sides.tolist()]


def red_cell_sides(fields: Sequence[Field]) -> list[float]:
    """Return the side in pixels of each field's usual red cell, NaN where nothing tells.

    It is the median of at least three that are labelled, else that of the fields of the same source, else what the
    white cells of that source say.
    """
    own = [_side(np.asarray(field.auxiliary.get(AUXILIARY[0], NOTHING)), MIN_RED_CELLS) for field in fields]
    red, white = defaultdict(list), defaultdict(list)
    for field, side in zip(fields, own, strict=True):
        red[field.source].append(side)
        white[field.source].append(_side(field.cells.boxes, 1) / WHITE_TO_RED)
    usual = {source: _known(red[source], _known(white[source], math.nan)) for source in red}
    return [usual[field.source] if math.isnan(side) else side for field, side in zip(fields, own, strict=True)]


def _side(boxes: npt.NDArray[np.floating], least: int) -> float:
    """Return the median side of at least so many `boxes` (N, 4), else NaN."""
    return float(np.median(np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1)))) if len(boxes) >= least else math.nan


def _known(sides: Sequence[float], otherwise: float) -> float:
    known = [side for side in sides if not math.isnan(side)]
    return float(np.median(known)) if known else otherwise
