"""What came of a training, as it is shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from bloodfilm.napari.tuning.result import TrainResult
from bloodfilm.training.samples import SAMPLES, WHEN


def test_pictures_are_as_wide_as_the_panel(qtbot, tmp_path: Path) -> None:
    (tmp_path / SAMPLES).mkdir()
    for when in WHEN:
        Image.fromarray(np.zeros((300, 400, 3), np.uint8)).save(tmp_path / SAMPLES / f"1-a-{when}.png")
    result = TrainResult()
    qtbot.addWidget(result)
    result.resize(380, 900)
    result.show_result(tmp_path, "wbc-new", {"after": {"ap50": 0.5, "ap": 0.3, "cells": 3}}, [])
    result.layout().activate()
    assert [(picture.width(), picture.height()) for picture in result.pictures] == [(380, 285)] * len(WHEN)
