from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bloodfilm.cells import Cells, Field


@pytest.fixture(scope="session")
def annotated() -> Callable[..., Field]:
    """Make a field of 200 x 200 px that was never on disk."""

    def make(boxes: Any = (), ignored: Any = (), name: str = "a.png", **columns: Any) -> Field:
        cells = Cells(np.array(boxes, np.float32).reshape(-1, 4), **columns)
        return Field(Path(name), cells, 200, 200, np.array(ignored, np.float32).reshape(-1, 4), name=name)

    return make
