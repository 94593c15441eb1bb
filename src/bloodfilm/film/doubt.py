"""How doubtful what is said of a cell is."""

from __future__ import annotations

import numpy as np

from bloodfilm.cells import Cells, FloatArray
from bloodfilm.vocabulary import UNKNOWN


def doubt(cells: Cells) -> FloatArray:
    """Return, from 0 to 1, how probable it is that there is no cell or that it has another type (N,).

    Types given by a person have no score and are taken as certain; of an unknown type half is doubtful.
    """
    sure = np.where(np.isfinite(cells.class_scores), cells.class_scores, np.where(cells.codes == UNKNOWN, 0.5, 1))
    return np.asarray(1 - cells.scores * sure, np.float32)
