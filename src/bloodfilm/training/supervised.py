"""AttriDet on full labels; types and attributes may be missing, boxes may not."""

from __future__ import annotations

import torch
from torch import Tensor

from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.yolo import Features
from bloodfilm.training.labels import WHITE, Targets
from bloodfilm.training.losses import detection_losses, reading_loss
from bloodfilm.training.method import Method, Step
from bloodfilm.vocabulary import UNKNOWN

READING_GAIN = 0.1


class Supervised(Method):
    """AttriDet's losses; without `detection` those of types and attributes only."""

    name = "attridet"

    def __init__(self, detection: bool = True) -> None:
        super().__init__()
        self.detection = detection

    def losses(self, step: Step) -> dict[str, Tensor]:
        features = step.network.detector(step.images)
        readings = reading_losses(step.network, features, step.targets)
        if not self.detection:
            return readings
        losses = detection_losses(features, step.targets, step.network.detector.detect)
        return losses | readings | step.forgetting(features)


def reading_losses(network: AttriDet, features: Features, targets: Targets) -> dict[str, Tensor]:
    """Return the losses of types and attributes of the labelled white cells."""
    labelled = (targets.codes != UNKNOWN).any(1) & (targets.kinds == WHITE)
    rois = torch.cat((targets.image[labelled, None].float(), targets.boxes[labelled]), 1)
    codes = targets.codes[labelled]
    types, *values = network.read(features.taps, rois)
    return {
        "types": READING_GAIN * reading_loss([types], codes[:, :1]),
        "attributes": READING_GAIN * reading_loss(values, codes[:, 1:]),
    }
