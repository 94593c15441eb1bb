"""From probabilities to what a table of cells says, and what it leaves open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from bloodfilm.cells import Cells
from bloodfilm.nets.checkpoint import Card
from bloodfilm.vocabulary import UNKNOWN

MIN_CLASS_SCORE = 0.5
"""A type less probable than this is reported as unknown."""


def named(cells: Cells, types: Tensor, values: Tensor, card: Card) -> Cells:
    """Return `cells` with these probabilities of types (K, classes), and of the values of all attributes.

    What no label taught, as `card` says, is never said.
    """
    vocabulary = card.vocabulary
    untaught = torch.tensor([name not in card.classes for name in vocabulary.classes])
    class_scores, codes = types.masked_fill(untaught, 0).max(1)
    sure = class_scores.numpy() >= MIN_CLASS_SCORE
    best = [part.max(1) for part in torch.split(values, list(vocabulary.value_counts), 1)]
    said = np.array([part.indices.numpy() for part in best]).reshape(len(best), len(types)).T
    value_scores = np.array([part.values.numpy() for part in best]).reshape(len(best), len(types)).T
    read = np.array([name in card.attributes for name in vocabulary.attribute_names], bool) & (value_scores > 0)
    return replace(
        cells,
        codes=np.where(sure, codes.numpy(), UNKNOWN),
        class_scores=np.where(sure, class_scores.numpy(), np.nan),
        attributes=np.where(read, said, UNKNOWN),
        attribute_scores=np.where(read, value_scores, np.nan),
    )
