from __future__ import annotations

import math

import pytest
import torch

from bloodfilm.nets.yolo import YOLOv5
from bloodfilm.training.losses import Known
from bloodfilm.training.pseudo import Candidates, Sureness, best_overlap, entropy, find_candidates, places
from bloodfilm.training.similarity import References, compare, triplet_loss


def candidates(boxes: list[list[float]], image: list[int], kinds: list[int]) -> Candidates:
    return Candidates(torch.tensor(image), torch.tensor(kinds), torch.tensor(boxes), torch.full((len(boxes), 2), 0.5))


def test_candidates_are_thinned_within_their_kind_and_picture_only() -> None:
    torch.manual_seed(0)
    detector = YOLOv5("n", 2, 1).eval()
    detector.detect.m[2].bias.data.view(3, -1)[:, [4, 7]] = 5.0
    with torch.no_grad():
        found = find_candidates(detector(torch.zeros(2, 3, 64, 64)), detector, 0.5, 0.45)
    assert {(int(i), int(k)) for i, k in zip(found.image, found.kinds, strict=True)} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert (found.scores > 0.9).all()
    group = found.image * 2 + found.kinds
    from torchvision.ops import box_iou

    iou = box_iou(found.boxes, found.boxes) * (group[:, None] == group)
    assert iou.fill_diagonal_(0).max() <= 0.45


def test_an_overlap_counts_in_the_same_picture_and_kind() -> None:
    found = candidates([[0, 0, 10, 10]] * 3, [0, 1, 0], [0, 0, 1])
    overlap = best_overlap(found, torch.tensor([0]), torch.tensor([[0.0, 0, 10, 20]]), torch.tensor([0]))
    assert overlap.tolist() == pytest.approx([0.5, 0, 0])
    nothing = best_overlap(found, torch.empty(0).long(), torch.empty(0, 4), torch.empty(0).long())
    assert nothing.tolist() == [0, 0, 0]


def test_places_tell_where_nobody_looked() -> None:
    looked = torch.ones(1, 4, 4, dtype=torch.bool)
    looked[:, :, 2:] = False
    certain = looked[:, None].float().repeat(1, 2, 1, 1)
    certain[:, :, :, 1] = 0
    found = candidates([[0, 0, 8, 8], [8, 0, 16, 8], [20, 20, 40, 40]], [0, 0, 0], [0, 0, 1])
    unseen, sure = places(found, Known(looked, certain), 8)
    assert unseen.tolist() == [False, False, True]
    assert sure.tolist() == [True, False, False]


def test_entropy_is_a_share_of_the_largest() -> None:
    assert entropy(torch.tensor([[0.9, 0.9, 0.9], [0.9, 0.0, 0.0]])).tolist() == pytest.approx([1, 0])
    assert entropy(torch.tensor([[0.3]])).tolist() == [0]
    said = entropy(torch.tensor([[0.25] * 4, [1.0, 0, 0, 0], [0.5, 0.5, 0, 0]]))
    assert said.tolist() == pytest.approx([1, 0, math.log(2) / math.log(4)])


def test_the_threshold_is_where_so_many_were_right() -> None:
    sureness = Sureness(2)
    values = torch.linspace(0, 0.999, 1000)
    sureness.learn(torch.zeros(1000, dtype=torch.int64), values, values > 0.6)
    threshold, none = sureness.threshold(0.9).tolist()
    assert threshold == pytest.approx(0.56, abs=0.021)
    assert none == 2
    for _ in range(2000):
        sureness.learn(torch.zeros(1, dtype=torch.int64), torch.tensor([0.99]), torch.tensor([False]))
    assert sureness.threshold(0.9)[0] == 2


def test_triplet_loss_pulls_own_and_pushes_others() -> None:
    own, others = torch.tensor([0.9, 0.5, torch.inf]), torch.tensor([0.2, 0.8, 0.1])
    assert float(triplet_loss(own, others, 0.05)) == pytest.approx(0.35 / 2)
    assert float(triplet_loss(own, others, 0.05, sign=-1)) == pytest.approx(0.65 / 2)
    assert float(triplet_loss(own[2:], others[2:], 0.05)) == 0


def test_likeness_is_compared_with_what_lies_apart() -> None:
    neck = torch.zeros(1, 2, 8, 8)
    neck[:, 0, :, :4], neck[:, 1, :, 4:] = 1, 1
    references = References(
        torch.tensor([0, 0]), torch.tensor([[0.0, 32, 20, 60], [40, 0, 60, 20]]), torch.tensor([0, -1])
    )
    image, boxes = torch.tensor([0, 0]), torch.tensor([[0.0, 0, 20, 20], [40, 0, 60, 20]])
    own, others = compare(neck, image, boxes, torch.tensor([0, 0]), references)
    assert own.tolist() == pytest.approx([1, 0])
    assert others[0] == 0
    assert others[1] == -torch.inf
