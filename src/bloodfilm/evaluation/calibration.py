"""How far probabilities are from what comes true."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torchmetrics.functional.classification import binary_calibration_error

from bloodfilm.cells import Cells, Field
from bloodfilm.evaluation.matching import excused, match

BINS = 15


def calibration_error(probabilities: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Return the expected calibration error, over 15 bins of equal width; NaN without probabilities."""
    said = torch.as_tensor(np.asarray(probabilities, np.float32))
    if not len(said):
        return float("nan")
    return float(binary_calibration_error(said, torch.as_tensor(np.asarray(true, bool)).long(), n_bins=BINS))


def score_hits(found: Sequence[Cells], truth: Sequence[Field]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return the score of each found cell, and if it is one at IoU 0.5.

    Left out are those on ignored cells, and those where nobody looked.
    """
    scores, hits = [np.empty(0, np.float32)], [np.empty(0, bool)]
    for table, field in zip(found, truth, strict=True):
        table = table[field.looked_at(table.boxes)]
        hit = match(table, field)
        right = np.isin(np.arange(len(table)), hit)
        judged = right | ~excused(table.boxes, field)[0]
        scores.append(table.scores[judged])
        hits.append(right[judged])
    return np.concatenate(scores), np.concatenate(hits)
