"""Pictures for a page: crops of cells and small fields, as JPEG inside the page."""

from __future__ import annotations

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from bloodfilm.cells import FloatArray
from bloodfilm.io.images import RGB

MARGIN = 1.3
"""Sides of a crop over the longer side of the cell's box."""


def crop_cell(picture: RGB, box: FloatArray, um_per_px: tuple[float, float] = (1, 1), side: int = 120) -> RGB:
    """Return the square around a box, `side` pixels wide; what lies outside the picture repeats its edge.

    Where pixels are not square, as `um_per_px` in x and y says, so much more of the picture is taken in one
    direction that the cell is seen as it is.
    """
    x0, y0, x1, y1 = (float(value) for value in box)
    length = MARGIN * max((x1 - x0) * um_per_px[0], (y1 - y0) * um_per_px[1])
    columns = _pixels((x0 + x1) / 2, length / um_per_px[0], picture.shape[1])
    rows = _pixels((y0 + y1) / 2, length / um_per_px[1], picture.shape[0])
    crop = Image.fromarray(picture[rows[:, None], columns])
    return np.asarray(crop.resize((side, side), Image.Resampling.LANCZOS))


def _pixels(centre: float, length: float, size: int) -> npt.NDArray[np.int64]:
    """Return the numbers of the pixels around `centre`, at least one; those outside of `size` are its edge's."""
    count = max(round(length), 1)
    return np.clip(round(centre - count / 2) + np.arange(count), 0, size - 1)


def thumbnail(picture: RGB, side: int = 160) -> RGB:
    """Return the picture with its longer side `side` pixels long."""
    image = Image.fromarray(picture)
    image.thumbnail((side, side))
    return np.asarray(image)


def data_uri(picture: RGB, quality: int = 82) -> str:
    """Return the picture (H, W, 3) as a JPEG in text, to stand in a page."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
