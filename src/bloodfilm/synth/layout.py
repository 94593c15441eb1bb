"""Where cells lie: white cells apart from each other, red cells pushed aside until few overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.float64]


def place_boxes(
    sizes: Sequence[tuple[int, int]],
    width: int,
    height: int,
    gap: float,
    rng: np.random.Generator,
    tries: int = 200,
) -> list[tuple[int, int] | None]:
    """Return the left and top pixel of each box, or None where it found no room.

    Parameters
    ----------
    sizes : sequence of (width, height)
        In pixels.
    width, height : int
        The picture, in pixels; boxes lie fully inside.
    gap : float
        Least distance between boxes, in pixels.
    """
    taken = np.empty((0, 4))
    places: list[tuple[int, int] | None] = []
    for w, h in sizes:
        place = None
        for _ in range(tries if w <= width and h <= height else 0):
            left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            apart = (left > taken[:, 2]) | (left + w < taken[:, 0]) | (top > taken[:, 3]) | (top + h < taken[:, 1])
            if apart.all():
                place = (left, top)
                grown = [[left - gap, top - gap, left + w + gap, top + h + gap]]
                taken = np.concatenate([taken, grown])
                break
        places.append(place)
    return places


def scatter_discs(
    radii: Floats,
    width: float,
    height: float,
    obstacles: Floats,
    rng: np.random.Generator,
    rounds: int = 40,
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Strew discs and push them apart until only a few overlap.

    Parameters
    ----------
    radii : (N,) float
        In pixels.
    width, height : float
        The area to strew them over, in pixels.
    obstacles : (M, 3) float
        ``x, y, radius`` of discs that stay where they are.

    Returns
    -------
    centres : (N, 2) float
        ``x, y`` in pixels.
    free : (N,) bool
        Whether a disc ended up clear of all obstacles.
    """
    n = len(radii)
    margin = 2 * radii.max(initial=0)
    centres = rng.uniform([-margin, -margin], [width + margin, height + margin], (n, 2))
    centres = np.concatenate([centres, obstacles[:, :2]])
    sizes = np.concatenate([radii, obstacles[:, 2]])
    clearance = np.where(rng.random(len(sizes)) < 0.3, rng.uniform(0.5, 0.9, len(sizes)), 1.08)
    clearance[n:] = 1.0
    for _ in range(rounds):
        first, second = cKDTree(centres).query_pairs(2.2 * sizes.max(initial=0), output_type="ndarray").T
        offset = centres[second] - centres[first]
        distance = np.maximum(np.hypot(*offset.T), 1e-6)
        wanted = (sizes[first] + sizes[second]) * np.maximum(clearance[first], clearance[second])
        push = offset * (0.35 * np.maximum(wanted - distance, 0) / distance)[:, None]
        np.add.at(centres, first, -push)
        np.add.at(centres, second, push)
        centres[n:] = obstacles[:, :2]
    free = np.ones(n, bool)
    for x, y, size in obstacles:
        free &= np.hypot(centres[:n, 0] - x, centres[:n, 1] - y) > size + 0.75 * radii
    return centres[:n], free
