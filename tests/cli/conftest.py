"""Labels to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bloodfilm.cells import Cells, Field
from bloodfilm.io.coco import write_coco


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
