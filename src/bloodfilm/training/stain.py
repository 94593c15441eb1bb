"""Colour of one set of pictures brought to that of another, without labels.

Each way is one affine map of optical densities, which a checkpoint carries and `Detector` applies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bloodfilm.cells import Field
from bloodfilm.errors import UserError
from bloodfilm.io.images import RGB, read_image
from bloodfilm.nets.checkpoint import Stain

FloatArray = npt.NDArray[np.float64]

LAB_FROM_LMS = np.diag([1 / np.sqrt(3), 1 / np.sqrt(6), 1 / np.sqrt(2)]) @ np.array(
    [[1, 1, 1], [1, 1, -2], [1, -1, 0]], float
)
"""Decorrelated axes of Reinhard et al. (2001), of logarithms of three channels."""

GLASS = 2
"""Percentile of the optical densities that is empty glass, which cameras show in any colour."""

MIN_DENSITY = 0.15
"""Pixels of a lower optical density above that of glass show no stain."""

EXTREME = 1
"""Percentile of directions that counts as a pure stain."""

PIXELS, PICTURES = 4000, 200
"""How many pixels of how many pictures tell the colours of a set."""


def densities(fields: Sequence[Field]) -> FloatArray:
    """Return optical densities (N, 3) of pixels chosen at random from all over the pictures of `fields`."""
    random = np.random.default_rng(0)
    chosen = np.linspace(0, len(fields) - 1, min(len(fields), PICTURES)).astype(int)
    return np.concatenate([_density(read_image(fields[row].path), random) for row in chosen])


def _density(picture: RGB, random: np.random.Generator) -> FloatArray:
    pixels = picture.reshape(-1, 3)
    pixels = pixels[random.integers(len(pixels), size=PIXELS)]
    return -np.log(np.maximum(pixels, 1) / 255)


def reinhard(source: FloatArray, target: FloatArray) -> Stain:
    """Return the map that gives pixels of `target` the means and deviations of `source` (Reinhard et al., 2001)."""
    ours, theirs = source @ LAB_FROM_LMS.T, target @ LAB_FROM_LMS.T
    scale = ours.std(0) / np.maximum(theirs.std(0), 1e-6)
    matrix = np.linalg.inv(LAB_FROM_LMS) @ np.diag(scale) @ LAB_FROM_LMS
    return Stain(matrix=matrix.tolist(), offset=(source.mean(0) - matrix @ target.mean(0)).tolist())


def macenko(source: FloatArray, target: FloatArray) -> Stain:
    """Return the map that gives `target` the two stains of `source`, as strong (Macenko et al., 2009)."""
    our_glass, their_glass = (np.percentile(density, GLASS, axis=0) for density in (source, target))
    source, target = source - our_glass, target - their_glass
    ours, theirs = _stains(source), _stains(target)
    strength = _strongest(source, ours) / np.maximum(_strongest(target, theirs), 1e-6)
    rest = np.eye(3) - theirs @ np.linalg.pinv(theirs)
    matrix = ours @ np.diag(strength) @ np.linalg.pinv(theirs) + rest
    return Stain(matrix=matrix.tolist(), offset=(our_glass - matrix @ their_glass).tolist())


def _stains(density: FloatArray) -> FloatArray:
    """Return the directions (3, 2) of the two stains: the extremes in the plane that holds most of the densities."""
    stained = density[(density > MIN_DENSITY).all(1)]
    if len(stained) < 3:
        raise UserError("Too little stain on these pictures to tell its two colours: use reinhard.")
    _, plane = np.linalg.eigh(np.cov(stained.T))
    plane = plane[:, :0:-1] * np.sign(plane[:, :0:-1].sum(0))
    angles = np.arctan2(*(stained @ plane).T[::-1])
    ends = np.percentile(angles, [EXTREME, 100 - EXTREME])
    stains = plane @ np.array([np.cos(ends), np.sin(ends)])
    return np.asarray(stains[:, np.argsort(-stains[0])])


def _strongest(density: FloatArray, stains: FloatArray) -> FloatArray:
    amounts = np.linalg.lstsq(stains, density.T, rcond=None)[0]
    return np.asarray(np.percentile(amounts, 99, axis=1))
