"""Nuclei: their outlines and their chromatin."""

from __future__ import annotations

import numpy as np

from bloodfilm.synth.texture import Image, disc, smooth_noise, soft_step, thick_curve


def round_nucleus(y: Image, x: Image, radius: float, rng: np.random.Generator) -> Image:
    """Return the depth (H, W) in pixels below the outline of a lymphocyte's nucleus; `radius` is the cell's."""
    away = rng.uniform(0, 2 * np.pi)
    shift = radius * rng.uniform(0.03, 0.1)
    share = rng.uniform(0.83, 0.91)
    depth = disc(y - shift * np.sin(away), x - shift * np.cos(away), share * radius, rng, rng.uniform(0.9, 1), 0.035)
    return _uneven(depth, radius, 0.015, rng)


def kidney_nucleus(y: Image, x: Image, radius: float, rng: np.random.Generator) -> Image:
    """Return the depth below the outline of a monocyte's nucleus: a thick, bent band."""
    spread = np.radians(rng.uniform(150, 250))
    t = np.linspace(0, 1, 40)
    angle = rng.uniform(0, 2 * np.pi) + spread * (t - 0.5)
    bend = radius * rng.uniform(0.38, 0.48)
    points = np.stack([bend * np.sin(angle), bend * np.cos(angle)], 1)
    points -= 0.55 * points.mean(0) * rng.uniform(0.3, 1)
    thickness = radius * rng.uniform(0.38, 0.46) * (1 + 0.1 * np.sin(2 * np.pi * t + rng.uniform(0, 2 * np.pi)))
    depth = thick_curve(y, x, points, thickness)
    depth += 0.03 * radius * smooth_noise(depth.shape, 0.12 * radius, rng)
    return _uneven(depth, radius, 0.035, rng)


def lobed_nucleus(
    y: Image,
    x: Image,
    radius: float,
    rng: np.random.Generator,
    lobes: int,
    lobe_radius: float,
    strand_radius: float,
    spread: float,
) -> Image:
    """Return the depth below the outline of lobes that strands join.

    Parameters
    ----------
    y, x : (H, W) float32
        Pixel positions from the cell's centre.
    radius : float
        Radius of the cell in pixels.
    lobes : int
        Number of lobes.
    lobe_radius, strand_radius : float
        Half the thickness of lobes and strands, as shares of the cell's radius.
    spread : float
        Angle in degrees from the first lobe to the last one, seen from the cell's centre.
    """
    number = np.arange(lobes)
    angles = np.radians(spread) * (number / max(1, lobes - 1) - 0.5) + rng.normal(0, 0.12, lobes)
    angles += rng.uniform(0, 2 * np.pi)
    distances = radius * np.clip(rng.normal(0.5, 0.08, lobes), 0.35, 0.95 - lobe_radius)
    centres = np.stack([distances * np.sin(angles), distances * np.cos(angles)], 1)
    sizes = radius * lobe_radius * rng.uniform(0.85, 1.15, lobes)

    strands = [np.linspace(a, b, 12) for a, b in zip(centres[:-1], centres[1:], strict=True)]
    depth = thick_curve(y, x, np.concatenate(strands), np.full(12 * (lobes - 1), radius * strand_radius))
    for centre, size in zip(centres, sizes, strict=True):
        lobe = disc(y - centre[0], x - centre[1], size, rng, rng.uniform(0.55, 0.9), 0.06)
        depth = _joined(depth, lobe, 0.04 * radius)
    return _uneven(depth, radius, 0.03, rng)


def _joined(first: Image, second: Image, fillet: float) -> Image:
    """Return the depth below two shapes grown together with a rounded seam of about `fillet` pixels."""
    return np.asarray(fillet * np.logaddexp(first / fillet, second / fillet), np.float32)


def _uneven(depth: Image, radius: float, amount: float, rng: np.random.Generator) -> Image:
    return depth + amount * radius * smooth_noise(depth.shape, 0.3 * radius, rng)


def coarse_chromatin(depth: Image, radius: float, rng: np.random.Generator) -> Image:
    """Return the amount of chromatin (H, W) in dense clumps with narrow pale channels between them."""
    clumps = np.tanh(1.6 * smooth_noise(depth.shape, 0.09 * radius, rng) + 0.6)
    fine = smooth_noise(depth.shape, 0.07 * radius, rng)
    return np.asarray(0.82 + 0.2 * clumps + 0.06 * fine + _membrane(depth, radius, 0.2), np.float32)


def open_chromatin(depth: Image, radius: float, rng: np.random.Generator) -> Image:
    """Return the amount of chromatin (H, W) in a loose, lacy network."""
    strings = np.tanh(smooth_noise(depth.shape, 0.06 * radius, rng) + 0.3)
    patches = smooth_noise(depth.shape, 0.3 * radius, rng)
    amount = 0.64 + 0.24 * strings + 0.06 * patches
    return np.asarray(amount + _membrane(depth, radius, 0.16), np.float32)


def _membrane(depth: Image, radius: float, amount: float) -> Image:
    """Return the extra chromatin along the nuclear membrane."""
    return np.asarray(amount * soft_step(0.07 * radius - depth, 0.05 * radius), np.float32)
