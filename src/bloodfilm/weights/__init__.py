"""The models that there are, shipped and the user's own; listing them loads no torch."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

WEIGHTS = Path(__file__).parent
DEFAULT_MODEL = "wbc-n"
MIN_SCORE = 0.5
"""Cells that are less probable than not are left out, unless the user says otherwise."""

SUFFIX = ".safetensors"


def home() -> Path:
    """Return the folder of the user's own models and trainings; ``BLOODFILM_HOME`` may say which."""
    return Path(os.environ.get("BLOODFILM_HOME") or user_data_path("bloodfilm", appauthor=False))


def own_models() -> Path:
    return home() / "models"


def available() -> dict[str, Path]:
    """Return the models that ship with the package and the user's own, by name."""
    shipped = sorted(WEIGHTS.glob(f"*{SUFFIX}"))
    return {path.stem: path for path in (*sorted(own_models().glob(f"*{SUFFIX}")), *shipped)}


def keep(weights: Path, name: str) -> str:
    """Copy a checkpoint to the user's own models; return its name there, `name` or like it if that is taken."""
    known, number, free = available(), 1, name
    while free in known:
        number += 1
        free = f"{name}-{number}"
    own_models().mkdir(parents=True, exist_ok=True)
    target = own_models() / f"{free}{SUFFIX}"
    temporary = target.with_suffix(".part")
    try:
        shutil.copyfile(weights, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return free


def image_size(model: str) -> int | None:
    """Return the side of the pictures that a model was trained on, by its name or file; None if it does not tell."""
    path = available().get(model, Path(model))
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header: dict[str, Any] = json.loads(file.read(length)) if length < path.stat().st_size else {}
        return int(json.loads(header["__metadata__"]["bloodfilm"])["image_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
