"""Procedural pictures of stained blood films, with exact truth for every white cell."""

from __future__ import annotations

from bloodfilm.cells import Cells
from bloodfilm.io.images import RGB
from bloodfilm.synth.film import draw_field

__all__ = ["draw_field", "sample_field"]


def sample_field() -> tuple[RGB, Cells]:
    """Return the field of the demo and of napari's sample data: 960 x 720 px, with all five mature types."""
    return draw_field(960, 720, white_cells=8, seed=7, red_cell_diameter=58.0)
