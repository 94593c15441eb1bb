"""A detector whose network is not trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bloodfilm.detection.detector import Detector


@pytest.fixture(scope="module")
def detector(checkpoint: Path) -> Detector:
    return Detector(checkpoint, "cpu", torch.float32)
