"""Red cells and platelets as optical density."""

from __future__ import annotations

import numpy as np

from bloodfilm.synth.stain import Stains, stained
from bloodfilm.synth.texture import Image, centred_grid, disc, granules, smooth_noise, soft_step, wobble


def draw_red_cell(radius: float, rng: np.random.Generator) -> Image:
    """Return the haemoglobin (H, W) of a biconcave disc of `radius` pixels: a dark rim around a pale centre."""
    y, x = centred_grid(int(1.35 * radius) + 3)
    rough = 0.1 if rng.random() < 0.08 else 0.045
    depth = disc(y, x, radius, rng, rng.choice([rng.uniform(0.72, 0.88), rng.uniform(0.88, 1)], p=[0.2, 0.8]), rough)
    away = radius * rng.normal(0, 0.05, 2)
    inner_y, inner_x = y - away[0], x - away[1]
    inner = np.hypot(inner_y, inner_x) / (radius * wobble(np.arctan2(inner_y, inner_x), 0.08, rng))
    pallor = rng.beta(2.5, 1.1) * 0.88
    centre = 1 / (1 + np.exp((inner - rng.uniform(0.28, 0.5)) / rng.uniform(0.045, 0.1)))
    dome = 1 - 0.2 * soft_step(0.12 * radius - depth, 0.45 * radius)
    rim = 0.16 * np.exp(-(((depth - 0.06 * radius) / (0.05 * radius)) ** 2))
    grain = 0.02 * smooth_noise(depth.shape, 0.15 * radius, rng)
    amount = soft_step(depth, max(1.5, 0.11 * radius)) * (dome - pallor * centre + rim + grain) * rng.normal(0.92, 0.08)
    return np.asarray(np.maximum(amount, 0), np.float32)


def draw_platelet(radius: float, stains: Stains, rng: np.random.Generator) -> Image:
    """Return the optical density (H, W, 3) of a platelet: purple granules in a pale, ragged shred of cytoplasm."""
    y, x = centred_grid(int(1.6 * radius) + 3)
    depth = disc(y, x, radius, rng, rng.uniform(0.75, 1), 0.12)
    depth += 0.06 * radius * smooth_noise(depth.shape, 0.5 * radius, rng)
    shred = soft_step(depth, max(1.2, 0.4 * radius))
    cover, shade = granules(y, x, soft_step(depth - 0.15 * radius), 0.16 * radius, 0.3 * radius, rng, 0.2 * radius)
    core = 0.15 * soft_step(depth - 0.3 * radius, 0.5 * radius)
    purple = (0.06 + core + 0.2 * cover * shade) * shred
    return stained(0.25 * shred, stains.azure) + stained(purple, stains.basophil_granule)
