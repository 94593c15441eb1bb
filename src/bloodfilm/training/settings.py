"""How a run trains; known without torch, for programs with a window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bloodfilm.nets.sizes import Size


@dataclass(frozen=True)
class Settings:
    """How to train.

    `init` is a model name or file to start from, which also sets the size; without it the size is n by default. Of an
    imported model all tensors are taken that fit the labels.
    `mosaic`, `mirrored`, `scale` and `red_cells` are those of `FieldDataset`; without `red_cells` those of the model to
    start from are taken. In a share `frozen` of the epochs, the first ones, the backbone stays as it was. A share
    `kept` of what finds and boxes cells are the weights of `init` in the end, unless it is an imported model, or one
    without red cells where these are learned; of what reads types and attributes a share `kept_readings`, unless one of
    them is new; None is more, the fewer cells are named (`bloodfilm.training.start.shares_kept`).
    `workers` are the processes that load pictures; with 0 each picture is read once and kept in memory.
    """

    size: Size | None = None
    init: str | None = None
    epochs: int = 100
    image_size: int = 640
    batch: int = 16
    device: str = "auto"
    seed: int = 0
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warm_up: float = 1.0
    mosaic: float = 0.5
    mirrored: float = 0.0
    scale: tuple[float, float] = (0.5, 1.4)
    red_cells: float | None = None
    frozen: float = 0.0
    kept: float = 0.0
    kept_readings: float | None = 0.0
    workers: int = 0


@dataclass(frozen=True)
class HeadSettings:
    """How to teach a head from cells that are cut out.

    Parameters
    ----------
    as_taken : float
        Probability that a batch is only turned and shaken, not also imitated as another microscope would show it: what
        is fine in it can be learned.
    """

    epochs: int = 40
    batch: int = 64
    device: str = "auto"
    seed: int = 0
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    as_taken: float = 0.5


@dataclass(frozen=True)
class SparseSettings:
    """How to learn from fields labelled in part.

    Parameters
    ----------
    pseudo, similarity : bool
        With pseudo-labels; and with those that only their likeness to labelled cells makes sure. What follows is of no
        use without `pseudo`, but for `collage` and `quiet`.
    triplet : float
        Weight of the triplet loss, with `margin`; 0 is without.
    burn_in : float
        Share of the training, from 0 to 1, before pseudo-labels.
    precision : float
        Share of pseudo-labels that is to be right, judged by what is found where labels are.
    max_entropy : float
        Largest entropy of a pseudo-label's kind, and of the type that it gets, as a share of that of no idea at all.
    sizes : (float, float)
        Percentiles of labelled boxes' sides that limit those of pseudo-labels.
    trust : float
        Weight of a pseudo-label beside a label's 1.
    collage : (float, float)
        Probability of a picture that is full of labelled regions, without pseudo-labels and with them.
    empty_score, empty : float, float
        Where nobody looked and no score reaches `empty_score`, nothing being there counts `empty`.
    quiet : float
        Without pseudo-labels, how much nothing being there counts where nobody looked: so much, times the square of
        what the best score there lacks to 1.
    """

    pseudo: bool = False
    similarity: bool = True
    triplet: float = 0.1
    margin: float = 0.05
    burn_in: float = 0.5
    precision: float = 0.9
    max_entropy: float = 0.5
    sizes: tuple[float, float] = (1, 99)
    trust: float = 0.7
    collage: tuple[float, float] = (1.0, 0.8)
    empty_score: float = 0.03
    empty: float = 0.5
    quiet: float = 0.0


FEW_REGIONS = SparseSettings(collage=(0.5, 0.5), quiet=0.5)
"""For a model that knows other microscopes: what it hardly sees outside of the few regions is not there."""


def for_people(init: str | None, image_size: int, **changes: Any) -> Settings:
    """Return settings for a few labelled patches, of use within minutes on two processor cores, with `changes`."""
    few = Settings(
        init=init,
        image_size=image_size,
        epochs=12,
        batch=4,
        learning_rate=5e-4,
        warm_up=0.5,
        scale=(0.5, 2.0),
        kept=0.5,
        kept_readings=None,
    )
    return replace(few, **changes)
