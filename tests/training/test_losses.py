from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.yolo import STRIDES, Detect, Features
from bloodfilm.training.assignment import assign
from bloodfilm.training.labels import Targets
from bloodfilm.training.losses import Guess, Known, detection_losses, reading_loss
from bloodfilm.vocabulary import LLD, UNKNOWN

BOXES = torch.tensor([[10.0, 12, 34, 40], [50, 20, 90, 60], [8, 6, 24, 20]])


NOTHING_UNKNOWN = torch.empty(0).long(), torch.empty(0, 4), torch.empty(0).long()


@pytest.fixture(scope="module")
def detect() -> Detect:
    return Detect(14, (8, 8, 8))


def targets(classes: tuple[int, ...] = (3, 7, 1), image: tuple[int, ...] = (0, 0, 1)) -> Targets:
    count = len(classes)
    codes = torch.full((count, 8), UNKNOWN)
    codes[:, 0] = torch.tensor(classes)
    kinds = torch.zeros(count, dtype=torch.int64)
    return Targets(torch.tensor(image[:count]).long(), BOXES[:count], kinds, codes, *NOTHING_UNKNOWN)


def levels(value: float = 0.0) -> list[Tensor]:
    """Return raw outputs of two images of 64 x 96 px."""
    return [torch.full((2, 3, 64 // s, 96 // s, 19), value) for s in STRIDES]


def losses(raw: list[Tensor], wanted: Targets, detect: Detect) -> dict[str, Tensor]:
    unused = torch.empty(0)
    return detection_losses(Features(tuple(raw), (unused, unused), unused, unused), wanted, detect)


def perfect(wanted: Targets, detect: Detect) -> list[Tensor]:
    """Return raw outputs that say exactly what is wanted, wherever one cell is matched."""
    raw = levels(-20.0)
    shapes = [(level.shape[2], level.shape[3]) for level in raw]
    for index, found in enumerate(assign(wanted.image, wanted.boxes, detect.anchors, shapes)):
        boxes = wanted.boxes[found.cell] / STRIDES[index]
        centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        t_centre = (centre - torch.stack((found.column, found.row), 1) + 0.5) / 2
        t_size = (size / detect.anchors[index][found.anchor]).sqrt() / 2
        place = (found.image, found.anchor, found.row, found.column)
        said = torch.full((len(found.cell), 19), -20.0)
        said[:, :4] = torch.cat((t_centre, t_size), 1).logit()
        said[:, 4] = 20
        said[torch.arange(len(found.cell)), 5 + wanted.codes[found.cell, 0]] = 20
        raw[index][place] = said
    return raw


def test_outputs_that_are_all_right_cost_nothing(detect: Detect) -> None:
    wanted = targets()
    for name, loss in losses(perfect(wanted, detect), wanted, detect).items():
        assert float(loss) == pytest.approx(0, abs=1e-4), name


@pytest.mark.parametrize(
    ("name", "columns"), [("box", slice(0, 4)), ("objectness", slice(4, 5)), ("class", slice(5, 19))]
)
def test_each_error_costs_in_its_own_loss(detect: Detect, name: str, columns: slice) -> None:
    wanted = targets()
    wrong = perfect(wanted, detect)
    for level in wrong:
        level[..., columns] = torch.where(level[..., 4:5] > 0, -level[..., columns], level[..., columns])
    for each, loss in losses(wrong, wanted, detect).items():
        if each == name:
            assert float(loss) > 0.01
        elif (name, each) != ("box", "objectness"):
            assert float(loss) < 1e-4, each


def test_without_cells_only_objectness_teaches(detect: Detect) -> None:
    raw = [level.requires_grad_() for level in levels()]
    empty = targets(())
    found = losses(raw, empty, detect)
    assert (float(found["box"]), float(found["class"])) == (0, 0)
    assert float(found["objectness"].detach()) == pytest.approx(0.7 * (4 + 1 + 0.4) * math.log(2))
    torch.stack(list(found.values())).sum().backward()
    for level in raw:
        assert level.grad is not None
        assert level.grad[..., :4].abs().sum() == level.grad[..., 5:].abs().sum() == 0


def test_objectness_aims_at_the_overlap_that_a_box_reaches(detect: Detect) -> None:
    wanted = targets((3,))
    raw = perfect(wanted, detect)
    narrower = wanted._replace(boxes=torch.tensor([[12.4, 12, 31.6, 40]]))
    logits, costs = torch.arange(-2, 5, 0.05), []
    for logit in logits:
        for level in raw:
            level[..., 4] = torch.where(level[..., 4] > -10, logit, level[..., 4])
        costs.append(float(losses(raw, narrower, detect)["objectness"]))
    assert float(logits[int(np.argmin(costs))].sigmoid()) == pytest.approx(0.8, abs=0.01)


def test_cells_of_unknown_type_do_not_enter_the_class_loss(detect: Detect) -> None:
    named, mixed = targets((3,)), targets((3, UNKNOWN, UNKNOWN))
    raw = [level.requires_grad_() for level in levels()]
    found = losses(raw, mixed, detect)["class"]
    levels_of_the_named_cell = 2
    assert float(found.detach()) == pytest.approx(0.0525 * levels_of_the_named_cell * math.log(2))
    found.backward()
    with_unknown = [level.grad.clone() for level in raw]  # type: ignore[union-attr]
    for level in raw:
        level.grad = torch.zeros_like(level)
    losses(raw, named, detect)["class"].backward()
    for level, gradient in zip(raw, with_unknown, strict=True):
        torch.testing.assert_close(level.grad, gradient)


def test_a_batch_of_unknown_types_still_teaches_boxes(detect: Detect) -> None:
    raw = [level.requires_grad_() for level in levels()]
    found = losses(raw, targets((UNKNOWN, UNKNOWN)), detect)
    assert float(found["class"].detach()) == 0
    assert float(found["box"].detach()) > 0
    torch.stack(list(found.values())).sum().backward()
    assert all(torch.isfinite(level.grad).all() for level in raw)  # type: ignore[arg-type]


def test_a_labelled_cell_is_no_background_where_nobody_looked(detect: Detect) -> None:
    wanted = targets((3,), (0,))
    raw = [level.requires_grad_() for level in levels()]
    masks = [
        Known(torch.zeros(level[:, 0, ..., 0].shape, dtype=torch.bool), torch.full(level[:, :1, ..., 0].shape, 0.5))
        for level in levels()
    ]
    unused, nothing = torch.empty(0), Guess(masks, torch.zeros(1, dtype=torch.bool), torch.ones(1))
    detection_losses(Features(tuple(raw), (unused, unused), unused, unused), wanted, detect, nothing)[
        "objectness"
    ].backward()
    matched = assign(wanted.image, wanted.boxes, detect.anchors, [level.shape[2:4] for level in raw])
    for level, matches in zip(raw, matched, strict=True):
        taught = level.grad[..., 4] != 0  # type: ignore[index]
        expected = torch.ones_like(taught)
        expected[matches.image, matches.anchor, matches.row, matches.column] = False
        assert torch.equal(taught, expected)


def test_half_precision_outputs_are_weighed_in_full(detect: Detect) -> None:
    half = [level.bfloat16() for level in levels()]
    for name, loss in losses(half, targets(), detect).items():
        assert loss.dtype == torch.float32, name
        assert float(loss) == pytest.approx(float(losses(levels(), targets(), detect)[name]))


def test_nothing_is_learned_from_finding_what_may_be_there(detect: Detect) -> None:
    whole = Targets(*targets(())[:4], torch.tensor([0]), torch.tensor([[0.0, 0, 96, 64]]), torch.tensor([0]))
    part = whole._replace(unknown=torch.tensor([[0.0, 0, 32, 64]]))
    raw = [level.requires_grad_() for level in levels()]
    losses(raw, whole, detect)["objectness"].backward()
    assert all(level.grad[0].count_nonzero() == 0 for level in raw)  # type: ignore[index]
    assert all(level.grad[1, ..., 4].all() for level in raw)  # type: ignore[index]
    raw = [level.requires_grad_() for level in levels()]
    losses(raw, part, detect)["objectness"].backward()
    for level, stride in zip(raw, STRIDES, strict=True):
        taught = level.grad[0, 0, 0, :, 4] != 0  # type: ignore[index]
        assert taught.tolist() == [column >= 32 // stride for column in range(96 // stride)]


def test_a_labelled_cell_teaches_even_where_others_may_be_missing(detect: Detect) -> None:
    wanted = targets((3,))
    everywhere = wanted._replace(
        unknown_image=torch.tensor([0]), unknown=torch.tensor([[0.0, 0, 96, 64]]), unknown_kinds=torch.tensor([0])
    )
    raw = [level.requires_grad_() for level in levels()]
    losses(raw, everywhere, detect)["objectness"].backward()
    shapes = [(level.shape[2], level.shape[3]) for level in raw]
    for level, found in zip(raw, assign(wanted.image, wanted.boxes, detect.anchors, shapes), strict=True):
        assert level.grad[0, ..., 4].count_nonzero() == len(found.cell)  # type: ignore[index]


def test_red_cells_teach_their_own_score_and_no_type() -> None:
    detect = Detect(14, (8, 8, 8), auxiliary=2)
    wanted = targets((3, UNKNOWN))._replace(kinds=torch.tensor([0, 1]))
    raw = [torch.zeros(*level.shape[:4], 21).requires_grad_() for level in levels()]
    found = losses(raw, wanted, detect)
    assert float(found["auxiliary"].detach()) > 0
    found["auxiliary"].backward()
    rising = torch.stack([(level.grad < 0).any(0).any(0).any(0).any(0) for level in raw]).any(0)  # type: ignore[union-attr]
    assert rising[4:].tolist() == [False] * 15 + [True, False]


def test_a_few_steps_on_one_batch_lower_the_loss(network: AttriDet) -> None:
    torch.manual_seed(0)
    learner = AttriDet("n").train()
    learner.load_state_dict(network.state_dict())
    images, wanted = torch.rand(2, 3, 64, 96), targets()
    optimizer = torch.optim.AdamW(learner.detector.parameters(), 2e-3)
    history = []
    for _ in range(30):
        found = detection_losses(learner.detector(images), wanted, learner.detector.detect)
        loss = torch.stack(list(found.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(float(loss.detach()))
    assert history[-1] < 0.75 * history[0]


COUNTS = LLD.value_counts


def parts(logits: Tensor) -> list[Tensor]:
    return list(torch.split(logits, list(COUNTS), 1))


def test_attributes_cost_the_mean_over_all_that_are_labelled() -> None:
    logits = torch.randn(4, sum(COUNTS), generator=torch.Generator().manual_seed(0))
    codes = torch.tensor([[2, 0, 1, -1, 0, 1, 0], [-1] * 7, [0, -1, -1, -1, -1, -1, 1], [1, 1, 1, 1, 1, 1, 1]])
    each = []
    for row, cell in zip(logits, codes.tolist(), strict=True):
        for part, code in zip(torch.split(row, list(COUNTS)), cell, strict=True):
            if code != UNKNOWN:
                each.append(-float(part.log_softmax(0)[code]))
    assert float(reading_loss(parts(logits), codes)) == pytest.approx(sum(each) / len(each))


@pytest.mark.parametrize("cells", [0, 3])
def test_attributes_that_nobody_labelled_cost_nothing(cells: int) -> None:
    logits = torch.randn(cells, sum(COUNTS), requires_grad=True)
    loss = reading_loss(parts(logits), torch.full((cells, 7), UNKNOWN))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert logits.grad.count_nonzero() == 0


def test_an_unknown_attribute_leaves_its_logits_alone() -> None:
    logits = torch.zeros(1, sum(COUNTS), requires_grad=True)
    codes = torch.zeros(1, 7, dtype=torch.int64)
    codes[0, 3] = UNKNOWN
    reading_loss(parts(logits), codes).backward()
    assert logits.grad is not None
    touched = [bool(part.any()) for part in torch.split(copy.copy(logits.grad[0]), list(COUNTS))]
    assert touched == [True, True, True, False, True, True, True]
