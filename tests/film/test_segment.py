"""Cutting out: drawn cells of known outlines, whatever the light, the stain and the neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from bloodfilm.errors import PictureError
from bloodfilm.film.segment import segment
from bloodfilm.synth.stain import LIGHT, Stains
from bloodfilm.synth.white_cells import RECIPES, draw_white_cell

PAD = 24


def photograph(density, light=LIGHT, strength=1.0):
    image = gaussian_filter(np.exp(-strength * density), (1, 1, 0)) * np.array(light)
    noise = np.random.default_rng(0).normal(0, 2, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def drawn(name, seed=0):
    """Return density (H, W, 3), masks of nucleus and cell, and the box of one drawn cell on an empty film."""
    cell = draw_white_cell(name, 58, Stains.typical(), np.random.default_rng(seed))
    nucleus, cover = (np.pad(mask > 0.5, PAD) for mask in (cell.nucleus, cell.cover))
    return np.pad(cell.density, ((PAD, PAD), (PAD, PAD), (0, 0))), nucleus, cover, np.array(cell.box()) + PAD


def whole(masks, shape):
    """Return nucleus and cell as masks of the picture."""
    both = np.zeros((2, *shape[:2]), bool)
    height, width = masks.cell.shape
    both[:, masks.top : masks.top + height, masks.left : masks.left + width] = masks.nucleus, masks.cell
    return both


def dice(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", [name for name in RECIPES if name != "Basophil"])
def test_drawn_cells_are_cut_out(name, seed):
    density, nucleus, cell, box = drawn(name, seed)
    masks = segment(photograph(density), box)
    found_nucleus, found_cell = whole(masks, density.shape)
    assert not masks.failure
    assert dice(found_nucleus, nucleus) > 0.94
    assert dice(found_cell, cell) > 0.94
    assert not (found_nucleus & ~found_cell).any()


@pytest.mark.parametrize(
    ("light", "strength"), [((250, 250, 250), 1), ((225, 215, 120), 1), (LIGHT, 0.6), (LIGHT, 1.4)]
)
def test_neither_light_nor_strength_of_the_stain_matters(light, strength):
    density, nucleus, cell, box = drawn("Neutrophil")
    found_nucleus, found_cell = whole(segment(photograph(density, light, strength), box), density.shape)
    assert dice(found_nucleus, nucleus) > 0.94
    assert dice(found_cell, cell) > 0.94


def test_a_loose_box_will_do():
    density, nucleus, cell, box = drawn("Eosinophil")
    found_nucleus, found_cell = whole(segment(photograph(density), box + [-12, -10, 12, 10]), density.shape)
    assert dice(found_nucleus, nucleus) > 0.92
    assert dice(found_cell, cell) > 0.92


def test_touching_cells_are_kept_apart():
    density, nucleus, cell, box = drawn("Monocyte")
    step = box[2] - box[0]
    pair = np.concatenate([density[:, : box[2]], density[:, box[0] :]], axis=1)
    other = box + [step, 0, step, 0]
    left, right = (
        whole(segment(photograph(pair), own, [neighbour]), pair.shape)
        for own, neighbour in ((box, other), (other, box))
    )
    assert not (left & right).any()
    for found, start in ((left, 0), (right, step)):
        window = found[:, :, start : start + density.shape[1]]
        assert dice(window[1], cell) > 0.93
        assert dice(window[0], nucleus) > 0.93


def test_what_fails_says_why():
    y, x = np.mgrid[-60:61, -60:61]
    stains, distance, box = Stains.typical(), np.hypot(y, x), [25, 25, 96, 96]
    without = (distance < 35)[..., None] * stains.eosin
    without[distance < 5] = stains.chromatin
    assert segment(photograph(np.zeros_like(without)), box).failure == "the cell does not stand out"
    assert segment(photograph(without), box).failure == "no nucleus found"


@pytest.mark.parametrize("box", [[300, 300, 340, 340], [-50, 10, 4, 60], [10, 10, 15, 60]])
def test_a_box_with_too_little_of_the_picture_is_refused(box):
    with pytest.raises(PictureError, match="less than 8 px"):
        segment(np.full((100, 100, 3), 200, np.uint8), box)


def test_masks_lie_where_they_say():
    density, _, cell, box = drawn("Lymphocyte")
    masks = segment(photograph(density), box)
    rows, columns = np.nonzero(masks.cell)
    edges = columns.min() + masks.left, rows.min() + masks.top, columns.max() + masks.left, rows.max() + masks.top
    np.testing.assert_allclose(edges, box - [0, 0, 1, 1], atol=4)
