"""One colour for each cell type, the same wherever cells are drawn."""

from __future__ import annotations

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
_FURTHER = ("#22c55e", "#e11d9b", "#f97316", "#84cc16", "#06b6d4", "#eab308", "#6366f1", "#14b8a6", "#f43f5e")


def colours(classes: tuple[str, ...]) -> dict[str, str]:
    """Return a hex colour for each name of `classes`; the five mature types always have the same."""
    further = iter(_FURTHER * (1 + len(classes) // len(_FURTHER)))
    return {name: _NAMED.get(normalise(name)) or next(further) for name in classes}


def colour(name: str, classes: tuple[str, ...]) -> str:
    """Return the colour of the type `name`; unknown types are white."""
    return colours(classes).get(name, UNKNOWN_COLOUR)
