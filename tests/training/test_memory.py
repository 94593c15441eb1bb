from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bloodfilm.cells import Field
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import load
from bloodfilm.training.loop import train
from bloodfilm.training.memory import Memory, unlabelled_kinds
from bloodfilm.training.settings import Settings
from bloodfilm.vocabulary import AUXILIARY
from bloodfilm.weights import DEFAULT_MODEL

RED = AUXILIARY[0]
BOX = np.array([[10, 10, 30, 30]], np.float32)


@pytest.fixture(scope="module")
def shipped() -> AttriDet:
    return load(DEFAULT_MODEL)[0]


def test_kinds_of_which_no_field_says_anything_are_unlabelled(fields: list[Field]) -> None:
    assert unlabelled_kinds(fields, 2) == [1, 2]
    assert unlabelled_kinds(fields, 0) == []
    assert unlabelled_kinds([*fields, replace(fields[0], auxiliary={RED: BOX})], 2) == [2]
    assert unlabelled_kinds([replace(fields[0], auxiliary={RED: BOX[:0]})], 2) == [1, 2]
    assert unlabelled_kinds([replace(fields[0], complete=frozenset({RED}))], 2) == [2]


def test_what_is_as_it_was_is_not_changed_and_what_is_not_goes_back(shipped: AttriDet) -> None:
    images = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    memory, detect = Memory(shipped, [1, 2]), shipped.detector.detect
    with torch.no_grad():
        levels = shipped.eval().detector(images).levels

    def pull(moved: float) -> tuple[float, list[Tensor]]:
        now = [(level + moved).requires_grad_() for level in levels]
        loss = memory.loss(now, images, detect)
        loss.backward()
        return float(loss.detach()), [level.grad for level in now if level.grad is not None]

    same, still = pull(0.0)
    more, back = pull(0.5)
    red = detect.score_channel(1)
    assert more > same
    assert max(float(grad.abs().max()) for grad in still) < 1e-3 * max(float(grad.abs().max()) for grad in back)
    assert all((grad[..., red] > 0).all() for grad in back)
    assert all((grad[..., detect.score_channel(0)] == 0).all() for grad in back)


def test_a_training_keeps_what_nobody_labels_and_learns_what_somebody_does(
    fields: list[Field], shipped: AttriDet, tmp_path: Path
) -> None:
    settings = Settings(init=DEFAULT_MODEL, image_size=96, batch=2, epochs=1, device="cpu")
    rows: list[dict[str, float]] = []
    train(fields, fields[:1], tmp_path / "unlabelled", settings, report=rows.append)
    labelled = [replace(field, auxiliary=dict.fromkeys(AUXILIARY, BOX)) for field in fields]
    train(labelled, labelled[:1], tmp_path / "labelled", settings, report=rows.append)
    assert rows[0]["memory"] > 0
    assert "memory" not in rows[1]
