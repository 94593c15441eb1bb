"""Which found cell is which annotated one, and which found cells are neither right nor wrong."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torchvision.ops import box_iou

from bloodfilm.cells import Cells, Field

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

Boxes = npt.NDArray[np.float32]

MIN_SHARE = np.array([0.5])


def match(table: Cells, field: Field) -> IntArray:
    """Return which row of `table` found each annotated cell (annotated,), -1 for none.

    It is the best scored one that overlaps it by half (IoU) and has no other cell that it overlaps more.
    """
    order = np.argsort(-table.scores, kind="stable")
    hit = assign(overlaps(table.boxes[order], field.cells.boxes), np.array([0.5]))[0]
    return np.where(hit < 0, -1, np.append(order, -1)[hit])


def overlaps(boxes: npt.ArrayLike, others: npt.ArrayLike) -> FloatArray:
    """Return the intersections over unions (N, M) of boxes (N, 4) and (M, 4)."""
    a, b = (torch.from_numpy(np.asarray(part, np.float32).reshape(-1, 4)) for part in (boxes, others))
    return np.asarray(box_iou(a, b).numpy(), float)


def assign(overlap: FloatArray, limits: FloatArray) -> IntArray:
    """Give each found cell, the first one first, the free annotated cell that it overlaps most.

    Parameters
    ----------
    overlap : (found, annotated)
    limits : (T,)
        Least overlaps, rising; each is an assignment of its own.

    Returns
    -------
    (T, annotated) int
        The found cell, -1 for none.
    """
    hit = np.full((len(limits), overlap.shape[1]), -1)
    if not hit.size:
        return hit
    for row in np.flatnonzero(overlap.max(1) >= limits[0]):
        free = np.where(hit < 0, overlap[row], 0)
        best, place = free.max(1), free.argmax(1)
        good = best >= limits
        hit[good, place[good]] = row
    return hit


def excused(boxes: Boxes, field: Field, ignored: Boxes | None = None, limits: FloatArray = MIN_SHARE) -> BoolArray:
    """Tell which found boxes (N, 4) are no error although they match nothing.

    They lie on one cell that is `ignored`, by default of the field's, with at least the share `limits` (T,) of their
    area, or where nobody looked. Returns (T, N).
    """
    ignored = field.ignored if ignored is None else ignored
    low, high = np.maximum(boxes[:, None, :2], ignored[:, :2]), np.minimum(boxes[:, None, 2:], ignored[:, 2:])
    share = np.clip(high - low, 0, None).prod(2) / (boxes[:, 2:] - boxes[:, :2]).prod(1)[:, None]
    return np.asarray((share.max(1, initial=0) >= limits[:, None]) | ~field.looked_at(boxes))
