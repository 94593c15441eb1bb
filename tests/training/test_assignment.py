from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bloodfilm.nets.yolo import ANCHORS, STRIDES
from bloodfilm.training.assignment import assign

IN_STRIDES = torch.tensor(ANCHORS, dtype=torch.float32) / torch.tensor(STRIDES).view(3, 1, 1)
SHAPES = [(8, 12), (4, 6), (2, 3)]


def centred(x: float, y: float, width: float, height: float) -> Tensor:
    return torch.tensor([[x - width / 2, y - height / 2, x + width / 2, y + height / 2]])


def matches(boxes: Tensor, level: int = 0, image: Tensor | None = None) -> set[tuple[int, ...]]:
    """Return image, anchor, row, column and cell of each match."""
    image = torch.zeros(len(boxes), dtype=torch.int64) if image is None else image
    found = assign(image, boxes, IN_STRIDES, SHAPES)[level]
    assert len(set(zip(*(t.tolist() for t in found), strict=True))) == len(found.cell)
    return set(zip(*(t.tolist() for t in found), strict=True))


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
    for found in assign(torch.empty(0, dtype=torch.int64), torch.empty(0, 4), IN_STRIDES, SHAPES):
        assert [len(column) for column in found] == [0] * 5


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
