"""AttriDet on full labels; types and attributes may be missing, boxes may not."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import complete_box_iou_loss

from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.refiner import moved
from bloodfilm.training.labels import WHITE, Targets
from bloodfilm.training.losses import detection_losses, reading_loss
from bloodfilm.training.method import Method, Step
from bloodfilm.vocabulary import UNKNOWN

READING_GAIN, REFINING_GAIN = 0.1, 0.2
SHAKEN = 0.06
"""How far a side of a box that is looked at closely is moved, of width or height (deviation)."""


class Supervised(Method):
    """AttriDet's losses."""

    name = "attridet"

    def losses(self, step: Step) -> dict[str, Tensor]:
        readings = reading_losses(step.network, step.images, step.targets)
        features = step.network.detector(step.images)
        losses = detection_losses(features, step.targets, step.network.detector.detect)
        return losses | readings | refining_loss(step.network, step.images, step.targets) | step.forgetting(features)


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


def refining_loss(network: AttriDet, images: Tensor, targets: Targets) -> dict[str, Tensor]:
    """Return the loss of the boxes of the white cells, found again from shaken ones."""
    white = targets.kinds == WHITE
    boxes, image = targets.boxes[white], targets.image[white, None].float()
    found = shaken(boxes)
    again = moved(found, network.refiner(images, torch.cat((image, found), 1)))
    return {"refining": REFINING_GAIN * complete_box_iou_loss(again, boxes, "mean")}


def shaken(boxes: Tensor) -> Tensor:
    """Return `boxes` (K, 4) as a detector might find them."""
    size = boxes[:, 2:] - boxes[:, :2]
    return boxes + SHAKEN * torch.randn_like(boxes) * size.repeat(1, 2)
