"""Where to label next: the patches of fields whose labels would teach a model most; known without torch.

The use of a patch is that of the cells that the model finds in it. Fields with as much to find are taken in a random
order, so that what is labelled stands for all of them. What the model is most in doubt of does not come first: on a new
microscope that is where it errs on a few odd fields.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bloodfilm.cells import Cells, FloatArray
from bloodfilm.vocabulary import number_of

LOWEST_SCORE = 0.05
"""Score down to which cells are best searched for here; what is less probable counts next to nothing."""

SURE = 0.6
"""Score from which on a cell is not called doubtful."""

STEPS = 7
"""Places of a patch on each axis, beside those that suit the `MOST` most useful cells."""

MOST, MARGIN = 8, 0.1
"""The margin around a cell is in its sides."""

MAX_SHARED = 0.25
"""Share of a patch that may be labelled or skipped already."""

EMPTY = 0.02
"""Use of a patch in which nothing is, beside 1 of a cell that is probably one."""


class Sized(Protocol):
    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...


@dataclass(frozen=True)
class Proposal:
    """A patch to label: the index of its field, x0, y0, x1, y1 in pixels, its expected use beside others, and why."""

    field: int
    region: tuple[float, float, float, float]
    use: float
    why: str


def propose(
    fields: Sequence[Sized],
    found: Sequence[Cells],
    number: int,
    share: float = 0.2,
    taken: Sequence[npt.ArrayLike] | None = None,
) -> list[Proposal]:
    """Return up to `number` patches that are worth labelling, the best one first.

    Parameters
    ----------
    fields : sequence
        What has a width and a height in pixels.
    found : sequence of Cells
        What the model finds on each of them, best down to `LOWEST_SCORE`.
    share : float
        Area of a patch as a share of its field's; both have one aspect.
    taken : sequence of (R, 4) arrays, optional
        Rectangles of each field that are labelled or skipped already.

    Returns
    -------
    list of Proposal
        Fewer than `number` if there is no more room.
    """
    if len(found) != len(fields) or (taken is not None and len(taken) != len(fields)):
        raise ValueError("Each field needs its cells and its taken rectangles.")
    regions = taken if taken is not None else [()] * len(fields)
    grounds = [_Ground(*each, share) for each in zip(fields, found, regions, strict=True)]
    order = np.random.default_rng(0).permutation(len(fields)).tolist()
    best = [ground.best() for ground in grounds]
    proposals: list[Proposal] = []
    while best and len(proposals) < number:
        index = max(order, key=lambda i: best[i][0])
        use, row = best[index]
        if use <= 0:
            break
        region, why = grounds[index].take(row)
        best[index] = grounds[index].best()
        proposals.append(Proposal(index, region, use, why))
    return proposals


class _Ground:
    """A field, the patches that could be labelled on it, and what is found in each."""

    def __init__(self, field: Sized, found: Cells, taken: npt.ArrayLike, share: float) -> None:
        self.found = found
        self.value = np.minimum(2 * found.scores.astype(float), 1)
        whole = np.array([field.width, field.height])
        size = whole * np.sqrt(share)
        self.patches = _patches(whole, size, found.boxes[np.argsort(-self.value)[:MOST]])
        boxes, patches = found.boxes, self.patches[:, None]
        self.inside = np.all((boxes[:, :2] >= patches[..., :2]) & (boxes[:, 2:] <= patches[..., 2:]), axis=2)
        touched = np.all((boxes[:, :2] < patches[..., 2:]) & (boxes[:, 2:] > patches[..., :2]), axis=2)
        self.cut = touched & ~self.inside
        off_centre = np.abs((self.patches[:, :2] + size / 2) / whole - 0.5).sum(1)
        self.least = EMPTY * (1 - off_centre / 2)
        self.free = np.ones(len(self.patches), bool)
        self.times = 0
        for region in np.asarray(taken, float).reshape(-1, 4):
            self._occupy(region)

    def best(self) -> tuple[float, int]:
        """Return the use of the best patch, no more than that of one cell, and its row."""
        if not self.free.any():
            return 0.0, 0
        use = _diminishing(self.value, self.inside) - self.cut @ self.value
        use = np.where(self.free, np.maximum(use, 0) + self.least, 0)
        row = int(np.argmax(use))
        return min(float(use[row]), 1.0) / (1 + self.times), row

    def take(self, row: int) -> tuple[tuple[float, float, float, float], str]:
        """Return patch `row` and what is found in it; it is taken from now on."""
        region, inside = self.patches[row], self.inside[row] & (self.value > 0)
        cells = self.found[inside]
        self._occupy(region)
        self.times += 1
        x0, y0, x1, y1 = region.tolist()
        return (x0, y0, x1, y1), _reason(cells, self.found.novelty)

    def _occupy(self, region: npt.NDArray[np.floating]) -> None:
        """Leave out patches that share too much with `region`; cells with their middle in it teach no more."""
        overlap = np.minimum(self.patches[:, 2:], region[2:]) - np.maximum(self.patches[:, :2], region[:2])
        area = (self.patches[:, 2:] - self.patches[:, :2]).prod(1)
        self.free &= overlap.clip(min=0).prod(1) <= MAX_SHARED * area
        middle = (self.found.boxes[:, :2] + self.found.boxes[:, 2:]) / 2
        self.value = np.where(((middle > region[:2]) & (middle < region[2:])).all(1), 0, self.value)


def _patches(field: npt.NDArray[np.floating], size: npt.NDArray[np.floating], boxes: FloatArray) -> FloatArray:
    """Return places (P, 4) for a patch of `size`, some evenly over the field, some with a box in it or just outside."""
    room, starts = field - size, []
    margin = MARGIN * (boxes[:, 2:] - boxes[:, :2])
    low, high = boxes[:, :2] - margin, boxes[:, 2:] + margin
    for axis in (0, 1):
        beside = [low[:, axis], high[:, axis] - size[axis], (low + high)[:, axis] / 2 - size[axis] / 2]
        outside = [high[:, axis], low[:, axis] - size[axis]]
        even = np.linspace(0, room[axis], STEPS)
        starts.append(np.unique(np.concatenate((even, *beside, *outside)).clip(0, room[axis])))
    corner = np.stack(np.meshgrid(*starts), 2).reshape(-1, 2)
    return np.concatenate((corner, corner + size), 1).astype(np.float32)


def _diminishing(value: npt.NDArray[np.float64], inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return of each patch (P,) the sum of its cells' values, the second best at a half, the third at a third."""
    order = np.argsort(-value)
    sorted_inside = inside[:, order]
    rank = np.maximum(np.cumsum(sorted_inside, 1), 1)
    return np.asarray((sorted_inside * value[order] / rank).sum(1))


def _reason(cells: Cells, novelty: float | None) -> str:
    doubtful = cells.scores < SURE
    names = Counter({"doubtful cell": int(doubtful.sum())}) + Counter(cells[~doubtful].class_names)
    words = [number_of(count, name) for name, count in names.items()]
    words = [word.replace("unknown type", "cell", 1) for word in words] or ["nothing found yet"]
    return ", ".join(words + ["unlike what the model knows"] * (novelty is not None and novelty > 1))
