from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from bloodfilm.cells import Cells
from bloodfilm.film.crops import crop_cell, data_uri
from bloodfilm.film.quality import measure_quality
from bloodfilm.io.images import RGB
from bloodfilm.synth import draw_field


@pytest.fixture(scope="module")
def drawn() -> tuple[RGB, Cells]:
    return draw_field(400, 300, 3, seed=1)


def test_a_blurred_picture_is_called_so(drawn: tuple[RGB, Cells]) -> None:
    picture, cells = drawn
    soft = gaussian_filter(picture, (4, 4, 0))
    assert not measure_quality(picture, cells.boxes).blurred
    assert measure_quality(soft, cells.boxes).blurred


def test_density_is_what_red_cells_cover(drawn: tuple[RGB, Cells]) -> None:
    picture, cells = drawn
    quality = measure_quality(picture, cells.boxes)
    assert 0.3 < quality.covered < 0.7
    half = picture.copy()
    half[:, 200:] = tuple(int(quality.ground[i : i + 2], 16) for i in (1, 3, 5))
    left = cells.boxes[cells.boxes[:, 2] < 200]
    assert measure_quality(half, left).covered == pytest.approx(quality.covered / 2, rel=0.3)


def test_a_fainter_stain_is_less(drawn: tuple[RGB, Cells]) -> None:
    picture, cells = drawn
    faint = (128 + picture / 2).astype(np.uint8)
    assert measure_quality(faint, cells.boxes).stain < 0.7 * measure_quality(picture, cells.boxes).stain


@pytest.mark.parametrize("boxes", [np.empty((0, 4)), np.array([[-5, -5, 70, 70]])], ids=["no cell", "all cell"])
def test_an_even_picture_has_neither_cells_nor_nuclei(boxes: np.ndarray) -> None:
    quality = measure_quality(np.full((64, 64, 3), 220, np.uint8), boxes.astype(np.float32))
    assert quality.nuclei == quality.red_cells == ""
    assert np.isnan(quality.stain)


def test_a_crop_at_the_corner_is_square_and_whole(drawn: tuple[RGB, Cells]) -> None:
    crop = crop_cell(drawn[0], np.array([-2, -3, 20, 10], np.float32), side=50)
    assert crop.shape == (50, 50, 3)
    assert data_uri(crop).startswith("data:image/jpeg;base64,/9j/")


def test_a_crop_undoes_the_squeeze() -> None:
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[30:70, 40:60] = 255  # a square thing, photographed half as wide
    crop = crop_cell(picture, np.array([40, 30, 60, 70], np.float32), (2, 1), side=100)[..., 0] > 128
    assert np.ptp(np.flatnonzero(crop.any(0))) == pytest.approx(np.ptp(np.flatnonzero(crop.any(1))), abs=6)
