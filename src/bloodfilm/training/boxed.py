"""Labelled cells, each cut out of its picture, to learn readings and boxes from or to judge readings by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bloodfilm.cells import Field
from bloodfilm.io.images import read_image
from bloodfilm.nets.reader import PATCH, cut
from bloodfilm.review.states import kept
from bloodfilm.vocabulary import UNKNOWN


class Boxed(NamedTuple):
    """N labelled cells: what is around each box (N, 3, 240, 240) uint8, the box square in the middle; codes (N, 1 + A).

    The first code is the type, the others are the attributes.
    """

    patches: Tensor
    codes: Tensor


def cut_out(fields: Sequence[Field], every: bool = False) -> Boxed:
    """Cut out the cells whose type or any attribute is known, or `every` one, to learn boxes from."""
    patches = [torch.empty(0, 3, PATCH, PATCH, dtype=torch.uint8)]
    codes = []
    for field in fields:
        cells = kept(field.cells)
        known = np.column_stack((cells.codes, cells.attributes))
        rows = (known != UNKNOWN).any(1) | every
        codes.append(known[rows])
        if rows.any():
            patches.append(cut(read_image(field.path), cells.boxes[rows]))
    return Boxed(torch.cat(patches), torch.from_numpy(np.concatenate(codes or [np.empty((0, 1))])).long())
