"""One white cell cut out of its picture: which pixels are nucleus, which are cytoplasm.

The box says about where the cell lies. Colours inside and outside of the ellipse in it are counted, each pixel is
given to the likelier side, and the colours are counted again (as GrabCut does, with histograms for mixtures; Rother,
Kolmogorov and Blake, ACM Trans. Graph. 2004). The nucleus is what is bluer and denser than the rest of the cell, by
Otsu's threshold first and by the colours of both parts then.

All colours are optical densities against the picture's own empty ground, on a grid on which every cell is equally
large: light, stain and magnification drop out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_otsu

from bloodfilm.errors import PictureError
from bloodfilm.io.images import RGB, as_rgb

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Bins = npt.NDArray[np.int32]
Box = Sequence[float] | npt.NDArray[np.floating]

SIDE = 80
"""Side of a square as large as the box, in pixels of the grid."""

MARGIN = 0.15
"""How much of the surroundings is looked at on each side of the box, as a share of it."""

BINS = 16
"""Bins of the colour histograms along each of the three optical densities."""

TRUST = 4.0
"""Log odds against a pixel that lies one box radius outside of the ellipse; at most 1 for one inside."""

MAX_ODDS = 4.0
"""Largest log odds that the colour of one pixel has."""

NUCLEUS_ODDS = 0.6
"""Log odds for the nucleus: hands outline it generously."""

MIN_SEPARABILITY = 0.78
"""If Otsu's threshold explains less of the variance in a cell, it parts clumps of chromatin, not the nucleus."""

CHROMATIN_GAPS = 0.5
"""In such a cell, what is denser than this share of the densest chromatin is nucleus."""

MIN_SIDE = 8
"""Smaller boxes, in pixels of the picture, are not segmented."""

MIN_CONTRAST = 0.05
"""Least optical density by which a cell must differ from its surroundings."""

MIN_NUCLEUS = 0.08
"""Least share of its cell that a nucleus takes."""


@dataclass(frozen=True, eq=False)
class Masks:
    """Pixels of one cell.

    Parameters
    ----------
    left, top : int
        Where in the picture the masks' first pixel lies.
    cell, nucleus : (H, W) bool
        The nucleus lies inside the cell.
    failure : str
        Why the masks are not to be measured; empty if they are.
    """

    left: int
    top: int
    cell: Mask
    nucleus: Mask
    failure: str = ""


@dataclass(frozen=True, eq=False)
class Patch:
    """One cell on the grid.

    Parameters
    ----------
    density : (H, W, 3) float32
        Optical density in red, green and blue; 0 is the empty film.
    radius : (H, W) float32
        Distance from the middle of the box; 1 on the ellipse in it.
    own : (H, W) bool
        Pixels that no neighbour's box claims.
    cell, nucleus : (H, W) bool
    pixel : (float, float)
        Width and height of a pixel of the grid in pixels of the picture.
    failure : str
        As in `Masks`.
    """

    density: Floats
    radius: Floats
    own: Mask
    cell: Mask
    nucleus: Mask
    pixel: tuple[float, float]
    failure: str


def empty_film(image: RGB) -> Floats:
    """Return red, green and blue (3,) of the lightest part of a picture: film with no cell on it."""
    step = max(1, int(np.sqrt(image.shape[0] * image.shape[1] / 250_000)))
    pixels = image[::step, ::step].reshape(-1, 3)
    darkest = pixels.min(1)
    return np.asarray(np.median(pixels[darkest >= np.quantile(darkest, 0.95)], axis=0), np.float32)


def segment(
    image: npt.ArrayLike,
    box: Box,
    neighbours: npt.ArrayLike = (),
    um_per_px: tuple[float, float] = (1, 1),
) -> Masks:
    """Cut one cell out of its picture.

    Parameters
    ----------
    image : array
        Grey, RGB or RGBA; `bloodfilm.io.images` says what becomes of each kind.
    box : (4,)
        ``x0, y0, x1, y1`` of the cell in pixels.
    neighbours : (M, 4), optional
        Boxes of other cells, which keep their pixels.
    um_per_px : (float, float)
        Micrometres per pixel in x and y: only their ratio, the squeeze, matters.

    Returns
    -------
    Masks
        In pixels of the picture.

    Raises
    ------
    PictureError
        If the array is no picture, or the box lies outside of it.
    """
    picture = as_rgb(image)
    bounds = surroundings(box, picture.shape)
    if bounds is None:
        raise PictureError("picture", f"the box {np.round(box, 1).tolist()} has less than {MIN_SIDE} px in it.")
    x0, y0, x1, y1 = bounds
    patch = cut_out(picture, box, neighbours, um_per_px, empty_film(picture))
    cell, nucleus = (_resized(mask, (x1 - x0, y1 - y0)) > 0.5 for mask in (patch.cell, patch.nucleus))
    return Masks(x0, y0, cell, nucleus & cell, patch.failure)


