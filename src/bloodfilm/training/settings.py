"""How a run trains; known without torch, for programs with a window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bloodfilm.nets.sizes import Size


@dataclass(frozen=True)
class Settings:
    """How to train.

    `init` is a model name or file to start from, which also sets the size; without it the size is n by default. Of an
    imported model all tensors are taken that fit the labels.
    `mosaic`, `mirrored` and `scale` are those of `FieldDataset`. With `keep_detection` the boxes stay
    exactly as those of `init`: only types and attributes are trained, on frozen features. In a share `frozen` of the
    epochs, the first ones, the backbone stays as it was. `workers` are the processes that load pictures; with 0 each
    picture is read once and kept in memory.
    """

    size: Size | None = None
    init: str | None = None
    epochs: int = 100
    image_size: int = 640
    batch: int = 16
    device: str = "auto"
    seed: int = 0
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warm_up: float = 1.0
    mosaic: float = 0.5
    mirrored: float = 0.0
    scale: tuple[float, float] = (0.5, 1.4)
    keep_detection: bool = False
    frozen: float = 0.0
    workers: int = 0


def for_people(init: str | None, image_size: int, **changes: Any) -> Settings:
    """Return settings for a few labelled patches, of use within minutes on two processor cores, with `changes`."""
    few = Settings(init=init, image_size=image_size, epochs=12, batch=4, learning_rate=5e-4, warm_up=0.5)
    return replace(few, **changes)
