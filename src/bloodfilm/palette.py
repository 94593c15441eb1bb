"""One colour for each cell type, the same wherever cells are drawn; and colours for all else that is coloured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bloodfilm.vocabulary import normalise

UNKNOWN_COLOUR = "#f2f2f2"

_NAMED = {
    "neutrophil": "#00c2a8",
    "lymphocyte": "#3d8bfd",
    "monocyte": "#ffb000",
    "eosinophil": "#ff5d5d",
    "basophil": "#a855f7",
    "none": "#9ca3af",
}
_FURTHER = ("#22c55e", "#e11d9b", "#f97316", "#84cc16", "#06b6d4", "#a0522d", "#1e3a8a", "#7f1d1d", "#fb9fb0")

REVIEW_COLOURS = {"accepted": "#009e73", "changed": "#56b4e9", "rejected": "#d55e00"}

_APART = ("#0072b2", "#e69f00", "#cc79a7", "#009e73", "#56b4e9", "#d55e00", "#f0e442")
"""Okabe and Ito's colours, which those who are colour-blind can tell apart."""

_RAMP = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")
"""Five colours of matplotlib's viridis."""


def colours(classes: tuple[str, ...]) -> dict[str, str]:
    """Return a hex colour for each name of `classes`; the five mature types always have the same."""
    further = iter(_FURTHER * (1 + len(classes) // len(_FURTHER)))
    return {name: _NAMED.get(normalise(name)) or next(further) for name in classes}


def colour(name: str, classes: tuple[str, ...]) -> str:
    """Return the colour of the type `name`; unknown types are white."""
    return colours(classes).get(name, UNKNOWN_COLOUR)


def apart(names: Sequence[str]) -> dict[str, str]:
    """Return a hex colour for each name, the first seven as far apart as can be; they repeat after that."""
    return {name: _APART[i % len(_APART)] for i, name in enumerate(names)}


def ramp(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return RGB (N, 3) from 0 to 1 for values (N,) from 0 to 1, from dark violet to yellow."""
    stops = np.array([[int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)] for code in _RAMP])
    places = np.clip(np.asarray(values, float), 0, 1)
    return np.stack([np.interp(places, np.linspace(0, 1, len(stops)), channel) for channel in stops.T], 1).astype("f4")
