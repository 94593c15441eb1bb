"""How to learn from a few labelled patches within minutes; known without torch."""

from __future__ import annotations

from typing import Any

from bloodfilm.training.settings import Settings

ROUND = 64
"""Pictures, each changed at random, that an epoch shows at least, however few fields there are."""

PICTURES, MOST_EPOCHS = 768, 12


def settings_for(init: str | None, image_size: int, fields: int, **changes: Any) -> Settings:
    """Return the settings that people get for so many labelled `fields`, with `changes`.

    `image_size` is that of the model `init` that is learned on from.
    """
    epochs = max(MOST_EPOCHS, 1)
    return Settings(**({"init": init, "image_size": image_size, "epochs": epochs, "batch": 8} | changes))
