"""The five mature white cells: what each type looks like, and its attributes as drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from bloodfilm.synth import cytoplasm, nuclei
from bloodfilm.synth.stain import Stains, stained
from bloodfilm.synth.texture import Image, centred_grid, disc, smooth_noise, soft_step
from bloodfilm.vocabulary import LLD

SMALL, LARGE = 1.7, 2.0
"""Below and above these diameters, in red cells, a white cell is small or large."""

SCANTY = 0.5
"""A nucleus that takes more than this share of its cell leaves scanty cytoplasm."""

Outline = Callable[[Image, Image, float, np.random.Generator], Image]
Filling = Callable[[cytoplasm.Body, Stains, np.random.Generator], Image]


@dataclass(frozen=True)
class Recipe:
    """How to draw one type; diameters are in red-cell diameters."""

    diameters: tuple[float, float]
    nucleus: Outline
    nuclear_shape: str
    chromatin: str
    cytoplasm: Filling
    basophilia: str
    roughness: float = 0.03
    cover: Filling | None = None
    vacuolated: float = 0.0
    nuclear_stain: float = 1.0


def _neutrophil_nucleus(y: Image, x: Image, radius: float, rng: np.random.Generator) -> Image:
    lobes = int(rng.integers(3, 5))
    return nuclei.lobed_nucleus(y, x, radius, rng, lobes, 0.42 - 0.03 * lobes, 0.08, 85 * (lobes - 1))


RECIPES = {
    "Neutrophil": Recipe(
        (1.65, 1.98), _neutrophil_nucleus, "irregular", "coarse", cytoplasm.neutrophil_cytoplasm, "slight"
    ),
    "Lymphocyte": Recipe(
        (1.25, 1.55), nuclei.round_nucleus, "regular", "coarse", cytoplasm.lymphocyte_cytoplasm, "moderate"
    ),
    "Monocyte": Recipe(
        (2.02, 2.25),
        nuclei.kidney_nucleus,
        "irregular",
        "open",
        cytoplasm.monocyte_cytoplasm,
        "moderate",
        roughness=0.1,
        vacuolated=0.7,
    ),
    "Eosinophil": Recipe(
        (1.75, 2.05),
        partial(nuclei.lobed_nucleus, lobes=2, lobe_radius=0.42, strand_radius=0.1, spread=135),
        "irregular",
        "coarse",
        cytoplasm.eosinophil_cytoplasm,
        "slight",
    ),
    "Basophil": Recipe(
        (1.6, 1.85),
        partial(nuclei.lobed_nucleus, lobes=2, lobe_radius=0.42, strand_radius=0.3, spread=120),
        "irregular",
        "coarse",
        cytoplasm.basophil_cytoplasm,
        "slight",
        roughness=0.05,
        cover=cytoplasm.basophil_granules,
        nuclear_stain=0.65,
    ),
}
"""The mature types by their name in `LLD`."""


@dataclass(frozen=True, eq=False)
class WhiteCell:
    """One drawn cell.

    Parameters
    ----------
    density : (H, W, 3) float32
        Optical density.
    cover : (H, W) float32
        How much of a pixel the cell covers, 0 to 1.
    nucleus : (H, W) float32
        How much of a pixel its nucleus covers, 0 to 1.
    code : int
        Class code in `LLD`.
    attributes : tuple of int
        Codes of the attribute values in `LLD`, as drawn.
    """

    density: Image
    cover: Image
    nucleus: Image
    code: int
    attributes: tuple[int, ...]

    def box(self) -> tuple[int, int, int, int]:
        """Return ``x0, y0, x1, y1`` in pixels of the patch, tight around the covered pixels."""
        rows, columns = (np.flatnonzero((self.cover > 0.5).any(axis)) for axis in (1, 0))
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def draw_white_cell(name: str, red_cell_diameter: float, stains: Stains, rng: np.random.Generator) -> WhiteCell:
    """Draw one mature white cell.

    Parameters
    ----------
    name : str
        A key of `RECIPES`.
    red_cell_diameter : float
        Diameter of a red cell in pixels: the scale of everything.
    """
    recipe = RECIPES[name]
    radius = rng.uniform(*recipe.diameters) * red_cell_diameter / 2
    y, x = centred_grid(int(1.35 * radius) + 3)
    skin = disc(y, x, radius, rng, rng.uniform(0.88, 1), recipe.roughness)
    skin += 0.02 * radius * smooth_noise(skin.shape, 0.3 * radius, rng)
    body = cytoplasm.Body(y, x, skin, radius)
    nucleus = np.minimum(recipe.nucleus(y, x, radius, rng), skin - 0.04 * radius)
    cell_cover, nucleus_cover = soft_step(skin, 2), soft_step(nucleus, 1.4)

    holes = int(rng.integers(4, 12)) if rng.random() < recipe.vacuolated else 0
    vacuoles = cytoplasm.vacuoles(body, np.minimum(skin, -nucleus), holes, rng)
    chromatin = nuclei.coarse_chromatin if recipe.chromatin == "coarse" else nuclei.open_chromatin
    amount = recipe.nuclear_stain * chromatin(nucleus, radius, rng) * nucleus_cover
    density = recipe.cytoplasm(body, stains, rng) * ((1 - 0.85 * vacuoles) * (1 - nucleus_cover))[..., None]
    density += stained(amount, stains.chromatin)
    if recipe.cover is not None:
        density += recipe.cover(body, stains, rng)
    diameter = np.sqrt(4 * cell_cover.sum() / np.pi) / red_cell_diameter
    words = (
        "small" if diameter < SMALL else "large" if diameter > LARGE else "medium",
        recipe.chromatin,
        recipe.nuclear_shape,
        "inconspicuous",
        "scanty" if nucleus_cover.sum() > SCANTY * cell_cover.sum() else "abundant",
        recipe.basophilia,
        "prominent" if vacuoles.max() > 0.3 else "absent",
    )
    codes = tuple(attribute.code(word) for attribute, word in zip(LLD.attributes, words, strict=True))
    density = np.maximum(density, 0) * cell_cover[..., None]
    return WhiteCell(density, cell_cover, nucleus_cover, LLD.class_code(name), codes)
