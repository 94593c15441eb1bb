from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageColor

from bloodfilm.cells import Cells
from bloodfilm.io.overlay import draw_overlay
from bloodfilm.palette import colour
from bloodfilm.vocabulary import LLD


def test_each_cell_gets_a_box_in_the_colour_of_its_type(cells: Cells, picture: np.ndarray) -> None:
    drawn = draw_overlay(picture, cells)
    for (x0, y0, x1, y1), name in zip(cells.boxes.astype(int), cells.class_names, strict=True):
        shade = ImageColor.getrgb(colour(name, LLD.classes))
        assert tuple(drawn[(y0 + y1) // 2, x0]) == shade
        assert tuple(drawn[(y0 + y1) // 2, x1]) == shade


def test_the_picture_itself_is_not_drawn_on(cells: Cells, picture: np.ndarray) -> None:
    before = picture.copy()
    draw_overlay(picture, cells)
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("box", [[0, 0, 200, 160], [190, 150, 200, 160], [-20, -20, 5, 5]], ids=str)
def test_cells_at_the_edge_are_drawn(picture: np.ndarray, box: list[float]) -> None:
    drawn = draw_overlay(picture, Cells([box]))
    assert drawn.shape == picture.shape
    assert (drawn != picture).any()
