"""Cytoplasm of the five mature white cells as optical density."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bloodfilm.synth.stain import Stains, stained
from bloodfilm.synth.texture import Image, disc, granules, smooth_noise, soft_step


@dataclass(frozen=True, eq=False)
class Body:
    """Outline of one cell.

    Parameters
    ----------
    y, x : (H, W) float32
        Pixel positions from the cell's centre.
    depth : (H, W) float32
        Pixels below the cell's skin, negative outside.
    radius : float
        In pixels.
    """

    y: Image
    x: Image
    depth: Image
    radius: float

    def granules(
        self, size: float, spacing: float, rng: np.random.Generator, softness: float = 0.03
    ) -> tuple[Image, Image]:
        """Return cover and shade of granules; all lengths are shares of the cell's radius."""
        inside = soft_step(self.depth - 0.6 * size * self.radius)
        r = self.radius
        return granules(self.y, self.x, inside, size * r, spacing * r, rng, max(1.2, softness * r))

    def cloud(self, amount: float, rng: np.random.Generator) -> Image:
        """Return uneven staining around 0: broad clouds and fine grain."""
        broad = smooth_noise(self.depth.shape, 0.3 * self.radius, rng)
        fine = smooth_noise(self.depth.shape, 0.05 * self.radius, rng)
        return np.asarray(amount * (0.6 * broad + 0.7 * fine), np.float32)


def neutrophil_cytoplasm(body: Body, stains: Stains, rng: np.random.Generator) -> Image:
    """Return the optical density (H, W, 3) of pale pink cytoplasm with fine granules."""
    cover, shade = body.granules(0.02, 0.075, rng, softness=0.05)
    return stained(0.85 + body.cloud(0.14, rng), stains.eosin) + stained(
        0.3 * cover * shade**2, stains.azurophil_granule
    )


def lymphocyte_cytoplasm(body: Body, stains: Stains, rng: np.random.Generator) -> Image:
    """Return the optical density (H, W, 3) of clear sky-blue cytoplasm."""
    return stained(0.9 + body.cloud(0.16, rng), stains.azure)


def monocyte_cytoplasm(body: Body, stains: Stains, rng: np.random.Generator) -> Image:
    """Return the optical density (H, W, 3) of grey-blue, cloudy cytoplasm with azurophilic dust."""
    fading = 0.65 + 0.35 * soft_step(body.depth - 0.15 * body.radius, 0.3 * body.radius)
    blue = (0.62 + body.cloud(0.24, rng)) * fading
    cover, shade = body.granules(0.02, 0.08, rng)
    pink = np.full_like(body.x, 0.6)
    dust = 0.12 * cover * shade**2
    return stained(blue, stains.azure) + stained(pink, stains.eosin) + stained(dust, stains.azurophil_granule)


def eosinophil_cytoplasm(body: Body, stains: Stains, rng: np.random.Generator) -> Image:
    """Return the optical density (H, W, 3) of coarse orange-red granules that fill the cell."""
    deep, deep_shade = body.granules(0.06, 0.09, rng, softness=0.06)
    cover, shade = body.granules(0.055, 0.12, rng)
    granular = 0.45 + 0.35 * deep * deep_shade + 0.2 * cover * shade + body.cloud(0.06, rng)
    return stained(granular, stains.eosinophil_granule)


def basophil_cytoplasm(body: Body, stains: Stains, rng: np.random.Generator) -> Image:
    """Return the optical density (H, W, 3) of mauve cytoplasm below `basophil_granules`."""
    return stained(0.9 + body.cloud(0.2, rng), stains.eosin) + stained(np.full_like(body.x, 0.25), stains.azure)


def basophil_granules(body: Body, stains: Stains, rng: np.random.Generator) -> Image:
    """Return the optical density (H, W, 3) of coarse dark purple granules that hide the nucleus."""
    deep, deep_shade = body.granules(0.075, 0.13, rng, softness=0.1)
    cover, shade = body.granules(0.06, 0.14, rng, softness=0.06)
    return stained(0.45 * deep * deep_shade + 0.35 * cover * shade, stains.basophil_granule)


def vacuoles(
    body: Body, room: Image, count: int, rng: np.random.Generator, sizes: tuple[float, float] = (0.04, 0.09)
) -> Image:
    """Return the cover (H, W), 0 to 1, of `count` round holes with their centres where ``room`` is deep enough.

    Their radii are between `sizes`, shares of the cell's radius.
    """
    cover = np.zeros_like(body.x)
    rows, columns = np.nonzero(room > 0.06 * body.radius)
    for _ in range(count if len(rows) else 0):
        pick = rng.integers(len(rows))
        middle = rows[pick], columns[pick]
        size = body.radius * rng.uniform(*sizes)
        hole = disc(body.y - body.y[middle], body.x - body.x[middle], size, rng, 1.0, 0.05)
        np.maximum(cover, rng.uniform(0.6, 1) * soft_step(hole, 2), out=cover)
    return cover
