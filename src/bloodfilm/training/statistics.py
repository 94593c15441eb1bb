"""Batch normalisation told what is usual on other pictures, without labels."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from bloodfilm.cells import Field
from bloodfilm.detection.detector import ONLY_MEASURED, Detector
from bloodfilm.detection.letterbox import fit, resize
from bloodfilm.detection.ruler import MAX_SIDE
from bloodfilm.io.images import RGB, read_image
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import Card

PICTURES, BATCH = 256, 16


def reestimated(network: AttriDet, card: Card, fields: Sequence[Field]) -> AttriDet:
    """Return a copy of `network` whose batch normalisation has the means and variances of the pictures of `fields`.

    AdaBN (Li et al., Revisiting batch normalization for practical domain adaptation, 2016). Up to 256 pictures, as
    large as they are searched, in batches of one size.
    """
    detector = Detector.from_network(copy.deepcopy(network), card, torch.device("cpu"))
    network = copy.deepcopy(network)
    norms = [module for module in network.detector.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    network.detector.train()
    with torch.inference_mode():
        for batch in _batches(fields, detector):
            network.detector(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return network.eval()


def _batches(fields: Sequence[Field], detector: Detector) -> Iterator[torch.Tensor]:
    chosen = np.random.default_rng(0).permutation(len(fields))[:PICTURES]
    by_shape = defaultdict(list)
    for row in chosen:
        picture = read_image(fields[row].path)
        image = resize(picture, _size(picture, detector))
        by_shape[image.shape].append(image)
    stain = detector.card.stain
    for images in by_shape.values():
        for first in range(0, len(images), BATCH):
            batch = torch.stack(images[first : first + BATCH]).float() / 255
            yield stain.apply(batch) if stain else batch


def _size(picture: RGB, detector: Detector) -> tuple[int, int]:
    """Return height and width, at most `MAX_SIDE`, at which `detector` searches a picture."""
    height, width = picture.shape[:2]
    scale = detector.detect(picture, ONLY_MEASURED).scale
    if scale is None:
        return fit(picture.shape, detector.card.image_size)
    sides = np.array([height * scale.resized[1], width * scale.resized[0]])
    high, wide = (sides * min(1.0, MAX_SIDE / sides.max())).round().astype(int).tolist()
    return high, wide
