from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bloodfilm.cells import Cells, Field
from bloodfilm.detection.detector import Detector
from bloodfilm.errors import UserError
from bloodfilm.training.loop import train
from bloodfilm.training.method import Step
from bloodfilm.training.settings import Settings
from bloodfilm.training.supervised import Supervised


def settings(batch: int = 2) -> Settings:
    return Settings(image_size=64, batch=batch, epochs=2, workers=0, device="cpu")


def test_where_memory_runs_out_the_batch_is_halved(
    fields: list[Field], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses, sizes = Supervised.losses, []

    def greedy(self: Supervised, step: Step) -> dict[str, Tensor]:
        sizes.append(len(step.images))
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return losses(self, step)

    monkeypatch.setattr(Supervised, "losses", greedy)
    with pytest.warns(UserWarning, match="going on with 2 pictures"):
        best = train(fields, fields[:2], tmp_path, settings(batch=4))
    assert best.exists()
    assert sizes[0] > 2
    assert set(sizes[1:]) <= {1, 2}


def test_where_memory_runs_out_in_judging_an_epoch_is_not_trained_twice(
    fields: list[Field], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detect, asked, seen = Detector.detect, [], []

    def greedy(self: Detector, *arguments: Any, **options: Any) -> Cells:
        asked.append(self)
        if len(asked) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return detect(self, *arguments, **options)

    monkeypatch.setattr(Detector, "detect", greedy)
    with pytest.warns(UserWarning, match="going on with 1 pictures"):
        train(fields, fields[:1], tmp_path, settings(), progress=lambda row: seen.append(row["epoch"]))
    assert [epoch for epoch in seen if epoch == int(epoch)] == [1, 2]


def test_memory_too_small_for_one_picture_is_said(
    fields: list[Field], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(self: Supervised, step: Step) -> dict[str, Tensor]:
        torch.empty(2**50, dtype=torch.uint8)
        return {}

    monkeypatch.setattr(Supervised, "losses", greedy)
    with pytest.warns(UserWarning, match="Memory ran out"), pytest.raises(UserError, match="choose fewer"):
        train(fields, fields[:2], tmp_path, settings())


def test_any_other_error_of_a_step_is_raised(
    fields: list[Field], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Supervised, step: Step) -> dict[str, Tensor]:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(Supervised, "losses", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        train(fields, fields[:2], tmp_path, settings())
