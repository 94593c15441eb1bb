"""The sizes that networks come in; known without torch."""

from __future__ import annotations

from typing import Literal

Size = Literal["n", "s", "m", "l", "x"]

SIZES: dict[Size, tuple[float, float]] = {
    "n": (0.25, 0.33),
    "s": (0.5, 0.33),
    "m": (0.75, 0.67),
    "l": (1.0, 1.0),
    "x": (1.25, 1.33),
}
"""Factors of width and depth of each size."""
