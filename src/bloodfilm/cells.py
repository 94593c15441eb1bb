"""The one table that readers return, the network fills and writers take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bloodfilm.vocabulary import LLD, NOT_PREDICTED, UNKNOWN, UNKNOWN_CLASS, Vocabulary

MAX_SQUEEZE = 1.2
"""Pictures whose pixels are less unequal than this count as not squeezed."""

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Scale:
    """How large the pixels of a picture are, by its red cells or as somebody said, and how it was searched.

    Parameters
    ----------
    um_per_px : (float, float)
        Micrometres per pixel in x and y.
    error : float
        Standard error of it, as a share.
    red_cells : int
        Red cells that were measured; 0 if the file or the user said how large a pixel is.
    sure : bool
        If they are enough, and agree.
    resized : (float, float)
        Pixels that were searched per pixel of the picture, in x and y.
    """

    um_per_px: tuple[float, float]
    error: float
    red_cells: int
    sure: bool
    resized: tuple[float, float]

    def __str__(self) -> str:
        x, y = self.um_per_px
        squeezed = f", squeezed to {y / x:.0%} of its width" if max(x / y, y / x) > MAX_SQUEEZE else ""
        doubt = "" if self.sure else "perhaps "
        origin = f"by {self.red_cells} red cells" if self.red_cells else "as given"
        return f"{doubt}{y:.3f} µm per pixel {origin}{squeezed}"


@dataclass(frozen=True, eq=False)
class Cells:
    """N cells of one image as arrays of length N.

    Parameters
    ----------
    boxes : (N, 4) float32
        ``x0, y0, x1, y1`` in pixels of the full-resolution image; finite, with ``x0 < x1`` and ``y0 < y1``.
    codes : (N,) int16, optional
        Class codes; `UNKNOWN` where the type is not known.
    scores : (N,) float32, optional
        Probability that there is a cell; 1 for annotated cells.
    class_scores : (N,) float32, optional
        Probability of the class that `codes` gives; NaN where unknown.
    attributes : (N, A) int16, optional
        Codes of the attribute values; `UNKNOWN` where not annotated, not predicted or not applicable.
    attribute_scores : (N, A) float32, optional
        Probability of the value that `attributes` gives; NaN where there is none.
    vocabulary : Vocabulary
        What the codes mean.
    extra : dict of (N,) arrays
        Free further columns.
    scale : Scale, optional
        Of the picture, if it is known.
    novelty : float, optional
        How unlike the picture is to those that the model learned from; above 1 are 1 % of pictures like those.

    Raises
    ------
    ValueError
        If lengths differ, a box is not finite or has no area, a code is not in the vocabulary, or a score
        is not from 0 to 1.
    """

    boxes: FloatArray
    codes: IntArray = None  # type: ignore[assignment]
    scores: FloatArray = None  # type: ignore[assignment]
    class_scores: FloatArray = None  # type: ignore[assignment]
    attributes: IntArray = None  # type: ignore[assignment]
    attribute_scores: FloatArray = None  # type: ignore[assignment]
    vocabulary: Vocabulary = LLD
    extra: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    scale: Scale | None = None
    novelty: float | None = None

    def __post_init__(self) -> None:
        boxes = np.asarray(self.boxes, np.float32)
        if boxes.size and (boxes.ndim != 2 or boxes.shape[1] != 4):
            raise ValueError(f"boxes has the shape {boxes.shape}; it needs (N, 4).")
        boxes = boxes.reshape(-1, 4)
        n, a = len(boxes), len(self.vocabulary.attributes)
        columns = {
            "codes": (np.int16, (n,), UNKNOWN),
            "scores": (np.float32, (n,), 1),
            "class_scores": (np.float32, (n,), np.nan),
            "attributes": (np.int16, (n, a), UNKNOWN),
            "attribute_scores": (np.float32, (n, a), np.nan),
        }
        object.__setattr__(self, "boxes", boxes)
        for name, (dtype, shape, default) in columns.items():
            value = getattr(self, name)
            array = np.full(shape, default, dtype) if value is None else np.asarray(value)
            if array.shape != shape:
                raise ValueError(f"{name} has the shape {array.shape}; {n} cells need {shape}.")
            with np.errstate(invalid="ignore"):
                given, array = array, np.asarray(array, dtype)
            if dtype is np.int16 and (given != array).any():
                raise ValueError(f"{name} are small whole numbers.")
            object.__setattr__(self, name, array)
        for name, column in self.extra.items():
            if len(column) != n:
                raise ValueError(f"Column {name} has {len(column)} values for {n} cells.")
        self._check_values()

    def _check_values(self) -> None:
        sound = np.isfinite(self.boxes).all(1) & (self.boxes[:, :2] < self.boxes[:, 2:]).all(1)
        if not sound.all():
            row = int(np.argmin(sound))
            raise ValueError(f"Box {row} is {self.boxes[row].tolist()}: it needs x0 < x1 and y0 < y1, all finite.")
        if ((self.codes < UNKNOWN) | (self.codes >= len(self.vocabulary.classes))).any():
            raise ValueError(f"Class codes go from {UNKNOWN} to {len(self.vocabulary.classes) - 1}.")
        if ((self.attributes < UNKNOWN) | (self.attributes >= np.array(self.vocabulary.value_counts, int))).any():
            raise ValueError("An attribute code is outside its attribute's values.")
        if not ((self.scores >= 0) & (self.scores <= 1)).all():
            raise ValueError("Scores go from 0 to 1.")
        for given in (self.class_scores, self.attribute_scores):
            if ((given < 0) | (given > 1)).any():
                raise ValueError("Scores of types and attributes go from 0 to 1, or are NaN.")

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: npt.NDArray[Any] | slice | Sequence[int]) -> Cells:
        """Return the cells that a mask, a slice or row numbers choose."""
        if not isinstance(rows, slice):
            rows = np.asarray(rows) if len(rows) else np.empty(0, int)
        names = ("boxes", "codes", "scores", "class_scores", "attributes", "attribute_scores")
        extra = {name: column[rows] for name, column in self.extra.items()}
        return replace(self, **{name: getattr(self, name)[rows] for name in names}, extra=extra)

    @classmethod
    def empty(cls, vocabulary: Vocabulary = LLD) -> Cells:
        return cls(np.empty((0, 4), np.float32), vocabulary=vocabulary)

    @property
    def diameters_um(self) -> FloatArray:
        """Diameters (N,) of cells that fill their boxes, in micrometres, √(width x height); NaN if not sure."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        unit = self.scale.um_per_px if self.scale and self.scale.sure else (np.nan, np.nan)
        return np.asarray(np.sqrt((sides * np.array(unit)).prod(1)), np.float32)

    @property
    def class_names(self) -> list[str]:
        return self.vocabulary.class_names(self.codes)

    @property
    def scored(self) -> npt.NDArray[np.bool_]:
        """Which cells (N,) have a score other than 1, or a probability of their type, as a model gives."""
        return np.asarray((self.scores != 1) | np.isfinite(self.class_scores))

    def in_order(self) -> Cells:
        """Return the cells by falling score; equal scores go from top to bottom, then left to right."""
        return self[np.lexsort((self.boxes[:, 0], self.boxes[:, 1], -self.scores))]

    def shifted(self, x: float, y: float) -> Cells:
        """Return the cells with `x` and `y` added to their boxes."""
        return replace(self, boxes=self.boxes + np.array([x, y, x, y], np.float32))

    def to_frame(self, missing: str = NOT_PREDICTED) -> pd.DataFrame:
        """Return class, scores and attributes in words, one row a cell; codes without a word read `missing`."""
        class_words = [*self.vocabulary.classes, UNKNOWN_CLASS]
        frame = pd.DataFrame(
            {
                "class": pd.Categorical(self.class_names, categories=class_words),
                "score": self.scores,
                "class_score": self.class_scores,
            }
        )
        for column, attribute in enumerate(self.vocabulary.attributes):
            words = [attribute.word(code, missing) for code in self.attributes[:, column]]
            frame[attribute.name] = pd.Categorical(words, categories=[*attribute.values, missing])
            frame[f"{attribute.name}_score"] = self.attribute_scores[:, column]
        if self.scale:
            frame["diameter_um"] = self.diameters_um
        for name, values in self.extra.items():
            frame[name] = values
        return frame

    @classmethod
    def from_frame(cls, boxes: npt.ArrayLike, frame: pd.DataFrame, vocabulary: Vocabulary = LLD) -> Cells:
        """Undo `to_frame`; what is missing becomes unknown, a score 1; further columns go to `extra`."""

        def numbers(name: str, default: float) -> FloatArray:
            return np.asarray(frame.get(name, np.full(len(frame), default)), np.float32)

        a = vocabulary.attributes
        words = [frame.get(each.name, np.full(len(frame), NOT_PREDICTED)) for each in a]
        known = {"class", "score", "class_score", *(n for each in a for n in (each.name, f"{each.name}_score"))}
        return cls(
            np.asarray(boxes, np.float32).reshape(-1, 4),
            codes=np.array([vocabulary.class_code(name) for name in frame.get("class", [""] * len(frame))], np.int16),
            scores=np.nan_to_num(numbers("score", 1), nan=1),
            class_scores=numbers("class_score", np.nan),
            attributes=np.array(
                [[each.code(w) for w in column] for each, column in zip(a, words, strict=True)], np.int16
            )
            .reshape(len(a), len(frame))
            .T,
            attribute_scores=np.stack([numbers(f"{each.name}_score", np.nan) for each in a], axis=1)
            if a
            else np.empty((len(frame), 0), np.float32),
            vocabulary=vocabulary,
            extra={name: frame[name].to_numpy() for name in frame.columns if name not in known},
        )


