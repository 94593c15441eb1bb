"""Where a field was labelled, as rectangles that follow a picture wherever it goes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import connected_components

from bloodfilm.cells import Field, inside
from bloodfilm.review.states import kept

Boxes = npt.NDArray[np.float32]

ALONG = 0.25, 0.5, 0.75
"""Where along an edge of a box it is looked at."""

ON_BORDER = 1.0
"""Pixels from a region's border within which a box may have been cut there."""


def labelled(field: Field) -> Boxes:
    """Return where somebody looked (M, 4): the labelled regions, or the whole field."""
    regions = field.labelled_regions
    return np.array([[0, 0, field.width, field.height]]) if regions is None else regions


def joined(regions: Boxes) -> list[Boxes]:
    """Return the rectangles (M, 4) of each region: those that overlap or share an edge are one.

    What touches at a corner only is not joined.
    """
    common = _common(regions)
    return _groups(regions, (common.min(2) >= 0) & (common.max(2) > 0))


def drawn(regions: Boxes) -> list[Boxes]:
    """Return the rectangles (M, 4) of each shape that was drawn: the stairs of a polygon, which share edges, are one.

    Shapes that overlap are two, for no polygon's stairs do.
    """
    regions = np.unique(regions, axis=0)
    common = _common(regions)
    return _groups(regions, (common.min(2) == 0) & (common.max(2) > 0))


def _common(regions: Boxes) -> Boxes:
    """Return of any two rectangles (M, M, 2) how much of each axis is common to them, negative for a gap."""
    return np.minimum(regions[:, None, 2:], regions[:, 2:]) - np.maximum(regions[:, None, :2], regions[:, :2])


def _groups(regions: Boxes, touch: npt.NDArray[np.bool_]) -> list[Boxes]:
    count, group = connected_components(touch, directed=False)
    return [regions[group == number] for number in range(count)]


def around(parts: Boxes) -> Boxes:
    """Return the rectangle (4,) around all `parts` (M, 4)."""
    return np.concatenate((parts[:, :2].min(0), parts[:, 2:].max(0))).astype(np.float32)


def views(field: Field) -> Boxes:
    """Return for each of `joined` the smallest rectangle (M, 4) that shows it and all objects with a middle in it."""
    boxes = np.concatenate((kept(field.cells).boxes, *field.auxiliary.values()))
    regions = np.array([around(parts) for parts in joined(labelled(field))], np.float32).reshape(-1, 4)
    shown = [
        around(np.concatenate((region[None], boxes[own])))
        for region, own in zip(regions, inside(boxes, regions).T, strict=True)
    ]
    return np.array(shown, np.float32).reshape(-1, 4)


def outside_of_regions(field: Field) -> Boxes:
    """Return rectangles (M, 4) that together cover what lies in none of the field's labelled regions."""
    if not field.is_labelled_in_part or field.labelled_regions is None:
        return np.empty((0, 4), np.float32)
    whole = np.array([[0, 0, field.width, field.height]], np.float32)
    regions = np.clip(field.labelled_regions, 0, whole[0, [2, 3, 2, 3]])
    edges = np.concatenate((whole, regions))
    x, y = (np.unique(edges[:, [axis, axis + 2]]) for axis in (0, 1))
    middle_x, middle_y = (x[1:] + x[:-1]) / 2, (y[1:] + y[:-1]) / 2
    across = (middle_x > regions[:, 0, None]) & (middle_x < regions[:, 2, None])
    down = (middle_y > regions[:, 1, None]) & (middle_y < regions[:, 3, None])
    free = np.logical_not((down[:, :, None] & across[:, None]).any(0))
    rows, starts, ends = _runs(free)
    return np.stack((x[starts], y[rows], x[ends], y[rows + 1]), 1).astype(np.float32)


def _runs(mask: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_], npt.NDArray[np.int_]]:
    """Return row, start and end of each run of true values in the rows of `mask`."""
    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8))
    rows, starts = np.nonzero(steps == 1)
    return rows, starts, np.nonzero(steps == -1)[1]


def end_on_border(field: Field, boxes: Boxes) -> npt.NDArray[np.bool_]:
    """Tell which of `boxes` (N, 4) have an edge on that of the regions within the picture, where they may be cut.

    There somebody looked on one side of the edge, and nobody on the other.
    """
    regions = field.labelled_regions
    if regions is None or len(regions) == 0 or len(boxes) == 0:
        return np.zeros(len(boxes), bool)
    within, beyond = (_along_edges(boxes, by) for by in (-ON_BORDER, ON_BORDER))
    in_picture = ((beyond > 0) & (beyond < (field.width, field.height))).all(-1)
    return np.asarray((_covered(within, regions) & ~_covered(beyond, regions) & in_picture).any(1))


def _along_edges(boxes: Boxes, by: float) -> npt.NDArray[np.float64]:
    """Return places (N, 12, 2) along the edges of boxes that are `by` larger on each side."""
    low, high = boxes[:, None, :2] - by, boxes[:, None, 2:] + by
    along = boxes[:, None, :2] + np.array(ALONG)[:, None] * (boxes[:, None, 2:] - boxes[:, None, :2])
    x, y = along[..., 0], along[..., 1]
    edges = [
        np.stack(np.broadcast_arrays(*edge), -1)
        for edge in ((low[..., 0], y), (high[..., 0], y), (x, low[..., 1]), (x, high[..., 1]))
    ]
    return np.concatenate(edges, 1)


def _covered(places: npt.NDArray[np.float64], regions: Boxes) -> npt.NDArray[np.bool_]:
    """Tell which of `places` (N, P, 2) lie in a region."""
    places = places[:, :, None]
    return np.asarray(((places >= regions[:, :2]) & (places <= regions[:, 2:])).all(-1).any(-1))
