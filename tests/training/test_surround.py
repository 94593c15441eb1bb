from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from bloodfilm.training.labels import WHITE, Labels
from bloodfilm.training.surround import surround

SIDE = 128


def picture() -> tuple[Tensor, Labels]:
    """Return a light picture with a box in the middle and one in each corner."""
    near, far = 4.0, SIDE - 24.0
    corners = [[x, y, x + 20, y + 20] for x in (near, far) for y in (near, far)]
    boxes = torch.tensor([[54.0, 54, 74, 74], *corners])
    kinds = torch.full((5,), WHITE)
    none = torch.zeros((0, 4)), torch.zeros(0, dtype=torch.int64)
    return torch.full((3, SIDE, SIDE), 200, dtype=torch.uint8), Labels(boxes, kinds, torch.zeros((5, 8)).long(), *none)


@pytest.mark.parametrize("seed", range(5))
def test_the_middle_stays_and_the_edge_gets_dark(seed: int) -> None:
    before, labels = picture()
    image, seen = surround(before, labels, np.random.default_rng(seed))
    assert torch.equal(image[:, 54:74, 54:74], before[:, 54:74, 54:74])
    assert image.min() < 60
    assert labels.boxes[0].tolist() in seen.boxes.tolist()
    assert len(seen.boxes) + len(seen.unknown) == 5


def test_small_circles_hide_every_corner() -> None:
    hidden = [len(surround(*picture(), np.random.default_rng(seed))[1].unknown) for seed in range(20)]
    assert max(hidden) == 4
    assert min(hidden) < 4


def test_what_is_shown_is_light_and_what_is_unknown_is_dark() -> None:
    for seed in range(10):
        image, labels = surround(*picture(), np.random.default_rng(seed))
        for boxes, wanted in ((labels.boxes, True), (labels.unknown, False)):
            for x0, y0, x1, y1 in boxes.int().tolist():
                light = (image[0, y0:y1, x0:x1] > 120).float().mean()
                assert (light > 0.7) == wanted
