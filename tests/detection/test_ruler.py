from __future__ import annotations

import numpy as np
import pytest

from bloodfilm.detection.ruler import LEARNED, MAX_SIDE, Ruler, is_surer, learned, measure, right_size, surest

SHAPE = (480, 640)


def red_cells(width: float, height: float, count: int = 40, spread: float = 0.07, clumps: int = 0) -> np.ndarray:
    """Return sizes of red cells of about one size; `clumps` are boxed two as one."""
    sizes = np.array([width, height]) * np.random.default_rng(0).normal(1, spread, (count, 1))
    sizes[:clumps] *= 1.8
    return sizes


@pytest.mark.parametrize("squeeze", [0.5, 0.6, 1.0, 1.4])
@pytest.mark.parametrize("clumps", [0, 8])
def test_red_cells_tell_scale_and_squeeze(squeeze: float, clumps: int) -> None:
    ruler = measure(red_cells(40 * squeeze, 40, clumps=clumps))
    assert ruler is not None
    assert ruler.sure
    assert ruler.squeeze == pytest.approx(squeeze, rel=0.02)
    assert ruler.um_per_px == pytest.approx((7.5 / 40 / squeeze, 7.5 / 40), rel=0.05)


def test_without_red_cells_there_is_no_ruler() -> None:
    assert measure(np.empty((0, 2))) is None


@pytest.mark.parametrize(("count", "spread"), [(5, 0.02), (10, 0.4)])
def test_few_or_unlike_red_cells_make_no_sure_ruler(count: int, spread: float) -> None:
    ruler = measure(red_cells(40, 40, count, spread))
    assert ruler is not None
    assert not ruler.sure
    assert right_size(ruler, SHAPE, SHAPE) == SHAPE


def sure(width: float, height: float) -> Ruler:
    return Ruler(width, height, 0.01, 50)


@pytest.mark.parametrize("diameter", [LEARNED[0], 50, LEARNED[1]])
def test_a_picture_that_is_as_learned_is_left_alone(diameter: float) -> None:
    assert right_size(sure(diameter, diameter), SHAPE, SHAPE) == SHAPE
    assert right_size(None, SHAPE, SHAPE) == SHAPE


@pytest.mark.parametrize(("diameter", "factor"), [(10, 2.0), (180, 0.5)])
def test_other_magnifications_are_brought_to_the_nearest_that_is_learned(diameter: float, factor: float) -> None:
    assert right_size(sure(diameter, diameter), SHAPE, SHAPE) == (480 * factor, 640 * factor)
    reduced = (SHAPE[0] // 4, SHAPE[1] // 4)
    assert right_size(sure(4 * diameter, 4 * diameter), SHAPE, reduced) == (120 * factor, 160 * factor)


def test_a_few_red_cells_tell_how_large_to_search_but_not_if_a_picture_is_squeezed() -> None:
    assert right_size(Ruler(90, 150, 0.2, 3), SHAPE, SHAPE, (30, 60)) == pytest.approx((248, 330), abs=1)
    assert right_size(Ruler(150, 150, 0.0, 2), SHAPE, SHAPE, (30, 60)) == SHAPE


def test_what_was_learned_at_one_size_is_searched_about_there() -> None:
    low, high = learned(32)
    assert 0.5 * 32 < low < high < 2 * 32
    assert right_size(sure(low + 1, low + 1), SHAPE, SHAPE, learned(32)) == SHAPE
    assert right_size(sure(64, 64), SHAPE, SHAPE, learned(32))[1] / SHAPE[1] == pytest.approx(high / 64, rel=0.01)
    assert learned(None) == LEARNED


def test_surer_is_what_agrees_then_what_is_there_at_all() -> None:
    few, one = Ruler(40, 40, 0.2, 3), Ruler(40, 40, 0.0, 1)
    ranked = [sure(40, 40), few, one]
    assert [is_surer(a, b) for a in ranked for b in ranked] == [False, True, True, False, False, True] + [False] * 3
    assert is_surer(few, None)
    assert not is_surer(one, None)


def test_squeezed_red_cells_are_made_round_again() -> None:
    size = right_size(sure(24, 40), SHAPE, SHAPE)
    seen = np.array([40, 24]) * size / SHAPE
    assert seen[0] == pytest.approx(seen[1], rel=0.02)
    assert seen.prod() == pytest.approx(24 * 40, rel=0.03)


def test_the_scale_says_what_was_done() -> None:
    scale = sure(24, 40).scale(SHAPE, (480, 1067))
    assert scale.resized == pytest.approx((1.667, 1), abs=1e-3)
    assert str(scale) == "0.188 µm per pixel by 50 red cells, squeezed to 60% of its width"
    assert str(Ruler(40, 40, 0.2, 3).scale(SHAPE, SHAPE)) == "perhaps 0.188 µm per pixel by 3 red cells"


def test_a_search_never_gets_too_large() -> None:
    size = right_size(sure(4, 4), SHAPE, (416, 555))
    assert max(size) <= MAX_SIDE


def test_a_given_pixel_size_counts_where_red_cells_do_not_tell() -> None:
    given = surest(None, 0.25)
    assert given is not None
    assert given.sure
    assert given.um_per_px == (0.25, 0.25)
    assert surest(Ruler(40, 40, 0.3, 50), 0.25) == given
    assert surest(sure(40, 40), 0.25) == sure(40, 40)
    assert surest(None, None) is None


def test_a_search_that_is_limited_keeps_its_proportions() -> None:
    height, width = right_size(sure(15, 15), (1080, 1920), (360, 640))
    assert width == MAX_SIDE
    assert height == pytest.approx(width * 1080 / 1920, abs=1)
