"""Red cells as a ruler: how many micrometres a pixel is, and if the picture is squeezed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bloodfilm.cells import MAX_SQUEEZE, Scale

RED_CELL_UM = 7.5
"""Diameter of a normal red cell on a film, 7.2 to 7.8 um (Bain, Blood Cells, 6th ed., 2022)."""

MIN_RED_CELLS = 8
MAX_ERROR = 0.05

FEW_RED_CELLS = 3
"""As many say well enough how large a picture is to be searched, if not what a pixel is."""

LEARNED = (20.0, 90.0)
"""Diameters of red cells, in pixels of its input, that a network can see whose pictures came as they were."""

SEARCHED = (0.8, 0.92)
"""Limits of the diameter of red cells in a search, in that of those that a network learned at."""

MAX_SIDE = 1600


@dataclass(frozen=True)
class Ruler:
    """Size of a normal red cell on a picture.

    Parameters
    ----------
    width, height : float
        Median of the red cells measured, in pixels.
    error : float
        Standard error of the larger of both, as a share of it.
    cells : int
        Red cells measured; 0 if somebody said how large a pixel is.
    """

    width: float
    height: float
    error: float
    cells: int

    @property
    def sure(self) -> bool:
        """If enough red cells agree, or nothing had to be measured."""
        return not self.cells or (self.cells >= MIN_RED_CELLS and self.error <= MAX_ERROR)

    @property
    def um_per_px(self) -> tuple[float, float]:
        """Micrometres per pixel in x and y."""
        return RED_CELL_UM / self.width, RED_CELL_UM / self.height

    @property
    def squeeze(self) -> float:
        """Width over height of what is round."""
        return self.width / self.height

    def scale(self, shape: tuple[int, int], size: tuple[int, int]) -> Scale:
        """Return the scale of a picture of `shape` that was searched at `size`, both (height, width)."""
        return Scale(self.um_per_px, self.error, self.cells, self.sure, (size[1] / shape[1], size[0] / shape[0]))


def measure(sizes: npt.NDArray[np.floating]) -> Ruler | None:
    """Measure red cells by their `sizes` (N, 2); None without any.

    Medians are robust against the few clumps that are boxed as one.
    """
    if not len(sizes):
        return None
    medians = np.median(sizes, axis=0)
    spread = 1.4826 * np.median(np.abs(sizes - medians), axis=0) / medians
    error = 1.2533 * float(spread.max()) / math.sqrt(len(sizes))
    return Ruler(float(medians[0]), float(medians[1]), error, len(sizes))


def surest(measured: Ruler | None, pixel_size: float | None) -> Ruler | None:
    """Return the `measured` ruler if it is sure; else, if it is known, that of `pixel_size` in micrometres."""
    if pixel_size is None or (measured and measured.sure):
        return measured
    return Ruler(RED_CELL_UM / pixel_size, RED_CELL_UM / pixel_size, 0.0, 0)


def is_rough(ruler: Ruler | None) -> bool:
    """Tell if a ruler is there that says how large a picture is to be searched, if no more."""
    return ruler is not None and (not ruler.cells or ruler.cells >= FEW_RED_CELLS)


def is_surer(ruler: Ruler | None, other: Ruler | None) -> bool:
    """Tell if a ruler is more to be relied on than another one."""

    def rank(each: Ruler | None) -> int:
        return is_rough(each) + bool(each and each.sure)

    return rank(ruler) > rank(other)


def learned(red_cells: float | None) -> tuple[float, float]:
    """Return the diameters, in pixels, at which a network that learned at this one searches."""
    return (SEARCHED[0] * red_cells, SEARCHED[1] * red_cells) if red_cells else LEARNED


def right_size(
    ruler: Ruler | None, shape: tuple[int, int], size: tuple[int, int], limits: tuple[float, float] = LEARNED
) -> tuple[int, int]:
    """Return height and width at which to search a picture of `shape` rather than at `size`.

    Red cells become as large as `limits` say, as far as `MAX_SIDE` allows it, and round if the ruler is sure; `size`
    stays if they were so, or if there is no ruler.
    """
    if ruler is None or not is_rough(ruler):
        return size
    wanted = _wanted(ruler, shape, size, limits)
    factor = wanted * min(1.0, float((MAX_SIDE / (np.array(size) * wanted)).min()))
    if np.abs(factor - 1).max() < 0.05:
        return size
    height, width = np.maximum((np.array(size) * factor).round(), 32).astype(int).tolist()
    return height, width


def too_large(
    ruler: Ruler, shape: tuple[int, int], size: tuple[int, int], limits: tuple[float, float] = LEARNED
) -> bool:
    """Tell if a picture of `shape` would have to be larger than `MAX_SIDE` for its red cells to be large enough."""
    return bool((np.array(size) * _wanted(ruler, shape, size, limits)).max() > MAX_SIDE)


def _wanted(
    ruler: Ruler, shape: tuple[int, int], size: tuple[int, int], limits: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """Return by how much height and width have to be more than `size`."""
    seen = np.array([ruler.height, ruler.width]) * size / shape
    diameter = float(np.clip(np.sqrt(seen.prod()), *limits))
    squeezed = ruler.sure and max(ruler.squeeze, 1 / ruler.squeeze) > MAX_SQUEEZE
    return np.asarray(diameter / (seen if squeezed else np.sqrt(seen.prod()).repeat(2)))
