"""A search with the untrained network, and labels to train on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import run
from PIL import Image

from bloodfilm.cells import Cells, Field
from bloodfilm.io.coco import write_coco


@pytest.fixture
def detect(checkpoint: Path, tmp_path: Path) -> Callable[..., Path]:
    """Run ``detect`` with the untrained network and return the folder of its results."""

    def detect(*arguments: object, status: int = 0) -> Path:
        out = tmp_path / "out"
        run("detect", *arguments, "--out", out, "--model", checkpoint, "--device", "cpu", status=status)
        return out

    return detect


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Three annotated pictures of 64 px."""
    fields = []
    for number in range(3):
        picture = np.full((64, 64, 3), 225, np.uint8)
        picture[20:44, 20:44] = (90, 50, 140)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
        cells = Cells([[20, 20, 44, 44]], codes=[3], attributes=[[1] * 7])
        fields.append(Field(tmp_path / f"{number}.png", cells, 64, 64, name=f"{number}.png"))
    write_coco(tmp_path / "labels.json", fields)
    return tmp_path / "labels.json"
