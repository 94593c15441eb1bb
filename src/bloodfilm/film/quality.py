"""How good the pictures of a film are: focus, stain, density."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from skimage.color import rgb2gray
from skimage.filters import threshold_otsu
from skimage.measure import blur_effect

from bloodfilm.cells import FloatArray
from bloodfilm.io.images import RGB

BLURRED = 0.7
"""Sharp pictures of four data sets were below it, of the same blurred by 2 px seven in eight above."""

WINDOW = 1024
"""Pixels a side of the middle of a picture that is measured."""

MOST_NUCLEI = 50
FAINT = 0.06
"""Differences of optical density below this are noise, not cells and ground."""


class Quality(NamedTuple):
    """What one picture is like; NaN and "" where there is nothing to measure.

    Attributes
    ----------
    blur : float
        Perceptual blur from 0 (sharp) to 1 (Crete et al. 2007); above `BLURRED` a picture counts as blurred.
    covered : float
        Share of the ground between white cells that red cells cover: the density of the film.
    stain : float
        Optical density of nuclei in green over that of the ground; the strength of the stain.
    ground : str
        Median colour, such as ``#f0e8e4``.
    red_cells : str
        Median colour.
    nuclei : str
        Median colour.
    """

    blur: float
    covered: float
    stain: float
    ground: str
    red_cells: str
    nuclei: str

    @property
    def blurred(self) -> bool:
        return self.blur > BLURRED


NOT_MEASURED = Quality(np.nan, np.nan, np.nan, "", "", "")


def measure_quality(picture: RGB, boxes: FloatArray) -> Quality:
    """Return the quality of a picture (H, W, 3) with white cells in `boxes` (N, 4), by the middle of it and its cells.

    Red cells and ground outside the boxes, and nuclei and the rest inside of each, are told apart by Otsu's
    threshold of the optical density in green, where both nuclei and red cells are darkest.
    """
    rows, columns = (slice((n - min(n, WINDOW)) // 2, (n + min(n, WINDOW)) // 2) for n in picture.shape[:2])
    corners = np.rint(np.maximum(boxes, 0)).astype(int)
    free = np.ones(picture.shape[:2], bool)
    for x0, y0, x1, y1 in corners:
        free[y0:y1, x0:x1] = False
    outside = picture[rows, columns][free[rows, columns]]
    inside = [picture[y0:y1, x0:x1].reshape(-1, 3) for x0, y0, x1, y1 in corners[:MOST_NUCLEI]]
    red = _dark(outside)
    ground = outside[~red]
    nuclei = np.concatenate([outside[:0], *(cell[_dark(cell)] for cell in inside)])
    return Quality(
        float(blur_effect(rgb2gray(picture[rows, columns]))),
        float(red.mean()) if len(red) else np.nan,
        float(np.median(_density(nuclei)) - np.median(_density(ground))) if len(nuclei) and len(ground) else np.nan,
        _colour(ground),
        _colour(outside[red]),
        _colour(nuclei),
    )


def _density(colours: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the optical density in green of RGB values (N, 3)."""
    return -np.log10((colours[:, 1] + 1.0) / 256)


def _dark(colours: RGB) -> npt.NDArray[np.bool_]:
    """Return which of (N, 3) are on the dark side of Otsu's threshold; none if the sides hardly differ."""
    density = _density(colours)
    if not len(density) or np.ptp(density) == 0:
        return np.zeros(len(density), bool)
    dark = density > threshold_otsu(density)
    return np.asarray(dark & (np.median(density[dark]) - np.median(density[~dark]) > FAINT))


def _colour(colours: RGB) -> str:
    """Return the median of RGB values (N, 3) in hexadecimal, "" of none."""
    if not len(colours):
        return ""
    red, green, blue = np.median(colours, axis=0).astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"