def concatenate(tables: Iterable[Cells]) -> Cells:
    """Join tables of one vocabulary into one, with the further columns and the scale that all of them share.

    The novelty is that of the most unlike part.
    """
    parts = list(tables)
    if not parts:
        return Cells.empty()
    if any(part.vocabulary != parts[0].vocabulary for part in parts):
        raise ValueError("Tables of different vocabularies cannot be joined.")
    names = ("boxes", "codes", "scores", "class_scores", "attributes", "attribute_scores")
    shared = set.intersection(*(set(part.extra) for part in parts))
    return Cells(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names},
        vocabulary=parts[0].vocabulary,
        extra={name: np.concatenate([part.extra[name] for part in parts]) for name in sorted(shared)},
        scale=parts[0].scale if len({part.scale for part in parts}) == 1 else None,
        novelty=max((part.novelty for part in parts if part.novelty is not None), default=None),
    )


@dataclass(frozen=True)
class Origin:
    """Where a picture was taken, as its name tells.

    `magnification` is the total one (1000 with a 100x objective), `view` the number of a picture among those
    of one `field`, or None.
    """

    patient: str
    field: int
    view: int | None
    magnification: int
    diagnosis: str


@dataclass(frozen=True, eq=False)
class Field:
    """One picture on disk and what is known about it.

    Parameters
    ----------
    cells : Cells
        The white cells.
    ignored : (M, 4) float32
        Boxes of white cells that nobody labelled: neither right nor wrong when found.
    source : str
        Data set or microscope that the picture comes from.
    auxiliary : dict of (M, 4) float32
        Boxes of red cells and platelets by their names in `bloodfilm.vocabulary.AUXILIARY`.
    complete : set of str
        Those of them that are labelled wherever they occur. Of the others, those without a box are unknown.
    labelled_regions : (R, 4) float32, optional
        Rectangles as x0, y0, x1, y1 in pixels outside of which nobody looked for white cells. None if somebody
        looked everywhere, none at all if it is unknown where.
    origin : Origin, optional
    """

    path: Path
    cells: Cells
    width: int
    height: int
    ignored: FloatArray = field(default_factory=lambda: np.empty((0, 4), np.float32))
    source: str = ""
    name: str = ""
    auxiliary: dict[str, FloatArray] = field(default_factory=dict)
    complete: frozenset[str] = frozenset()
    labelled_regions: FloatArray | None = None
    origin: Origin | None = None

    @property
    def is_labelled_in_part(self) -> bool:
        """If there are places where nobody looked for white cells, or may be."""
        regions, whole = self.labelled_regions, (0, 0, self.width, self.height)
        return regions is not None and not any(np.allclose(region, whole, atol=2) for region in regions)

    def looked_at(self, boxes: FloatArray) -> npt.NDArray[np.bool_]:
        """Tell of which of `boxes` (N, 4) the middle lies where somebody looked for white cells."""
        if not self.is_labelled_in_part or self.labelled_regions is None:
            return np.ones(len(boxes), bool)
        return np.asarray(inside(boxes, self.labelled_regions).any(1))


def inside(boxes: npt.NDArray[Any], regions: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell of which boxes (N, 4) the middle lies in which of `regions` (R, 4): (N, R)."""
    middle = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    return np.asarray(((middle >= regions[:, :2]) & (middle <= regions[:, 2:])).all(2))
