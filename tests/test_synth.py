"""What `draw_field` promises: the same seed, exact boxes, all attributes."""

from __future__ import annotations

import numpy as np
import pytest

from bloodfilm.synth import draw_field
from bloodfilm.synth.stain import Stains
from bloodfilm.synth.white_cells import RECIPES, draw_white_cell
from bloodfilm.vocabulary import LLD

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def fields():
    return {seed: draw_field(seed=seed) for seed in SEEDS}


def inside(boxes, height, width):
    """Return the pixels (H, W) that lie in any box."""
    mask = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in np.asarray(boxes, int):
        mask[y0:y1, x0:x1] = True
    return mask


def test_the_same_seed_draws_the_same_field(fields):
    image, cells = draw_field(seed=0)
    np.testing.assert_array_equal(image, fields[0][0])
    np.testing.assert_array_equal(cells.boxes, fields[0][1].boxes)
    np.testing.assert_array_equal(cells.attributes, fields[0][1].attributes)


def test_another_seed_draws_another_field(fields):
    assert (fields[0][0] != fields[1][0]).mean() > 0.5
    assert not np.array_equal(fields[0][1].boxes, fields[1][1].boxes)


@pytest.mark.parametrize("seed", SEEDS)
def test_five_cells_are_the_five_mature_types(fields, seed):
    image, cells = fields[seed]
    assert image.shape == (480, 640, 3)
    assert image.dtype == np.uint8
    assert sorted(cells.class_names) == sorted(RECIPES)


@pytest.mark.parametrize("seed", SEEDS)
def test_boxes_lie_in_the_picture_and_apart(fields, seed):
    boxes = fields[seed][1].boxes
    assert (boxes >= 0).all()
    assert (boxes <= [640, 480, 640, 480]).all()
    for row, (x0, y0, x1, y1) in enumerate(boxes):
        others = np.delete(boxes, row, 0)
        apart = (x0 >= others[:, 2]) | (x1 <= others[:, 0]) | (y0 >= others[:, 3]) | (y1 <= others[:, 1])
        assert apart.all()


@pytest.mark.parametrize("seed", SEEDS)
def test_nuclei_lie_in_boxes(fields, seed):
    image, cells = fields[seed]
    nucleus = (image[..., 0] < 110) & (image[..., 1] < 70)
    in_boxes = inside(cells.boxes, *nucleus.shape)
    assert nucleus[in_boxes].mean() > 0.15
    assert nucleus[~in_boxes].mean() < 0.002
    for x0, y0, x1, y1 in cells.boxes.astype(int):
        assert nucleus[y0:y1, x0:x1].sum() > 0.05 * (x1 - x0) * (y1 - y0)


@pytest.mark.parametrize("name", RECIPES)
def test_a_box_is_tight_around_what_is_stained(name):
    cell = draw_white_cell(name, 46, Stains.typical(), np.random.default_rng(3))
    x0, y0, x1, y1 = cell.box()
    stained = cell.density.max(2) > 0.05
    rows, columns = stained.any(1).nonzero()[0], stained.any(0).nonzero()[0]
    found = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    assert np.abs(found - [x0, y0, x1, y1]).max() <= 2
    assert 1.3 * 46 < max(x1 - x0, y1 - y0) < 2.8 * 46


def test_every_attribute_is_set_as_drawn(fields):
    for _, cells in fields.values():
        assert (cells.attributes >= 0).all()
        frame = cells.to_frame().set_index("class")
        assert frame.loc["Lymphocyte", "nuclear_shape"] == "regular"
        assert frame.loc["Lymphocyte", "cytoplasm"] == "scanty"
        assert frame.loc["Neutrophil", "cytoplasm"] == "abundant"
        assert frame.loc["Monocyte", "nuclear_chromatin"] == "open"
        assert frame.loc["Monocyte", "cell_size"] == "large"


def test_a_film_without_white_cells_is_light_and_has_no_boxes():
    image, cells = draw_field(320, 240, white_cells=0, seed=4)
    assert len(cells) == 0
    assert cells.attributes.shape == (0, len(LLD.attributes))
    assert image.mean() > 150


@pytest.mark.parametrize(("width", "height"), [(1, 1), (30, 20), (150, 40)])
def test_a_tiny_picture_holds_no_white_cell(width, height):
    image, cells = draw_field(width, height, white_cells=3, seed=5)
    assert image.shape == (height, width, 3)
    assert len(cells) == 0


def test_a_crowded_picture_holds_as_many_cells_as_fit():
    _, cells = draw_field(120, 120, white_cells=12, seed=6, red_cell_diameter=24)
    assert 1 <= len(cells) < 12


@pytest.mark.parametrize("diameter", [4.0, 12.0, 60.0])
def test_cells_scale_with_the_red_cell(diameter):
    side = int(8 * diameter)
    _, cells = draw_field(side, side, white_cells=2, seed=7, red_cell_diameter=diameter)
    assert len(cells) == 2
    spans = cells.boxes[:, 2:] - cells.boxes[:, :2]
    assert ((spans > 1.1 * diameter) & (spans < 3 * diameter)).all()


@pytest.mark.parametrize("wrong", [{"width": 0}, {"height": 0}, {"white_cells": -1}, {"red_cell_diameter": 1.0}])
def test_impossible_fields_are_refused(wrong):
    with pytest.raises(ValueError, match="A field needs"):
        draw_field(**wrong)
