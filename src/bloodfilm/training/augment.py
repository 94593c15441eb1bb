"""Imitate other microscopes, stains and cameras on whole batches, on the device that trains.

Each transform takes images (B, 3, S, S) in 0 to 1 and returns as many, each changed at random by itself. Those in
`TRANSFORMS` leave everything where it is, so labels stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable

import imagecodecs
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bloodfilm.training.labels import Targets

HED_FROM_RGB = torch.tensor([[1.8780, -1.0077, -0.5561], [-0.0659, 1.1347, -0.1355], [-0.6019, -0.4804, 1.5736]])
"""Colour deconvolution of Ruifrok and Johnston (2001), as in scikit-image's ``hed_from_rgb``."""

Transform = Callable[[Tensor, torch.Generator], Tensor]


def disturb(images: Tensor, generator: torch.Generator) -> Tensor:
    """Give each of `images` another microscope; nothing moves."""
    for transform, probability in TRANSFORMS.items():
        chosen = torch.nonzero(torch.rand(len(images), generator=generator) < probability)[:, 0].to(images.device)
        if len(chosen):
            images = images.index_copy(0, chosen, transform(images[chosen], generator))
    return images


def turn(images: Tensor, targets: Targets, generator: torch.Generator) -> tuple[Tensor, Targets]:
    """Turn each image by quarters and mirror it, all eight ways alike; boxes follow and stay tight."""
    count, side = len(images), images.shape[3]
    across, down, swapped = (_coins(count, generator, images.device) for _ in range(3))
    images = turned(images, across, down, swapped)

    def follow(boxes: Tensor, image: Tensor) -> Tensor:
        x0, y0, x1, y1 = boxes.unbind(1)
        x0, x1 = torch.where(across[image], torch.stack((side - x1, side - x0)), torch.stack((x0, x1)))
        y0, y1 = torch.where(down[image], torch.stack((side - y1, side - y0)), torch.stack((y0, y1)))
        turned = torch.stack((y0, x0, y1, x1), 1)
        return torch.where(swapped[image, None], turned, torch.stack((x0, y0, x1, y1), 1))

    boxes, unknown = follow(targets.boxes, targets.image), follow(targets.unknown, targets.unknown_image)
    return images, targets._replace(boxes=boxes, unknown=unknown)


def turned(images: Tensor, across: Tensor, down: Tensor, swapped: Tensor) -> Tensor:
    """Return `images`, some of them (B,) mirrored across, some down, and then some with their axes swapped."""
    images = torch.where(across.view(-1, 1, 1, 1), images.flip(3), images)
    images = torch.where(down.view(-1, 1, 1, 1), images.flip(2), images)
    return torch.where(swapped.view(-1, 1, 1, 1), images.mT, images)


def restain(images: Tensor, generator: torch.Generator) -> Tensor:
    """Change the amount of each stain (HED, 0.6 to 1.65 times), and the colour of all but the nuclear one.

    Red cells come out pink, brown, grey or blue, as between laboratories, while nuclei stay about purple.
    """
    count = len(images)
    unmix = HED_FROM_RGB.to(images)
    amounts = torch.exp(0.5 * _uniform((count, 3, 1), generator, images))
    other = F.normalize(torch.rand(count, 1, 3, generator=generator).to(images), dim=2)
    share = torch.rand(count, 1, 1, generator=generator) * torch.tensor([0.0, 1.0, 1.0]).view(1, 3, 1)
    stains = torch.lerp(unmix.inverse().expand(count, 3, 3), other.expand(count, 3, 3), share.to(images))
    return _in_density(images, stains.mT @ (amounts * unmix.T))


def change_camera(images: Tensor, generator: torch.Generator) -> Tensor:
    """Change gamma (0.7 to 1.4), white balance (12 %), saturation (half) and how colours overlap (20 %)."""
    count = len(images)
    gamma = torch.exp(0.35 * _uniform((count, 1, 1), generator, images))
    mix = torch.eye(3).to(images) + 0.2 * _uniform((count, 3, 3), generator, images)
    balance = 0.12 * _uniform((count, 3, 1), generator, images)
    images = _in_density(images, gamma * mix, balance)
    saturation = 1 + 0.5 * _uniform((count, 1, 1, 1), generator, images)
    return torch.lerp(images.mean(1, keepdim=True), images, saturation).clamp_(0, 1)


def defocus(images: Tensor, generator: torch.Generator) -> Tensor:
    """Blur by a Gaussian of 0.3 to 2 pixels, a deviation of its own for each image."""
    deviation = 0.3 + 1.7 * torch.rand(len(images), 1, generator=generator).to(images)
    place = torch.arange(-4, 5).to(images)
    kernel = torch.exp(-((place / deviation) ** 2) / 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)
    count, _, height, width = images.shape
    flat = F.pad(images.reshape(1, 3 * count, height, width), (4, 4, 4, 4), mode="reflect")
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=3 * count)
    return F.conv2d(flat, kernel[:, None, :, None], groups=3 * count).view_as(images)


def vignette(images: Tensor, generator: torch.Generator) -> Tensor:
    """Darken by up to 60 % with the distance from a point near the middle."""
    count, _, height, width = images.shape
    x0, y0 = 0.5 + 0.2 * _uniform((2, count, 1, 1, 1), generator, images)
    strength = 0.6 * torch.rand(count, 1, 1, 1, generator=generator).to(images)
    x, y = (torch.arange(n).to(images) / n for n in (width, height))
    light: Tensor = 1 - strength * 2 * ((x - x0) ** 2 + (y[:, None] - y0) ** 2)
    return images * light.clamp(min=0)


def add_noise(images: Tensor, generator: torch.Generator) -> Tensor:
    """Add noise of a camera sensor with a deviation of up to 0.05."""
    strength = 0.05 * torch.rand(len(images), 1, 1, 1, generator=generator).to(images)
    own = torch.Generator(images.device).manual_seed(int(torch.randint(2**62, (), generator=generator)))
    noise = torch.randn(images.shape, generator=own, device=images.device)
    return (images + strength * noise).clamp(0, 1)


def compress(images: Tensor, generator: torch.Generator) -> Tensor:
    """Save as JPEG with a quality of 30 to 90 and load again."""
    qualities = torch.randint(30, 91, (len(images),), generator=generator).tolist()
    pictures = (images * 255).round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
    saved = [imagecodecs.jpeg8_encode(picture, quality) for picture, quality in zip(pictures, qualities, strict=True)]
    loaded = np.stack([imagecodecs.jpeg8_decode(content) for content in saved])
    return torch.from_numpy(loaded).permute(0, 3, 1, 2).to(images) / 255


TRANSFORMS: dict[Transform, float] = {
    restain: 0.5,
    change_camera: 0.5,
    defocus: 0.3,
    vignette: 0.2,
    add_noise: 0.2,
    compress: 0.2,
}
"""Transforms in the order of light and camera, and how probable each is."""


def _in_density(images: Tensor, matrix: Tensor, offset: Tensor | float = 0.0) -> Tensor:
    """Apply matrices (B, 3, 3) to the optical densities."""
    density = images.clamp(min=1 / 255).log().flatten(2)
    return (matrix @ density + offset).exp_().clamp_(0, 1).view_as(images)


def _coins(count: int, generator: torch.Generator, device: torch.device) -> Tensor:
    return (torch.rand(count, generator=generator) < 0.5).to(device)


def _uniform(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Return numbers between -1 and 1."""
    return (2 * torch.rand(shape, generator=generator) - 1).to(like)
