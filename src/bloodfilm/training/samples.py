"""Pictures of what a model finds, before and after it learned; known without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from bloodfilm.cells import Cells, Field
from bloodfilm.io.images import read_image
from bloodfilm.io.overlay import draw_overlay
from bloodfilm.weights import MIN_SCORE

SAMPLES, WHEN = "samples", ("before", "after")
MARGIN = 0.15
"""Of what lies around a labelled region, in sides of it."""


def draw_samples(folder: Path, when: str, fields: Sequence[Field], found: Sequence[Cells]) -> None:
    """Write what was `found` in the labelled regions of `fields`, or all over them: ``<number>-<name>-<when>.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (field, cells) in enumerate(zip(fields, found, strict=True), start=1):
        picture = draw_overlay(read_image(field.path), cells[cells.scores >= MIN_SCORE])
        if field.labelled_regions is not None and len(field.labelled_regions):
            low, high = field.labelled_regions[:, :2].min(0), field.labelled_regions[:, 2:].max(0)
            margin = MARGIN * (high - low)
            limit = np.array([field.width, field.height])
            (x0, y0), (x1, y1) = (np.clip(v, 0, limit).astype(int) for v in (low - margin, high + margin))
            picture = picture[y0:y1, x0:x1]
        Image.fromarray(picture).save(folder / f"{number}-{field.path.stem}-{when}.png")
