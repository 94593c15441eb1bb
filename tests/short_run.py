"""Runs that take a second, stopped where a test wants it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bloodfilm.training.settings import Settings

SCORES = ("ap50", "ap", "recall", "false_per_field")

VALIDATION = 2
"""Fields to select on; before each, too, a run asks if it is to stop."""


def settings(**changes: Any) -> Settings:
    return Settings(**({"image_size": 64, "batch": 2, "epochs": 2, "workers": 0, "device": "cpu"} | changes))


def stop_after(times: int) -> Callable[[], bool]:
    """Return a check that says to stop once it was asked so many times."""
    asked = iter(range(times))
    return lambda: next(asked, None) is None
