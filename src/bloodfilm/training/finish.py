"""What makes a trained network fit for use: calibrated, and aware of what it has seen."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bloodfilm.cells import Field
from bloodfilm.detection.detector import Detector
from bloodfilm.io.images import read_image
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import NO_NOVELTY, NOT_CALIBRATED, Card
from bloodfilm.nets.novelty import AXES
from bloodfilm.training.calibration import UNCHANGED, calibrate

MAX_DESCRIBED = 2000
ENOUGH_HELD_OUT = 20
"""Fields that say how far usual ones go: by a single one, most others would be unlike."""


def finish(
    network: AttriDet, card: Card, fields: Sequence[Field], held_out: Sequence[Field], singles: Sequence[Field] = ()
) -> tuple[AttriDet, Card]:
    """Return `network` calibrated on `held_out`, knowing how unlike a picture is to `fields`.

    What was done before is not done again. `singles` are those of `calibrate`.
    What is usual is told by up to 2000 of the fields it was trained on. What there are too few cells or fields for, the
    card lists among its limits.
    """
    if not card.calibration:
        network, card = calibrate(network, card, held_out, singles)
    if not network.novelty.limit:
        network = learn_usual(network, card, fields, held_out)
    return network, with_limits(network, card)


def learn_usual(network: AttriDet, card: Card, fields: Sequence[Field], held_out: Sequence[Field]) -> AttriDet:
    """Tell `network` how its `fields` look, and return it; without 33 of them, and 20 `held_out`, nothing is usual."""
    network.novelty.limit.zero_()
    fields = list({field.path: field for field in fields}.values())
    if len(fields) > AXES and len(held_out) >= ENOUGH_HELD_OUT:
        detector = Detector.from_network(copy.deepcopy(network), card, torch.device("cpu"))
        chosen = np.linspace(0, len(fields) - 1, min(len(fields), MAX_DESCRIBED)).astype(int)
        network.novelty.fit(_described(detector, [fields[row] for row in chosen]), _described(detector, held_out))
    return network


def with_limits(network: AttriDet, card: Card) -> Card:
    """Return `card` with what `network` cannot do, for want of cells or of fields, among its limits."""
    scores = card.calibration.get("score_slope", 1.0), card.calibration.get("score_offset", 0.0)
    now = {NOT_CALIBRATED: scores == UNCHANGED, NO_NOVELTY: not network.novelty.limit}
    kept = [limit for limit in card.limits if limit not in now]
    return card.model_copy(update={"limits": kept + [limit for limit, holds in now.items() if holds]})


def _described(detector: Detector, fields: Sequence[Field]) -> Tensor:
    return torch.stack([detector.describe(read_image(field.path)) for field in fields])
