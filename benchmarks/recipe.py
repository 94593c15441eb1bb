"""How models are trained from all sources: what is common to those that ship and to their rivals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bloodfilm import Field
from bloodfilm.training.settings import HeadSettings, Settings
from bloodfilm.vocabulary import UNKNOWN

COARSE = Settings(
    epochs=16, image_size=320, batch=8, learning_rate=1.5e-3, mirrored=0.5, scale=(0.5, 2.0), red_cells=32.0
)
ONE_SIZE = replace(COARSE, epochs=10, image_size=416, learning_rate=7e-4, warm_up=0.5, red_cells=36.0)
"""The two stages of boxes, with all red cells brought to about one size, at which the models then search."""

STAGES = {
    "wbc-n": {"coarse": COARSE, "one-size": replace(ONE_SIZE, epochs=24)},
    "wbc-s": {"coarse": COARSE, "one-size": ONE_SIZE},
}
"""How the models that ship learn; the size of the network is the last letter of the name."""

HEADS = {"tight": HeadSettings(epochs=120), "readings": HeadSettings()}
"""How what looks at single cells then learns."""

REPEATED = {"chula-negatives": 5}
"""How often a source is shown in an epoch, if not once: films without white cells are few."""


def shown(fields: list[Field]) -> list[Field]:
    return [field for field in fields for _ in range(REPEATED.get(field.source, 1))]


def to_refine_by(fields: list[Field]) -> list[Field]:
    """Return fields such that warty-pig, with two fifths of all cells, does not rule how tight boxes are."""
    return fields + [field for field in fields if field.source != "warty-pig"]


def named(fields: list[Field]) -> list[Field]:
    """Return the fields with a cell whose type or attributes are known."""
    return [
        field for field in fields if (np.column_stack((field.cells.codes, field.cells.attributes)) != UNKNOWN).any()
    ]


def single_cells(fields: list[Field]) -> list[Field]:
    """Return the fields whose one white cell can be cut out and pasted on others."""
    return [field for field in fields if field.source == "txl-pbc" and len(field.cells) == 1]
