"""A detector whose network is not trained, and a picture for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bloodfilm.detection.detector import Detector


@pytest.fixture(scope="module")
def detector(checkpoint: Path) -> Detector:
    return Detector(checkpoint, "cpu", torch.float32)


@pytest.fixture
def picture() -> np.ndarray:
    """A picture of noise that tiles of 64 px cover with two rows of three."""
    return np.random.default_rng(0).integers(0, 256, (96, 120, 3), dtype=np.uint8)
