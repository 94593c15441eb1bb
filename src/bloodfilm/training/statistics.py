"""Batch normalisation told what is usual on other pictures, without labels."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from bloodfilm.cells import Field
from bloodfilm.detection.letterbox import fit, resize
from bloodfilm.io.images import read_image
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import Card

PICTURES, BATCH = 256, 16


def reestimated(network: AttriDet, card: Card, fields: Sequence[Field]) -> AttriDet:
    """Return a copy of `network` whose batch normalisation has the means and variances of the pictures of `fields`.

    AdaBN (Li et al., Revisiting batch normalization for practical domain adaptation, 2016). Up to 256 pictures, in
    batches of one size.
    """
    network = copy.deepcopy(network)
    norms = [module for module in network.detector.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    network.detector.train()
    with torch.inference_mode():
        for batch in _batches(fields, card):
            network.detector(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return network.eval()


def _batches(fields: Sequence[Field], card: Card) -> list[torch.Tensor]:
    chosen = np.random.default_rng(0).permutation(len(fields))[:PICTURES]
    by_shape = defaultdict(list)
    for row in chosen:
        picture = read_image(fields[row].path)
        image = resize(picture, fit(picture.shape, card.image_size))
        by_shape[image.shape].append(image)
    parts = [images[first : first + BATCH] for images in by_shape.values() for first in range(0, len(images), BATCH)]
    batches = [torch.stack(part).float() / 255 for part in parts]
    return [card.stain.apply(batch) for batch in batches] if card.stain else batches
