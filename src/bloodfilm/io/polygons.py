"""Polygons as rectangles that cover them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from skimage.draw import polygon2mask

ROWS = 64
"""Most rectangles that a polygon is turned into."""


def rectangles(polygon: Sequence[float]) -> npt.NDArray[np.float32]:
    """Return rectangles (R, 4) as x0, y0, x1, y1 that cover the polygon ``x, y, x, y, ...``, stair by stair.

    It is cut into 64 x 64 places; those whose middle lies inside count. Rows that are alike become one rectangle.
    """
    points = np.asarray(polygon, float).reshape(-1, 2)
    low, side = points.min(0), np.ptp(points, axis=0) / ROWS
    if not side.all():
        return np.empty((0, 4), np.float32)
    places = ((points - low) / side - 0.5)[:, ::-1]
    mask = polygon2mask((ROWS, ROWS), places)
    strips: list[tuple[int, int, int, int]] = []
    for row, line in enumerate(mask):
        steps = np.diff(np.pad(line, 1).astype(np.int8))
        for start, end in zip(np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist(), strict=True):
            goes_on = strips and strips[-1][0::2] == (start, end) and strips[-1][3] == row
            top = strips.pop()[1] if goes_on else row
            strips.append((start, top, end, row + 1))
    return np.asarray(np.array(strips, float).reshape(-1, 4) * np.tile(side, 2) + np.tile(low, 2), np.float32)
