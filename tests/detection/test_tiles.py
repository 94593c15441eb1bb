from __future__ import annotations

import numpy as np
import pytest

from bloodfilm.cells import Cells
from bloodfilm.detection.tiles import OVERLAP, SLACK, Tile, split_tiles, suppress_overlaps

SIZES = [(64, 64), (65, 64), (30, 200), (640, 481), (333, 97), (109, 108)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("side", [64, 100])
def test_tiles_cover_the_picture_and_stay_in_it(width: int, height: int, side: int) -> None:
    covered = np.zeros((height, width), bool)
    for tile in split_tiles(width, height, side):
        assert 0 <= tile.x0 < tile.x1 <= width
        assert 0 <= tile.y0 < tile.y1 <= height
        assert (tile.x1 - tile.x0, tile.y1 - tile.y0) == (min(side, width), min(side, height))
        covered[tile.y0 : tile.y1, tile.x0 : tile.x1] = True
    assert covered.all()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_place_belongs_to_a_tile_and_to_two_at_a_seam_only(width: int, height: int) -> None:
    x, y = np.meshgrid(np.arange(0, width, 3.5), np.arange(0, height, 3.5))
    cells = Cells(np.stack((x - 1, y - 1, x + 1, y + 1), -1).reshape(-1, 4), extra={"n": np.arange(x.size)})
    owned = [tile.keep_own(cells).extra["n"] for tile in split_tiles(width, height, 64)]
    numbers, counts = np.unique(np.concatenate(owned), return_counts=True)
    assert numbers.tolist() == list(range(x.size))
    seams = [{tile.core[side] for tile in split_tiles(width, height, 64)} for side in (0, 1)]
    near = [np.abs(np.subtract.outer(at.ravel(), sorted(own))).min(1) for at, own in zip((x, y), seams, strict=True)]
    assert (np.minimum(*near)[counts > 1] <= 64 * SLACK).all()


@pytest.mark.parametrize("width", [64, 65, 100, 130, 201, 640])
def test_a_cell_up_to_the_overlap_lies_whole_in_the_tile_that_keeps_it(width: int) -> None:
    half = OVERLAP * 64 / 2
    for x in np.arange(half, width - half, 0.25):
        (tile,) = [t for t in split_tiles(width, 64, 64) if t.core[0] <= x < t.core[2]]
        assert tile.x0 - 1e-6 <= x - half
        assert x + half <= tile.x1 + 1e-6


def test_a_small_picture_is_one_tile() -> None:
    assert split_tiles(50, 40, 64) == [Tile(0, 0, 50, 40)]


def test_tiles_go_from_top_to_bottom_and_left_to_right() -> None:
    corners = [(tile.y0, tile.x0) for tile in split_tiles(200, 150, 64)]
    assert corners == sorted(corners)


def test_the_lower_score_of_an_overlapping_pair_is_dropped() -> None:
    boxes = [[0, 0, 10, 10], [1, 0, 11, 10], [30, 0, 40, 10]]
    kept = suppress_overlaps(Cells(boxes, scores=[0.6, 0.9, 0.3]), 0.45)
    assert sorted(kept.boxes[:, 0].tolist()) == [1, 30]


@pytest.mark.parametrize(("limit", "left"), [(0.3, 1), (0.35, 2)])
def test_overlap_is_intersection_over_union(limit: float, left: int) -> None:
    assert len(suppress_overlaps(Cells([[0, 0, 10, 10], [5, 0, 15, 10]]), limit)) == left
