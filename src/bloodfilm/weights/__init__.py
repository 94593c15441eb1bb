"""The models that ship with the package; listing them loads no torch."""

from __future__ import annotations

from pathlib import Path

WEIGHTS = Path(__file__).parent
DEFAULT_MODEL = "wbc-n"
MIN_SCORE = 0.5
"""Cells that are less probable than not are left out, unless the user says otherwise."""


def available() -> dict[str, Path]:
    """Return the models that ship with the package, by name."""
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.safetensors"))}
