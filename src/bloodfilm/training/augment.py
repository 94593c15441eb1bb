"""Random flips, colour and stain of whole batches, on the device that trains."""

from __future__ import annotations

import torch
from torch import Tensor

from bloodfilm.training.data import Targets

HED_FROM_RGB = torch.tensor([[1.8780, -1.0077, -0.5561], [-0.0659, 1.1347, -0.1355], [-0.6019, -0.4804, 1.5736]])
"""Colour deconvolution of Ruifrok and Johnston (2001), as in scikit-image's ``hed_from_rgb``."""


def augment(images: Tensor, targets: Targets, generator: torch.Generator) -> tuple[Tensor, Targets]:
    """Flip, tint and restain `images` (B, 3, S, S) in 0 to 1; boxes follow the flips."""
    count, _, height, width = images.shape
    mirrored = _coins(count, generator, images.device)
    turned = _coins(count, generator, images.device)
    images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)
    images = torch.where(turned.view(-1, 1, 1, 1), images.flip(2), images)

    def flip(boxes: Tensor, image: Tensor) -> Tensor:
        across = torch.stack((width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]), 1)
        boxes = torch.where(mirrored[image, None], across, boxes)
        down = torch.stack((boxes[:, 0], height - boxes[:, 3], boxes[:, 2], height - boxes[:, 1]), 1)
        return torch.where(turned[image, None], down, boxes)

    boxes, unknown = flip(targets.boxes, targets.image), flip(targets.unknown, targets.unknown_image)
    return jitter_colour(images, generator), targets._replace(boxes=boxes, unknown=unknown)


def jitter_colour(images: Tensor, generator: torch.Generator) -> Tensor:
    """Change stain, camera and saturation of each image, as another laboratory would.

    In optical density: each of the three stains by up to 25 %, each channel mixed with up to 20 % of the others
    (filters of cameras overlap differently), gamma between 0.7 and 1.4, each channel's white balance by up to
    12 %. Saturation by a factor of 0.5 to 1.5.
    """
    count, _, height, width = images.shape
    forward = HED_FROM_RGB.to(images)
    stains = 1 + 0.25 * _uniform((count, 3, 1), generator, images)
    gamma = torch.exp(0.35 * _uniform((count, 1, 1), generator, images))
    balance = 0.12 * _uniform((count, 3, 1), generator, images)
    mix = torch.eye(3).to(images) + 0.2 * _uniform((count, 3, 3), generator, images)
    restain = gamma * (mix @ (forward.inverse().T @ (stains * forward.T)))
    density = images.clamp(min=1 / 255).log().flatten(2)
    images = torch.baddbmm(balance, restain, density).exp_().clamp_(0, 1).view(count, 3, height, width)
    saturation = 1 + 0.5 * _uniform((count, 1, 1, 1), generator, images)
    return torch.lerp(images.mean(1, keepdim=True), images, saturation).clamp_(0, 1)


def _coins(count: int, generator: torch.Generator, device: torch.device) -> Tensor:
    return (torch.rand(count, generator=generator) < 0.5).to(device)


def _uniform(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Return numbers between -1 and 1."""
    return (2 * torch.rand(shape, generator=generator) - 1).to(like)
