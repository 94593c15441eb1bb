from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bloodfilm.cells import Field
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.training.data import FieldDataset
from bloodfilm.training.labels import collate
from bloodfilm.training.losses import known
from bloodfilm.training.method import Step
from bloodfilm.training.published import GUESS_UNTIL, PLAIN, Published, focal_loss


def run(fields: list[Field], done: float) -> tuple[dict[str, float], dict[str, float], torch.Tensor, torch.Tensor]:
    """Return losses and measures of a network that finds a cell everywhere, where nobody looked and what is learned."""
    torch.manual_seed(0)
    region = np.array([[0, 0, 48, 96]], np.float32)
    sparse = [replace(field, cells=field.cells[:1], labelled_regions=region) for field in fields]
    method = Published(truth=fields)
    dataset = FieldDataset(sparse, 64, 0.0, scale=(1.0, 1.0), labels=method.labels)
    images, targets = collate([dataset[index] for index in range(4)])
    network = AttriDet("n")
    for conv in network.detector.detect.m:
        conv.bias.data.view(3, -1)[:, 4] = 5.0  # type: ignore[operator]
    levels = []
    network.detector.detect.register_forward_hook(lambda *args: levels.extend(args[2]))
    for parameter in network.detector.detect.parameters():
        parameter.requires_grad_(True)
    features = network.detector(images / 255)
    masks = known(targets, [level.shape for level in features.levels], 1)
    levels.clear()
    losses = method.losses(Step(network, network, images / 255, images / 255, targets, done))
    (gradient,) = torch.autograd.grad(losses["objectness"], levels[:1])
    told = {name: float(value) for name, value in method.measures().items()}
    return {n: float(v.detach()) for n, v in losses.items()}, told, ~masks[0].looked, (gradient != 0).any(1).any(-1)


def test_first_all_that_has_no_label_is_background(fields: list[Field]) -> None:
    losses, told, unseen, changed = run(fields, 0.0)
    assert np.isfinite(list(losses.values())).all()
    assert np.isnan(list(told.values())).all()
    assert changed[unseen].all()


def test_then_pseudo_labels_come_from_the_same_pass(fields: list[Field]) -> None:
    late = PLAIN + 0.1 * (1 - PLAIN)
    losses, told, unseen, changed = run(fields, late)
    assert list(losses) == list(run(fields, 0.0)[0])
    assert np.isfinite(list(losses.values())).all()
    assert told["pseudo_labels"] > 0
    assert changed[unseen].any()
    assert not changed[unseen].all()


def test_in_the_end_there_are_none(fields: list[Field]) -> None:
    losses, told, unseen, changed = run(fields, PLAIN + (GUESS_UNTIL + 0.01) * (1 - PLAIN))
    assert np.isfinite(list(losses.values())).all()
    assert np.isnan(told["pseudo_labels"])
    assert not changed[unseen].any()


def test_focal_loss_is_weighted_cross_entropy() -> None:
    logits, aim = torch.tensor([0.0, 2.0, -1.0]), torch.tensor([1.0, 1.0, 0.0])
    p = logits.sigmoid()
    wanted = torch.tensor([0.25 * (1 - p[0]) ** 1.5, 0.25 * (1 - p[1]) ** 1.5, 0.75 * p[2] ** 1.5])
    plain = F.binary_cross_entropy_with_logits(logits, aim, reduction="none")
    assert focal_loss(logits, aim).tolist() == pytest.approx((wanted * plain).tolist())
