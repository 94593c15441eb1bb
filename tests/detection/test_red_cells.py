from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import ellipse

from bloodfilm.detection.red_cells import measure_edges, red_cell_sizes

SHAPE = (300, 400, 3)
SIZE = np.array([30.0, 46.0])


def drawn(*middles: tuple[float, float], pallor: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture of red cells of `SIZE` around `middles` (x, y), and their exact boxes."""
    picture = np.full(SHAPE, 230, np.uint8)
    for x, y in middles:
        for share, value in ((1.0, 140), (0.45, 200 if pallor else 140)):
            picture[ellipse(y, x, share * SIZE[1] / 2, share * SIZE[0] / 2, SHAPE[:2])] = value
    return picture, np.hstack([np.array(middles) - SIZE / 2, np.array(middles) + SIZE / 2])


def loosened(boxes: np.ndarray, by: float) -> np.ndarray:
    around = by * SIZE / 2
    return boxes + np.concatenate([-around, around])


GRID = [(x, y) for x in range(40, 380, 60) for y in range(40, 280, 70)]


@pytest.mark.parametrize("loose", [-0.05, 0.0, 0.1, 0.18])
@pytest.mark.parametrize("pallor", [True, False])
def test_edges_are_found_whatever_the_box(loose: float, pallor: bool) -> None:
    picture, boxes = drawn(*GRID, pallor=pallor)
    sizes = measure_edges(picture, loosened(boxes, loose))
    np.testing.assert_allclose(sizes, np.broadcast_to(SIZE, sizes.shape), rtol=0.04)


def test_an_edge_behind_a_neighbour_is_not_guessed() -> None:
    picture, boxes = drawn((100, 100), (124, 100), (250, 100))
    sizes = measure_edges(picture, boxes)
    np.testing.assert_array_equal(np.isnan(sizes), [[True, False], [True, False], [False, False]])


def test_nothing_is_measured_on_an_empty_picture() -> None:
    blank = np.full(SHAPE, 230, np.uint8)
    assert np.isnan(measure_edges(blank, [[50, 50, 80, 90]])).all()
    assert red_cell_sizes(blank, np.empty((0, 4))).shape == (0, 2)


def test_loose_boxes_are_corrected_by_the_cells_that_stand_free() -> None:
    picture, boxes = drawn(*GRID, (100, 110), (280, 110))
    sizes = red_cell_sizes(picture, loosened(boxes, 0.15))
    np.testing.assert_allclose(sizes, np.broadcast_to(SIZE, sizes.shape), rtol=0.04)


def test_boxes_count_as_they_are_where_no_edge_is_seen() -> None:
    boxes = np.array([[50.0, 50, 80, 90], [100, 50, 130, 92]])
    np.testing.assert_array_equal(red_cell_sizes(np.full(SHAPE, 230, np.uint8), boxes), [[30, 40], [30, 42]])


def test_cells_cut_by_the_edge_are_not_measured() -> None:
    picture, boxes = drawn(*GRID)
    cut = np.array([[0, 100, 15, 140], [385, 100, 400, 140], [300, 270, 340, 300]], np.float32)
    assert len(red_cell_sizes(picture, np.concatenate((boxes, cut)))) == len(boxes)
