"""What is seen of a picture when it is searched at some size, and what to make of a second look."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bloodfilm.cells import Cells
from bloodfilm.detection.ruler import Ruler, is_surer, right_size


class Look(NamedTuple):
    """A picture of `shape`, searched at `size`, both (height, width).

    Its cells, width and height (N, 2) of its red cells in pixels of the picture, and its ruler.
    """

    shape: tuple[int, int]
    size: tuple[int, int]
    cells: Cells
    red_cells: npt.NDArray[np.float32]
    ruler: Ruler | None

    def better_size(self, limits: tuple[float, float]) -> tuple[int, int]:
        """Return the size at which to search, that of this look if it was right."""
        return right_size(self.ruler, self.shape, self.size, limits)

    def after(self, before: Look) -> Look:
        """Return this with the novelty of `before`, the first look, and its ruler, if that was surer."""
        known = before if is_surer(before.ruler, self.ruler) else self
        cells = replace(self.cells, novelty=before.cells.novelty)
        return self._replace(cells=cells, red_cells=known.red_cells, ruler=known.ruler)

    def told(self) -> Cells:
        """Return the cells, which say the scale of their picture."""
        return replace(self.cells, scale=self.ruler.scale(self.shape, self.size) if self.ruler else None)
