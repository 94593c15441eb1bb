"""How often to show a field, so that what is rare is learned, too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bloodfilm.cells import Field
from bloodfilm.review.states import kept
from bloodfilm.training.regions import labelled
from bloodfilm.vocabulary import UNKNOWN


def rarity(fields: Sequence[Field]) -> npt.NDArray[np.float64]:
    """Return the chance of each field, together 1, by the rarest type or kind of object that it shows.

    It grows with one over the square root of the share of fields that show it (repeat factor sampling; Gupta et al.,
    LVIS, CVPR 2019). Fields in which nobody looked have none.
    """
    shown = [_shown(field) for field in fields]
    names = [name for own in shown for name in own]
    common = {name: names.count(name) / len(fields) for name in set(names)}
    chances = np.array([max((common[name] ** -0.5 for name in own), default=1.0) for own in shown])
    chances *= [len(labelled(field)) > 0 for field in fields]
    return np.asarray(chances / max(chances.sum(), 1.0))


def _shown(field: Field) -> set[int | str]:
    codes = kept(field.cells).codes
    return {*codes[codes != UNKNOWN].tolist(), *(name for name, boxes in field.auxiliary.items() if len(boxes))}
