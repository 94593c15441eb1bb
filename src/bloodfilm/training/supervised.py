"""AttriDet on full labels; types and attributes may be missing, boxes may not."""

from __future__ import annotations

import torch
from torch import Tensor

from bloodfilm.nets.attridet import AttriDet
from bloodfilm.training.labels import WHITE, Targets
from bloodfilm.training.losses import detection_losses, reading_loss
from bloodfilm.training.method import Method, Step
from bloodfilm.vocabulary import UNKNOWN

READING_GAIN = 0.1
SHAKEN = 0.06
"""How far a side of a box that types and attributes are learned from is moved, of width or height (deviation)."""


class Supervised(Method):
    """AttriDet's losses."""

    name = "attridet"

    def losses(self, step: Step) -> dict[str, Tensor]:
        readings = reading_losses(step.network, step.images, step.targets)
        features = step.network.detector(step.images)
        losses = detection_losses(features, step.targets, step.network.detector.detect)
        return losses | readings | step.forgetting(features)


def reading_losses(network: AttriDet, images: Tensor, targets: Targets) -> dict[str, Tensor]:
    """Return the losses of types and attributes of the labelled white cells."""
    labelled = (targets.codes != UNKNOWN).any(1) & (targets.kinds == WHITE)
    rois = torch.cat((targets.image[labelled, None].float(), shaken(targets.boxes[labelled])), 1)
    codes = targets.codes[labelled]
    types, *values = network.read(images, rois)
    return {
        "types": READING_GAIN * reading_loss([types], codes[:, :1]),
        "attributes": READING_GAIN * reading_loss(values, codes[:, 1:]),
    }


def shaken(boxes: Tensor) -> Tensor:
    """Return `boxes` (K, 4) as a detector might find them."""
    size = boxes[:, 2:] - boxes[:, :2]
    return boxes + SHAKEN * torch.randn_like(boxes) * size.repeat(1, 2)
