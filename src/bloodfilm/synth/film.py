"""One field of a stained blood film, as a camera on a 100x objective sees it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from bloodfilm.cells import Cells
from bloodfilm.synth.layout import place_boxes, scatter_discs
from bloodfilm.synth.red_cells import draw_platelet, draw_red_cell
from bloodfilm.synth.stain import LIGHT, Stains, stained
from bloodfilm.synth.texture import Image, smooth_noise
from bloodfilm.synth.white_cells import RECIPES, WhiteCell, draw_white_cell
from bloodfilm.vocabulary import LLD

RED_CELL_SHARE = 0.6
"""Area of all red cells over the area of the film."""

PLATELETS_PER_RED_CELL = 0.06

OVERLAP_THINNING = 0.4
"""How much thinner than two single cells two red cells are where they overlap."""


def draw_field(
    width: int = 640,
    height: int = 480,
    white_cells: int = 5,
    seed: int = 0,
    red_cell_diameter: float = 46.0,
) -> tuple[npt.NDArray[np.uint8], Cells]:
    """Draw one field of a blood film after May-Gruenwald-Giemsa, with exact truth.

    Parameters
    ----------
    width, height : int
        Size of the picture in pixels.
    white_cells : int
        How many white cells to place; fewer appear where there is no room for them.
    seed : int
        The same seed gives the same picture.
    red_cell_diameter : float
        Mean diameter of a red cell (7.5 micrometres) in pixels.

    Returns
    -------
    image : (H, W, 3) uint8
        Red, green and blue.
    cells : Cells
        The white cells in the vocabulary `LLD`, all attributes set; boxes lie tight around nucleus and cytoplasm.

    Raises
    ------
    ValueError
        If the picture has no pixels, `white_cells` is negative or a red cell is less than 4 pixels wide.
    """
    if width < 1 or height < 1 or white_cells < 0 or red_cell_diameter < 4:
        raise ValueError("A field needs at least one pixel, no negative number of cells and red cells of 4 pixels.")
    batch, white, red, light = np.random.default_rng(seed).spawn(4)
    stains = Stains.of_one_film(batch)
    drawn, boxes = _white_cells(width, height, white_cells, red_cell_diameter, stains, white)
    density = _red_cells_and_platelets(width, height, boxes, red_cell_diameter, stains, red)
    for cell, (left, top, _, _) in zip(drawn, boxes, strict=True):
        x0, y0, _, _ = cell.box()
        _paste(density, cell.density, left - x0, top - y0, cell.cover)
    cells = Cells(
        np.array(boxes, np.float32).reshape(-1, 4),
        codes=np.array([cell.code for cell in drawn], np.int16),
        attributes=np.array([cell.attributes for cell in drawn], np.int16).reshape(-1, len(LLD.attributes)),
    )
    return _photograph(density, red_cell_diameter, light), cells


def _white_cells(
    width: int, height: int, count: int, red_cell_diameter: float, stains: Stains, rng: np.random.Generator
) -> tuple[list[WhiteCell], list[tuple[int, int, int, int]]]:
    """Draw white cells, every type in turn, and return those that found room, with their boxes in the picture."""
    names = [str(name) for _ in range(0, count, len(RECIPES)) for name in rng.permutation(list(RECIPES))][:count]
    drawn = [draw_white_cell(name, red_cell_diameter, stains, rng) for name in names]
    inner = [cell.box() for cell in drawn]
    sizes = [(x1 - x0, y1 - y0) for x0, y0, x1, y1 in inner]
    places = place_boxes(sizes, width, height, 0.2 * red_cell_diameter, rng)
    placed = [(cell, size, place) for cell, size, place in zip(drawn, sizes, places, strict=True) if place]
    return [cell for cell, _, _ in placed], [(x, y, x + w, y + h) for _, (w, h), (x, y) in placed]


def _red_cells_and_platelets(
    width: int,
    height: int,
    boxes: list[tuple[int, int, int, int]],
    red_cell_diameter: float,
    stains: Stains,
    rng: np.random.Generator,
) -> Image:
    """Return the optical density (H, W, 3) of the film without its white cells."""
    corners = np.array(boxes, float).reshape(-1, 4)
    middles, spans = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    obstacles = np.concatenate([middles, spans.mean(1, keepdims=True) / 2], 1)

    area = (width + 2 * red_cell_diameter) * (height + 2 * red_cell_diameter)
    count = int(RED_CELL_SHARE * rng.uniform(0.75, 1.1) * area / (np.pi * red_cell_diameter**2 / 4))
    radii = red_cell_diameter / 2 * np.clip(rng.normal(1, 0.07, count), 0.75, 1.25)
    centres, free = scatter_discs(radii, width, height, obstacles, rng)
    haemoglobin = np.zeros((height, width), np.float32)
    for radius, (x, y) in zip(radii[free], centres[free], strict=True):
        _paste_centred(haemoglobin, draw_red_cell(radius, rng), x, y)
    haemoglobin -= OVERLAP_THINNING * np.maximum(haemoglobin - 1.05, 0)
    residue = 0.02 + 0.015 * smooth_noise((height, width), 1.5 * red_cell_diameter, rng)
    density = stained(haemoglobin, stains.haemoglobin) + stained(residue, stains.eosin)

    radii = red_cell_diameter * rng.uniform(0.11, 0.22, rng.poisson(PLATELETS_PER_RED_CELL * count))
    centres, free = scatter_discs(radii, width, height, obstacles, rng, rounds=0)
    for radius, (x, y) in zip(radii[free], centres[free], strict=True):
        _paste_centred(density, draw_platelet(radius, stains, rng), x, y)
    return density


def _paste_centred(canvas: Image, patch: Image, x: float, y: float) -> None:
    _paste(canvas, patch, round(x) - patch.shape[1] // 2, round(y) - patch.shape[0] // 2)


def _paste(canvas: Image, patch: Image, left: int, top: int, cover: Image | None = None) -> None:
    """Add the part of `patch` that lies in `canvas`; where it covers, what lay there before makes way."""
    height, width = patch.shape[:2]
    rows = slice(max(0, top), max(0, min(canvas.shape[0], top + height)))
    columns = slice(max(0, left), max(0, min(canvas.shape[1], left + width)))
    part = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    if cover is not None:
        canvas[rows, columns] *= 1 - cover[part][..., None]
    canvas[rows, columns] += patch[part]


def _photograph(density: Image, red_cell_diameter: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return what the camera records: uneven light, blur of the lens, sharpening and noise of the sensor."""
    height, width = density.shape[:2]
    image = np.exp(-density)
    focus = red_cell_diameter * rng.uniform(0.9, 1.3)
    for channel, blur in enumerate((0.019, 0.017, 0.022)):
        image[..., channel] = gaussian_filter(image[..., channel], blur * focus)
    image += 0.35 * (image - gaussian_filter(image, (0.05 * red_cell_diameter, 0.05 * red_cell_diameter, 0)))

    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    slope_y, slope_x = rng.normal(0, 0.015, 2)
    brightness = 1 + slope_y * y + slope_x * x - rng.uniform(0.02, 0.05) * (y**2 + x**2)
    tint = np.array(LIGHT) * rng.normal(1, [0.01, 0.015, 0.025])
    image *= (brightness[..., None] * tint).astype(np.float32)
    image += gaussian_filter(rng.normal(0, 2.4, image.shape).astype(np.float32), (0.55, 0.55, 0))
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
