from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bloodfilm.nets.yolo import ANCHORS, STRIDES
from bloodfilm.training.assignment import TAUGHT, Matches, align, assign

IN_STRIDES = torch.tensor(ANCHORS, dtype=torch.float32) / torch.tensor(STRIDES).view(3, 1, 1)
SHAPES = [(8, 12), (4, 6), (2, 3)]


def centred(x: float, y: float, width: float, height: float) -> Tensor:
    return torch.tensor([[x - width / 2, y - height / 2, x + width / 2, y + height / 2]])


def matches(boxes: Tensor, level: int = 0, image: Tensor | None = None) -> set[tuple[int, ...]]:
    """Return image, anchor, row, column and cell of each match on a level."""
    image = torch.zeros(len(boxes), dtype=torch.int64) if image is None else image
    found = list(zip(*(t.tolist() for t in assign(image, boxes, IN_STRIDES, SHAPES)), strict=True))
    assert len(set(found)) == len(found)
    rows, columns = SHAPES[level]
    first = sum(3 * r * c for r, c in SHAPES[:level])
    mine = [(i, place - first, cell) for i, place, cell in found if 0 <= place - first < 3 * rows * columns]
    return {(i, p // (rows * columns), p // columns % rows, p % columns, cell) for i, p, cell in mine}


@pytest.mark.parametrize(
    ("x", "y", "places"),
    [
        (3.5, 2.5, {(2, 3)}),
        (3.2, 2.5, {(2, 3), (2, 2)}),
        (3.8, 2.5, {(2, 3), (2, 4)}),
        (3.5, 2.2, {(2, 3), (1, 3)}),
        (3.2, 2.7, {(2, 3), (2, 2), (3, 3)}),
        (0.2, 0.3, {(0, 0)}),
        (11.8, 7.9, {(7, 11)}),
        (1.2, 7.2, {(7, 1), (7, 0), (6, 1)}),
    ],
)
def test_a_cell_goes_to_its_place_and_the_nearest_neighbours(x: float, y: float, places: set[tuple[int, int]]) -> None:
    found = matches(centred(8 * x, 8 * y, 16, 30))
    assert {(row, column) for _, _, row, column, _ in found} == places
    assert {anchor for _, anchor, *_ in found} == {0, 1, 2}


@pytest.mark.parametrize(
    ("width", "height", "anchors"),
    [
        (39, 30, {0, 1, 2}),
        (41, 30, {1, 2}),
        (9, 7, {0, 2}),
        (7, 9, {0, 1}),
        (2, 30, set()),
        (33, 118, {1}),
        (33, 121, set()),
    ],
)
def test_an_anchor_is_taken_if_neither_side_differs_by_a_factor_of_four(
    width: float, height: float, anchors: set[int]
) -> None:
    assert {anchor for _, anchor, *_ in matches(centred(28, 20, width, height))} == anchors


def test_levels_take_cells_of_their_size() -> None:
    small, large = centred(41, 30, 12, 12), centred(41, 30, 300, 260)
    assert [bool(matches(small, level)) for level in range(3)] == [True, False, False]
    assert [bool(matches(large, level)) for level in range(3)] == [False, False, True]


def test_each_match_knows_its_cell_and_the_image_of_it() -> None:
    boxes = torch.cat((centred(28, 20, 16, 30), centred(60, 44, 16, 30), centred(28, 20, 16, 30)))
    found = matches(boxes, image=torch.tensor([1, 0, 0]))
    assert {(image, row, column, cell) for image, _, row, column, cell in found} == {
        (1, 2, 3, 0),
        (0, 5, 7, 1),
        (0, 2, 3, 2),
    }


def test_no_cells_match_nothing() -> None:
    found = assign(torch.empty(0, dtype=torch.int64), torch.empty(0, 4), IN_STRIDES, SHAPES)
    assert [len(column) for column in found] == [0] * 3
    chosen, aims = align(found, torch.empty(0), torch.empty(0))
    assert len(chosen) == len(aims) == 0


def pairs(*found: tuple[int, int]) -> Matches:
    """Return matches of one image from (place, cell)."""
    place, cell = torch.tensor(found).T
    return Matches(torch.zeros_like(place), place, cell)


def test_a_cell_teaches_the_outputs_that_find_it_best() -> None:
    found = pairs(*((place, 0) for place in range(30)))
    overlap = torch.linspace(0.1, 0.9, 30)
    chosen, aims = align(found, torch.zeros(30), overlap)
    assert sorted(chosen.tolist()) == list(range(30 - TAUGHT, 30))
    assert float(aims.max()) == pytest.approx(0.9)
    assert aims[chosen.argsort()].diff().min() > 0


def test_of_equal_overlap_the_higher_score_is_taught_more() -> None:
    chosen, aims = align(pairs((4, 0), (5, 0)), torch.tensor([-3.0, 3.0]), torch.tensor([0.8, 0.8]))
    assert dict(zip(chosen.tolist(), aims.tolist(), strict=True))[1] == pytest.approx(0.8)
    assert aims.min() < 0.25


def test_an_output_is_taught_by_the_one_cell_that_it_overlaps_most() -> None:
    found = pairs((7, 0), (7, 1), (8, 0))
    chosen, _ = align(found, torch.zeros(3), torch.tensor([0.6, 0.7, 0.5]))
    assert sorted(chosen.tolist()) == [1, 2]


def test_cells_that_nothing_overlaps_yet_aim_at_nothing() -> None:
    _, aims = align(pairs((1, 0), (2, 0)), torch.zeros(2), torch.tensor([-0.3, 0.0]))
    assert aims.tolist() == [0, 0]


@pytest.mark.parametrize("level", [0, 1, 2])
def test_many_cells_are_assigned_as_one_by_one(level: int) -> None:
    generator = torch.Generator().manual_seed(level)
    corners = torch.rand(60, 2, generator=generator) * torch.tensor([80.0, 50.0])
    boxes = torch.cat((corners, (corners + 3 + 60 * torch.rand(60, 2, generator=generator))), 1)
    boxes = boxes.minimum(torch.tensor([96.0, 64.0, 96.0, 64.0]))
    image = torch.randint(3, (60,), generator=generator)
    rows, columns = SHAPES[level]
    wanted = set()
    for cell, box in enumerate((boxes / STRIDES[level]).tolist()):
        x, y, width, height = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]
        places = {(int(y), int(x))}
        if x % 1 < 0.5 and x > 1:
            places.add((int(y), int(x) - 1))
        if x % 1 > 0.5 and x < columns - 1:
            places.add((int(y), int(x) + 1))
        if y % 1 < 0.5 and y > 1:
            places.add((int(y) - 1, int(x)))
        if y % 1 > 0.5 and y < rows - 1:
            places.add((int(y) + 1, int(x)))
        for anchor, (w, h) in enumerate(IN_STRIDES[level].tolist()):
            if max(width / w, w / width, height / h, h / height) < 4:
                wanted |= {(int(image[cell]), anchor, row, column, cell) for row, column in places}
    assert wanted
    assert matches(boxes, level, image) == wanted