def surroundings(box: Box, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Return the rectangle to look at around a box in a picture of `shape` (H, W); None if too little is in it."""
    corners = np.asarray(box, float)
    size = np.array(shape[1::-1], float)
    inside = np.minimum(corners[2:], size) - np.maximum(corners[:2], 0)
    if (inside < MIN_SIDE).any():
        return None
    margin = MARGIN * (corners[2:] - corners[:2])
    x0, y0 = np.maximum(np.floor(corners[:2] - margin), 0).astype(int).tolist()
    x1, y1 = np.minimum(np.ceil(corners[2:] + margin), size).astype(int).tolist()
    return x0, y0, x1, y1


def cut_out(image: RGB, box: Box, neighbours: npt.ArrayLike, um_per_px: tuple[float, float], light: Floats) -> Patch:
    """Return the cell of a box that `surroundings` accepts, on the grid; the arguments are those of `segment`."""
    bounds = surroundings(box, image.shape)
    assert bounds is not None
    x0, y0, x1, y1 = bounds
    corners, unit = np.asarray(box, float), np.asarray(um_per_px, float)
    pixel = np.sqrt(((corners[2:] - corners[:2]) * unit).prod()) / SIDE / unit
    width, height = np.maximum(np.round((x1 - x0, y1 - y0) / pixel), 1).astype(int).tolist()
    pixel = np.array([(x1 - x0) / width, (y1 - y0) / height])
    colours = np.asarray(Image.fromarray(image[y0:y1, x0:x1]).resize((width, height), Image.Resampling.BILINEAR))
    density = -np.log((colours.astype(np.float32) + 1) / (light + 1))

    def radius(around: npt.NDArray[np.float64]) -> Floats:
        return _radius((height, width), (around - (x0, y0, x0, y0)) / np.tile(pixel, 2))

    own = radius(corners)
    others = [other for other in np.asarray(neighbours, float).reshape(-1, 4) if _near(other, bounds)]
    territory = np.logical_and.reduce([own <= radius(other) for other in others] or [np.ones_like(own, bool)])
    colours = _binned(density)
    cell = _cell(colours, own, territory)
    nucleus = _nucleus(density, colours, cell) if cell.sum() > 0.05 * SIDE**2 else np.zeros_like(cell)
    failure = _failure(density, own, territory, cell, nucleus)
    return Patch(density, own, territory, cell, nucleus, (float(pixel[0]), float(pixel[1])), failure)


def _near(box: npt.NDArray[np.float64], bounds: tuple[int, int, int, int]) -> bool:
    return bool((box[:2] < bounds[2:]).all() and (box[2:] > bounds[:2]).all())


def _radius(shape: tuple[int, int], box: npt.NDArray[np.floating]) -> Floats:
    """Return the distance (H, W) from the middle of a box, in its half sides."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    (middle_x, middle_y), (half_x, half_y) = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    return np.asarray(np.hypot((x + 0.5 - middle_x) / half_x, (y + 0.5 - middle_y) / half_y), np.float32)


def _cell(colours: Bins, radius: Floats, own: Mask) -> Mask:
    """Return the cell, grown by the pixel that its blurred rim loses to the ground."""
    prior = odds = TRUST * np.clip(1 - radius, -4, 1 / TRUST)
    for _ in range(3):
        inside = own / (1 + np.exp(-odds))
        odds = prior + ndimage.gaussian_filter(_log_odds(colours, inside, own - inside), SIDE / 80)
    labels, count = ndimage.label((odds > 0) & own)
    if not count:
        return np.zeros_like(own)
    weight = ndimage.sum_labels(np.exp(-(radius**2)), labels, np.arange(1, count + 1))
    cell = ndimage.binary_fill_holes(_closed(labels == 1 + np.argmax(weight)))
    return np.asarray(ndimage.binary_dilation(cell) & own, bool)


def _nucleus(density: Floats, colours: Bins, cell: Mask) -> Mask:
    """Return the nucleus: dense in red and green, where red cells and eosin let red pass, and less so in blue."""
    basophilic = ndimage.gaussian_filter(density @ np.array([1, 1, -1], np.float32), SIDE / 96)
    within = threshold_otsu(basophilic[cell])
    threshold = (threshold_otsu(basophilic) + within) / 2
    if _separability(basophilic[cell], within) < MIN_SEPARABILITY:
        threshold = min(threshold, CHROMATIN_GAPS * np.quantile(basophilic[cell], 0.9))
    nucleus = (basophilic > threshold) & cell
    for _ in range(2):
        odds = _log_odds(colours, nucleus, cell & ~nucleus)
        nucleus = (ndimage.gaussian_filter(odds, SIDE / 64) + NUCLEUS_ODDS > 0) & cell
    return _tidied(nucleus, 0.03 * cell.sum(), 0.05 * cell.sum())


def _closed(mask: Mask) -> Mask:
    """Return `mask` with notches of up to six pixels closed."""
    return np.asarray(ndimage.binary_closing(np.pad(mask, 3), iterations=3)[3:-3, 3:-3], bool)


def _separability(values: Floats, threshold: float) -> float:
    """Return the share of the variance that lies between both sides of a threshold (Otsu 1979)."""
    above = values > threshold
    share = above.mean()
    if share in (0, 1):
        return 0.0
    return float(share * (1 - share) * (values[above].mean() - values[~above].mean()) ** 2 / values.var())


def _tidied(mask: Mask, smallest: float, hole: float) -> Mask:
    """Return `mask` without thin rims, without parts below `smallest` and holes below `hole`, both in pixels."""
    disc = np.hypot(*np.ogrid[-2:3, -2:3]) < 2.5
    labels, _ = ndimage.label(ndimage.binary_opening(mask, disc))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    mask = (sizes >= max(smallest, 0.1 * sizes.max()))[labels] & (labels > 0)
    labels, _ = ndimage.label(~mask)
    return np.asarray(mask | (np.bincount(labels.ravel()) < hole)[labels], bool)


def _failure(density: Floats, radius: Floats, own: Mask, cell: Mask, nucleus: Mask) -> str:
    around = own & ~cell & (radius > 1)
    if not cell.any() or (
        around.any() and np.abs(density[cell].mean(0) - density[around].mean(0)).max() < MIN_CONTRAST
    ):
        return "the cell does not stand out"
    if nucleus.sum() < MIN_NUCLEUS * cell.sum():
        return "no nucleus found"
    return ""


def _binned(density: Floats) -> Bins:
    """Return for each pixel (H, W) the number of its colour's bin."""
    low, high = np.quantile(density[::2, ::2].reshape(-1, 3), (0.005, 0.995), axis=0).astype(np.float32)
    steps = ((density - low) / (high - low + 1e-6) * BINS).clip(0, BINS - 1).astype(np.int32)
    return np.asarray((steps[..., 0] * BINS + steps[..., 1]) * BINS + steps[..., 2])


def _log_odds(colours: Bins, first: npt.NDArray[np.generic], second: npt.NDArray[np.generic]) -> Floats:
    """Return how much likelier each pixel's colour (H, W) is among those that weigh `first` than `second`."""
    counts = np.stack([np.bincount(colours.ravel(), part.ravel(), BINS**3) for part in (first, second)])
    smooth = ndimage.gaussian_filter(
        counts.astype(np.float32).reshape(2, BINS, BINS, BINS), (0, 1, 1, 1), mode="constant"
    ).reshape(2, -1)
    frequencies = np.log(smooth / np.maximum(smooth.sum(1, keepdims=True), 1e-9) + 1e-5)
    return np.asarray((frequencies[0] - frequencies[1]).clip(-MAX_ODDS, MAX_ODDS)[colours], np.float32)


def _resized(mask: Mask, size: tuple[int, int]) -> Floats:
    """Return a mask as shares (H, W) at another `size` (width, height)."""
    picture = Image.fromarray(mask.astype(np.float32))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR), np.float32)
