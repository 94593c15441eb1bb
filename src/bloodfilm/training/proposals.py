"""Where to label next: the patches of fields whose labels would teach a model most; known without torch.

The use of a patch is that of the cells that the model finds in it: those it is in doubt of (uncertainty sampling, Lewis
and Gale, 1994), of types that are rare, on fields unlike those it knows. Patches are taken one after the other, each
for what it adds to those before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bloodfilm.cells import Cells, FloatArray
from bloodfilm.vocabulary import UNKNOWN

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

CONFIRMED, TYPE_DOUBT, EMPTY = 1.0, 0.5, 0.02
"""Use of a cell that is sure, beside 1 of one in full doubt; of doubt of a type; of a patch in which nothing is."""

MAX_NOVELTY = 2.0


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
    met: Counter[int] = Counter()
    proposals: list[Proposal] = []
    while len(proposals) < number:
        uses = [ground.best(met) for ground in grounds]
        index = max(range(len(uses)), key=lambda i: uses[i][0], default=0)
        if not uses or uses[index][0] <= 0:
            break
        use, row = uses[index]
        region, cells, why = grounds[index].take(row)
        met.update(cells.codes[cells.codes != UNKNOWN].tolist())
        proposals.append(Proposal(index, region, use, why))
    return proposals


class _Ground:
    """A field, the patches that could be labelled on it, and what is found in each."""

    def __init__(self, field: Sized, found: Cells, taken: npt.ArrayLike, share: float) -> None:
        self.found = found
        self.value = _values(found)
        self.novelty = min(found.novelty if found.novelty is not None else 1.0, MAX_NOVELTY)
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

    def best(self, met: Counter[int]) -> tuple[float, int]:
        """Return the use of the best patch and its row, where `met` counts the types of cells chosen before."""
        if not self.free.any():
            return 0.0, 0
        value = self.value / np.sqrt([1 + met[int(code)] for code in self.found.codes])
        use = _diminishing(value, self.inside) - self.cut @ value
        use = np.where(self.free, np.maximum(use, 0) + self.least, 0)
        row = int(np.argmax(use))
        return float(use[row]) * (1 + self.novelty) / (1 + self.times), row

    def take(self, row: int) -> tuple[tuple[float, float, float, float], Cells, str]:
        """Return patch `row`, what is found in it and why it was chosen; it is taken from now on."""
        region, inside = self.patches[row], self.inside[row] & (self.value > 0)
        cells = self.found[inside]
        self._occupy(region)
        self.times += 1
        x0, y0, x1, y1 = region.tolist()
        return (x0, y0, x1, y1), cells, _reason(cells, self.found.novelty)

    def _occupy(self, region: npt.NDArray[np.floating]) -> None:
        """Leave out patches that share too much with `region`; cells with their middle in it teach no more."""
        overlap = np.minimum(self.patches[:, 2:], region[2:]) - np.maximum(self.patches[:, :2], region[:2])
        area = (self.patches[:, 2:] - self.patches[:, :2]).prod(1)
        self.free &= overlap.clip(min=0).prod(1) <= MAX_SHARED * area
        middle = (self.found.boxes[:, :2] + self.found.boxes[:, 2:]) / 2
        self.value = np.where(((middle > region[:2]) & (middle < region[2:])).all(1), 0, self.value)


def _values(found: Cells) -> npt.NDArray[np.float64]:
    """Return what the label of each cell (N,) would teach: doubt of the cell and of its type, and that it is one."""
    score = found.scores.astype(float)
    undecided = np.where(found.codes == UNKNOWN, 1.0, 1 - np.nan_to_num(found.class_scores, nan=1.0))
    typed = bool((found.codes != UNKNOWN).any())
    return np.asarray(4 * score * (1 - score) + score * (CONFIRMED + TYPE_DOUBT * undecided * typed))


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
    words = [f"{count} {name}{'s' * (count > 1)}" for name, count in names.items()]
    words = [word.replace("unknown type", "cell", 1) for word in words] or ["nothing found yet"]
    return ", ".join(words + ["unlike what the model knows"] * (novelty is not None and novelty > 1))
