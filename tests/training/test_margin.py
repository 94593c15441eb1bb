from __future__ import annotations

import pytest
import torch

from bloodfilm.training.labels import Labels
from bloodfilm.training.margin import with_margin
from bloodfilm.vocabulary import UNKNOWN

SIDE, MARGIN = 160, 32
LOW, HIGH = MARGIN, SIDE - MARGIN


def shown(*boxes: tuple[int, int, int, int]) -> tuple[list[list[float]], list[list[float]], list[int]]:
    """Return boxes, regions of which nothing is known, and types, of objects that a margin is put around."""
    count = len(boxes)
    labels = Labels(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.zeros(count, dtype=torch.long),
        torch.full((count, 8), 3),
        torch.empty(0, 4),
        torch.empty(0, dtype=torch.long),
    )
    _, known = with_margin(torch.zeros(3, SIDE, SIDE, dtype=torch.uint8), labels, MARGIN)
    return known.boxes.tolist(), known.unknown.tolist(), known.codes[:, 0].tolist()


def test_what_is_far_from_the_margin_stays() -> None:
    assert shown((70, 70, 90, 90)) == ([[70, 70, 90, 90]], [], [3])


@pytest.mark.parametrize(
    ("box", "doubled"),
    [
        ((LOW - 10, 70, LOW + 10, 90), [LOW - 10, 70, LOW + 10, 90]),
        ((70, LOW - 5, 90, LOW + 10), [70, LOW - 10, 90, LOW + 10]),
        ((HIGH - 8, 70, HIGH + 12, 90), [HIGH - 8, 70, HIGH + 8, 90]),
        ((70, HIGH - 14, 90, HIGH + 6), [70, HIGH - 14, 90, HIGH + 14]),
        ((HIGH - 10, HIGH - 14, HIGH + 6, HIGH + 2), [HIGH - 10, HIGH - 14, HIGH + 10, HIGH + 14]),
    ],
)
def test_what_is_left_of_an_object_is_one_with_its_mirror_image(
    box: tuple[int, int, int, int], doubled: list[float]
) -> None:
    assert shown(box) == ([doubled], [], [UNKNOWN])


def test_an_object_that_is_hardly_cut_is_beside_its_mirror_image() -> None:
    boxes, unknown, types = shown((LOW - 2, 70, LOW + 18, 90))
    assert boxes == [[LOW, 70, LOW + 18, 90], [LOW - 18, 70, LOW, 90]]
    assert (unknown, types) == ([], [3, 3])


def test_a_small_rest_may_be_anything() -> None:
    boxes, unknown, _ = shown((LOW - 18, 70, LOW + 2, 90))
    assert boxes == []
    assert sorted(unknown) == [[LOW - 2, 70, LOW, 90], [LOW, 70, LOW + 2, 90]]


def test_what_lies_outside_is_gone() -> None:
    assert shown((2, 70, 22, 90), (140, 140, 150, 150)) == ([], [], [])


def test_an_object_near_a_corner_is_there_four_times() -> None:
    boxes, _, _ = shown((LOW + 2, LOW + 2, LOW + 12, LOW + 12))
    near, far = [LOW + 2, LOW + 12], [LOW - 12, LOW - 2]
    assert sorted(boxes) == sorted([x[0], y[0], x[1], y[1]] for x in (near, far) for y in (near, far))
