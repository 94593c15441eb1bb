"""Sample data: a synthetic field."""

from __future__ import annotations

from typing import Any

from bloodfilm.synth import sample_field


def synthetic_field() -> list[tuple[Any, dict[str, Any], str]]:
    """Return one synthetic blood-film field as an Image layer."""
    picture, _ = sample_field()
    return [(picture, {"name": "Synthetic field", "rgb": True}, "image")]
