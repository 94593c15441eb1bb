from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bloodfilm.cells import Cells, Field
from bloodfilm.io.polygons import rectangles
from bloodfilm.training.labels import ANY, labels_of
from bloodfilm.training.regions import end_on_border, outside_of_regions, views

SIDE = 96


def painted(boxes: np.ndarray) -> np.ndarray:
    """Return how many of `boxes` cover each pixel."""
    counts = np.zeros((SIDE, SIDE), int)
    for x0, y0, x1, y1 in boxes.astype(int):
        counts[y0:y1, x0:x1] += 1
    return counts


@pytest.mark.parametrize(
    "regions",
    [[[10, 20, 50, 60]], [[0, 0, 96, 30]], [[0, 0, 40, 40], [30, 20, 70, 90]], [[5, 5, 20, 20], [60, 60, 96, 96]], []],
    ids=["inside", "at the edge", "overlapping", "apart", "unknown where"],
)
def test_what_lies_in_no_region_is_covered_once(single: Field, regions: list[list[int]]) -> None:
    given = np.array(regions, np.float32).reshape(-1, 4)
    counts = painted(outside_of_regions(replace(single, labelled_regions=given)))
    assert (counts == (painted(given) == 0)).all()


@pytest.mark.parametrize("regions", [None, [[0, 0, SIDE, SIDE]]])
def test_a_field_labelled_everywhere_has_no_outside(single: Field, regions: list[list[int]] | None) -> None:
    given = None if regions is None else np.array(regions, np.float32)
    field = replace(single, labelled_regions=given)
    assert not len(outside_of_regions(field))
    assert all((a == b).all() for a, b in zip(labels_of(field), labels_of(single), strict=True))


def test_boxes_that_end_on_the_border_of_a_region_are_unknown(single: Field) -> None:
    region = np.array([[20, 0, 60, SIDE]], np.float32)
    boxes = np.array([[40, 10, 60, 30], [50, 40, 70, 60], [30, 0, 50, 20], [20, 70, 40, 90]], np.float32)
    field = replace(single, cells=Cells(boxes), labelled_regions=region)
    assert end_on_border(field, boxes).tolist() == [True, False, False, True]
    labels = labels_of(field)
    assert labels.boxes.tolist() == boxes[1:3].tolist()
    assert boxes[0].tolist() in labels.unknown.tolist()


def test_the_stairs_of_a_polygon_are_no_border_and_one_view(single: Field) -> None:
    around = [v for a in np.linspace(0, 2 * np.pi, 90) for v in (48 + 40 * np.cos(a), 48 + 30 * np.sin(a))]
    boxes = np.array([[x, y, x + 8, y + 8] for x in range(28, 56, 3) for y in range(32, 52, 2)], np.float32)
    field = replace(single, cells=Cells(boxes), labelled_regions=rectangles(around))
    assert not end_on_border(field, boxes).any()
    (view,) = views(replace(field, auxiliary={}))
    np.testing.assert_allclose(view, [8, 18, 88, 78], atol=2)
    corners = np.array([[0, 0, 40, 30], [40, 30, 80, 60]], np.float32)
    assert len(views(replace(field, auxiliary={}, labelled_regions=corners))) == 2


def test_a_border_inside_of_a_region_is_unknown_for_its_kind(single: Field) -> None:
    labels = labels_of(replace(single, labelled_regions=np.array([[10, 10, 80, 80]], np.float32)))
    side = float(single.cells.boxes[0, 2] - single.cells.boxes[0, 0])
    left = labels.unknown[labels.unknown[:, 2] < SIDE / 2]
    assert left[labels.unknown_kinds[labels.unknown[:, 2] < SIDE / 2] == ANY][:, 2].tolist() == [10]
    assert left[labels.unknown_kinds[labels.unknown[:, 2] < SIDE / 2] == 0][:, 2].tolist() == [10 + side / 4]


def test_cells_that_a_reviewer_rejected_are_not_learned(single: Field) -> None:
    cells = replace(single.cells, extra={"review": np.array(["rejected"] * len(single.cells), object)})
    labels = labels_of(replace(single, cells=cells))
    assert len(labels.boxes) == len(labels_of(single).boxes) - len(single.cells)
    assert len(labels.unknown) == len(labels_of(single).unknown)
