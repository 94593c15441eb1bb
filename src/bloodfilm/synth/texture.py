"""Soft shapes and filtered noise: what every drawn cell is made of."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, zoom
from scipy.spatial import cKDTree

Image = npt.NDArray[np.float32]


def centred_grid(half: int) -> tuple[Image, Image]:
    """Return ``y, x`` of a square patch of ``2 * half + 1`` pixels, zero in its middle."""
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    return y, x


def smooth_noise(shape: tuple[int, int], scale: float, rng: np.random.Generator) -> Image:
    """Return noise of mean about 0 and variance about 1 whose features are about `scale` pixels wide."""
    step = max(1, int(scale / 4))
    coarse = (shape[0] // step + 4, shape[1] // step + 4)
    sigma = scale / step / 2
    noise = gaussian_filter(rng.standard_normal(coarse, dtype=np.float32), sigma, mode="reflect")
    noise *= max(1.0, 2 * np.sqrt(np.pi) * sigma)
    if step > 1:
        noise = zoom(noise, step, order=1)
    return np.asarray(noise[: shape[0], : shape[1]], np.float32)


def soft_step(depth: Image, width: float = 1.0) -> Image:
    """Return 0 outside, 1 inside and a smooth slope of `width` pixels around ``depth == 0``."""
    t = np.clip(depth / width + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def wobble(angle: Image, roughness: float, rng: np.random.Generator, orders: Iterable[int] = range(2, 7)) -> Image:
    """Return factors around 1 by which a radius varies with the angle: a few low Fourier orders."""
    factor = np.ones_like(angle)
    for order in orders:
        factor += roughness * rng.normal() * np.cos(order * angle + rng.uniform(0, 2 * np.pi)) / order
    return factor


def disc(
    y: Image,
    x: Image,
    radius: float,
    rng: np.random.Generator,
    aspect: float = 1.0,
    roughness: float = 0.05,
) -> Image:
    """Return the depth in pixels below an irregular elliptic outline: positive inside, negative outside."""
    turn = rng.uniform(0, np.pi)
    along = (np.cos(turn) * x + np.sin(turn) * y) * np.sqrt(aspect)
    across = (np.cos(turn) * y - np.sin(turn) * x) / np.sqrt(aspect)
    outline = radius * wobble(np.arctan2(across, along), roughness, rng)
    return np.asarray(outline - np.hypot(along, across), np.float32)


def thick_curve(y: Image, x: Image, points: npt.NDArray[np.floating], radii: npt.NDArray[np.floating]) -> Image:
    """Return the depth in pixels below the skin of a curve of varying thickness.

    Parameters
    ----------
    y, x : (H, W) float32
        Pixel positions.
    points : (N, 2) float
        ``y, x`` along the curve, closely spaced.
    radii : (N,) float
        Half the thickness at each point, in pixels.
    """
    depth = np.full(x.shape, -np.inf, np.float32)
    for (py, px), radius in zip(points, radii, strict=True):
        np.maximum(depth, radius - np.hypot(y - py, x - px), out=depth)
    return depth


def granules(
    y: Image,
    x: Image,
    inside: Image,
    radius: float,
    spacing: float,
    rng: np.random.Generator,
    width: float = 1.2,
) -> tuple[Image, Image]:
    """Strew round granules over the pixels where ``inside > 0.5``.

    Parameters
    ----------
    radius, spacing : float
        Mean radius and mean distance of granules, in pixels.
    width : float
        Softness of their edges, in pixels.

    Returns
    -------
    cover, shade : (H, W) float32
        How far a pixel lies in a granule, 0 to 1, and how strongly that granule is stained, about 1.
    """
    rows, columns = np.nonzero(inside > 0.5)
    count = min(len(rows), int(len(rows) / spacing**2))
    if not count:
        return np.zeros_like(x), np.ones_like(x)
    chosen = rng.choice(len(rows), count, replace=False)
    places = np.stack([y[rows[chosen], columns[chosen]], x[rows[chosen], columns[chosen]]], 1)
    places += rng.uniform(-0.5, 0.5, places.shape)
    radii = radius * rng.lognormal(0, 0.3, count)
    shades = rng.lognormal(-0.05, 0.35, count)
    distance, nearest = cKDTree(places).query(np.stack([y.ravel(), x.ravel()], 1))
    cover = soft_step((radii[nearest] - distance).reshape(x.shape), width)
    return cover, shades[nearest].reshape(x.shape).astype(np.float32)
