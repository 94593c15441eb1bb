"""SLA-Det: learn the whole field from labels of a part of it (Large Leukemia Dataset, MedIA 2025).

Where somebody looked, boxes teach as always, from pictures full of labelled regions. Elsewhere nothing is background
because it has no box. If wanted, what the moving average of the network finds there and is sure of is a pseudo-label;
how sure it has to be is seen where labels are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from bloodfilm.cells import Field
from bloodfilm.errors import UserError
from bloodfilm.training.labels import HIDDEN, Labels, join, labels_of
from bloodfilm.training.losses import Guess, detection_losses, known
from bloodfilm.training.method import Method, Step
from bloodfilm.training.settings import Settings, SparseSettings
from bloodfilm.training.similarity import compare, triplet_loss
from bloodfilm.training.supervised import reading_losses, refining_loss
from bloodfilm.training.teacher import Teacher, measure, unmeasured


class Sparse(Method):
    """SLA-Det.

    Parameters
    ----------
    settings : SparseSettings, optional
    truth : sequence of Field, optional
        The same fields with all their cells. Nothing is learned from them; pseudo-labels are judged by them.
    """

    name = "sladet"

    def __init__(self, settings: SparseSettings | None = None, truth: Sequence[Field] = ()) -> None:
        super().__init__()
        self.settings = settings or SparseSettings()
        self.truth = {field.path: field for field in truth}
        self.teacher = Teacher(self.settings)
        self._measures: dict[str, Tensor] = {}

    def options(self) -> dict[str, Any]:
        return asdict(self.settings)

    def begin(self, fields: Sequence[Field], settings: Settings) -> None:
        if not any(field.is_labelled_in_part for field in fields):
            raise UserError("No field has a labelled region: there is nothing for sladet to do, attridet will do.")
        self.teacher.begin(fields, settings)

    def labels(self, field: Field) -> Labels:
        labels = labels_of(field)
        if not self.truth:
            return labels
        whole = labels_of(self.truth[field.path])
        hidden = whole._replace(kinds=whole.kinds + HIDDEN, unknown=labels.unknown[:0], unknown_kinds=labels.kinds[:0])
        return join((labels, hidden))

    def collage(self, done: float) -> float:
        without, with_guesses = self.settings.collage
        return with_guesses if self._guesses(done) else without

    def losses(self, step: Step) -> dict[str, Tensor]:
        network, targets = step.network, step.targets
        features = network.detector(step.images)
        masks = known(targets, [level.shape for level in features.levels], 1 + network.detector.detect.auxiliary)
        readings = reading_losses(network, step.images, targets) | refining_loss(network, step.images, targets)
        trust = torch.ones_like(targets.boxes[:, 0])
        zero = features.neck.new_zeros((), dtype=torch.float32)
        readings["triplet"] = zero
        self._measures = unmeasured(zero)
        if self._guesses(step.done):
            pseudo, masks = self.teacher.guess(step, masks)
            found = pseudo.found
            if self.settings.triplet:
                own, others = compare(
                    features.neck, found.image, found.boxes, found.kinds, pseudo.references, hardest=True
                )
                readings["triplet"] = self.settings.triplet * triplet_loss(own, others, self.settings.margin)
            self._measures = measure(pseudo, targets)
            targets = targets.plus(found.image, found.boxes, found.kinds, pseudo.types)
            trust = torch.cat((trust, torch.full_like(found.boxes[:, 0], self.settings.trust)))
        elif self.settings.quiet:
            masks = self.teacher.quiet(step, masks)
        guessed = torch.arange(len(trust), device=trust.device) >= len(step.targets.boxes)
        losses = detection_losses(features, targets, network.detector.detect, Guess(masks, guessed, trust))
        return losses | readings | step.forgetting(features)

    def _guesses(self, done: float) -> bool:
        return self.settings.pseudo and done >= self.settings.burn_in

    def measures(self) -> dict[str, Tensor]:
        return self._measures

    def sure_score(self) -> float:
        return self.teacher.sure_score() if self.settings.pseudo else super().sure_score()
