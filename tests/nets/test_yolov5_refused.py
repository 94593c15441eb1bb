"""What is no YOLOv5 v6/v7 is refused with its reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from plain_yolov5 import State, imported, weights
from torch import Tensor, nn

from bloodfilm.errors import CheckpointError


def change(**changes: Tensor | None) -> State:
    """Return weights with some tensors replaced or left out; two underscores stand for a dot."""
    renamed = {name.replace("__", "."): tensor for name, tensor in changes.items()}
    return {name: tensor for name, tensor in (weights() | renamed).items() if tensor is not None}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (change(model__3__conv__weight=torch.ones(3, 3)), r"size n: model\.3\.conv\.weight has the shape \(3, 3\)"),
        (change(model__9__cv2__conv__weight=None), r"layout of size n: model\.9\.cv2\.conv\.weight has the shape None"),
        (change(model__25__weight=torch.ones(1)), r"layout of size n: model\.25\.weight has the shape \(1,\)"),
        (change(model__24__m__0__bias=torch.ones(25)), "its last 25"),
        (change(model__24__m__0__bias=torch.ones(())), "its last 0"),
        (change(model__0__conv__weight=torch.ones(24, 3, 6, 6)), "its first layer has 24 channels"),
        (change(model__0__conv__weight=None), "its first layer has 0 channels"),
        (change(model__24__anchors=torch.ones(4, 3, 2)), r"model\.24\.anchors has the shape \(4, 3, 2\)"),
        (change(model__4__cv1__bn__bias=torch.full((32,), torch.nan)), r"model\.4\.cv1\.bn\.bias holds numbers that"),
        ({"conv1.weight": torch.ones(3)}, "its first layer has 0 channels"),
        ({"epoch": 3, "model": None}, "holds no weights"),
        ([1, 2], "holds no weights"),
        ("words", "holds no weights"),
    ],
)  # fmt: skip
def test_weights_of_another_layout_are_refused(tmp_path: Path, state: Any, reason: str) -> None:
    with pytest.raises(CheckpointError, match=f"a.pt .*{reason}"):
        imported(tmp_path / "a.pt", state)


def test_another_activation_is_refused(tmp_path: Path, whole: Callable[..., nn.Module]) -> None:
    with pytest.raises(CheckpointError, match="has LeakyReLU where"):
        imported(tmp_path / "a.pt", {"model": whole(weights(), nn.LeakyReLU())})
