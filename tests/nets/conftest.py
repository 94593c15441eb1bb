"""Modules as YOLOv5 pickles them, and pictures."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from plain_yolov5 import State
from torch import Tensor, nn


@pytest.fixture
def module_class(monkeypatch: pytest.MonkeyPatch) -> type[nn.Module]:
    """A class of modules that a pickle knows as one of YOLOv5's."""
    room = types.ModuleType("models.yolo")
    room.Model = type("Model", (nn.Module,), {"__module__": "models.yolo"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "models", types.ModuleType("models"))
    monkeypatch.setitem(sys.modules, "models.yolo", room)
    return room.Model  # type: ignore[no-any-return]


@pytest.fixture
def whole(module_class: type[nn.Module]) -> Callable[..., nn.Module]:
    """Make a module with the tensors of a state dict, as YOLOv5 pickles it."""

    def whole(state: State, activation: nn.Module | None = None, **entries: Any) -> nn.Module:
        model = module_class()
        for name, tensor in state.items():
            *rooms, last = name.split(".")
            module = model
            for room in rooms:
                if room not in module._modules:
                    module.add_module(room, module_class())
                module = module.get_submodule(room)
            if last in ("weight", "bias"):
                module.register_parameter(last, nn.Parameter(tensor))
            else:
                module.register_buffer(last, tensor)
        model.add_module("act", activation or nn.SiLU())
        for name, value in entries.items():
            setattr(model, name, value)
        return model

    return whole


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
