"""May-Gruenwald-Giemsa as optical densities: stains add up, light fades exponentially (Beer-Lambert)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from bloodfilm.synth.texture import Image

Colour = npt.NDArray[np.float32]


def density(red: int, green: int, blue: int) -> Colour:
    """Return the natural optical density (3,) that turns the light of an empty film into an 8-bit colour."""
    return np.log(np.array(LIGHT, np.float32) / np.array([red, green, blue], np.float32))


LIGHT = (252.0, 231.0, 208.0)
"""Red, green and blue of an empty film."""


@dataclass(frozen=True)
class Stains:
    """Optical density (3,) of one unit of everything that takes up stain."""

    haemoglobin: Colour
    chromatin: Colour
    azure: Colour
    eosin: Colour
    eosinophil_granule: Colour
    basophil_granule: Colour
    azurophil_granule: Colour

    @classmethod
    def typical(cls) -> Stains:
        return cls(
            haemoglobin=density(206, 164, 160),
            chromatin=density(66, 26, 124),
            azure=density(125, 116, 175),
            eosin=density(226, 184, 190),
            eosinophil_granule=density(176, 88, 122),
            basophil_granule=density(62, 16, 92),
            azurophil_granule=density(150, 78, 148),
        )

    @classmethod
    def of_one_film(cls, rng: np.random.Generator) -> Stains:
        """Vary strength and hue a little, as from one staining batch to the next."""
        typical = cls.typical()
        strength = rng.normal(1, 0.06)
        hue = rng.normal(1, 0.03, 3)
        return cls(**{f.name: (getattr(typical, f.name) * strength * hue).astype(np.float32) for f in fields(cls)})


def stained(amount: Image, colour: Colour) -> Image:
    """Return the optical density (H, W, 3) of `amount` (H, W) units of one stain."""
    return amount[..., None] * colour
