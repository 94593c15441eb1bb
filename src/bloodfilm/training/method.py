"""What a way of training is to the loop: what it learns from a batch, and what it needs for that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn

from bloodfilm.cells import Field
from bloodfilm.io.images import RGB
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.yolo import Features
from bloodfilm.training.data import read_field
from bloodfilm.training.labels import Labels, Targets, labels_of
from bloodfilm.training.memory import Memory
from bloodfilm.weights import MIN_SCORE

if TYPE_CHECKING:
    from bloodfilm.training.settings import Settings


class Step(NamedTuple):
    """What a method gets in each step.

    `network` is trained, `average` its moving average, without gradient and in evaluation mode. `images`
    (B, 3, S, S) are in 0 to 1 with the labels `targets`; `plain` are the same before light and camera were changed.
    `done` is the share of the whole training that is over, from 0 to 1; `memory` what is to be kept, if anything.
    """

    network: AttriDet
    average: AttriDet
    images: Tensor
    plain: Tensor
    targets: Targets
    done: float
    memory: Memory | None = None

    def forgetting(self, features: Features) -> dict[str, Tensor]:
        """Return the loss of forgetting, if there is something to forget, of the network's `features` of `images`."""
        if self.memory is None:
            return {}
        return {"memory": self.memory.loss(features.levels, self.plain, self.network.detector.detect)}


class Method(nn.Module):
    """A way of training.

    What it keeps as buffers and parameters is saved with a run and restored; its parameters are trained with the
    network's.
    """

    name: str

    def options(self) -> dict[str, Any]:
        """Return the settings of the method, which a run that is resumed must share."""
        return {}

    def begin(self, fields: Sequence[Field], settings: Settings) -> None:
        """Look at the fields, with the seed set and nothing written yet; raise `UserError` if they will not do."""

    def labels(self, field: Field) -> Labels:
        """Return what batches say of `field`."""
        return labels_of(field)

    def picture(self, field: Field) -> RGB:
        """Return the picture of `field` that batches show."""
        return read_field(field)

    def collage(self, done: float) -> float:
        """Return the probability of a picture that is full of labelled regions, if fields are labelled in part."""
        return 0.0

    def losses(self, step: Step) -> dict[str, Tensor]:
        """Return losses whose sum is minimised, the same ones in every step; called under autocast."""
        raise NotImplementedError

    def measures(self) -> dict[str, Tensor]:
        """Return further figures of the last step to watch, the same ones in every step; NaN where there is none."""
        return {}

    def sure_score(self) -> float:
        """Return the score from which on finds are shown in training: those of detection, or the pseudo-labels."""
        return MIN_SCORE
