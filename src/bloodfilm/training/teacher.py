"""Pseudo-labels: what the moving average of a network is sure of where nobody looked, and where it sees nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from bloodfilm.cells import Field
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.yolo import STRIDES, Features
from bloodfilm.training.data import mosaic_scale
from bloodfilm.training.labels import HIDDEN, SETTLED, WHITE, Targets
from bloodfilm.training.losses import Known
from bloodfilm.training.method import Step
from bloodfilm.training.pseudo import Candidates, Sureness, best_overlap, entropy, find_candidates, places
from bloodfilm.training.scale import usual_sides
from bloodfilm.training.settings import Settings, SparseSettings
from bloodfilm.training.similarity import References, compare
from bloodfilm.vocabulary import AUXILIARY, UNKNOWN

KINDS = 1 + len(AUXILIARY)
LOWEST_SCORE, MAX_OVERLAP = 0.1, 0.5
MEASURES = ("pseudo_labels", "similar_labels", "pseudo_precision", "pseudo_recall")
SAME, APART = 0.5, 0.3
"""IoU from which on two boxes show one object, and below which they show two."""


class Pseudo(NamedTuple):
    """Pseudo-labels of a batch and their types, what they were compared with, and how many each way brought.

    `images` are those that were searched.
    """

    images: Tensor
    found: Candidates
    types: Tensor
    references: References
    counts: tuple[Tensor, Tensor]


class Teacher(nn.Module):
    """Tells what is there where nobody looked; how sure it has to be it learns where labels are."""

    limits: Tensor
    types: Tensor

    def __init__(self, settings: SparseSettings) -> None:
        super().__init__()
        self.settings = settings
        self.by_score, self.by_likeness = Sureness(KINDS), Sureness(KINDS)
        self.register_buffer("limits", torch.tensor([[0.0, torch.inf]] * KINDS), persistent=False)

    def begin(self, fields: Sequence[Field], settings: Settings) -> None:
        """See which types the labelled cells of `fields` have, and how large they are."""
        codes = {int(code) for field in fields for code in field.cells.codes} - {UNKNOWN}
        self.register_buffer("types", torch.tensor(sorted(codes), dtype=torch.int64), persistent=False)
        lowest, highest = settings.scale
        lowest *= mosaic_scale(settings.red_cells) if settings.mosaic else 1
        usual = usual_sides(fields, settings.image_size, settings.red_cells)
        for kind, sides in enumerate(_sides(fields, usual)):
            if len(sides):
                low, high = np.percentile(sides, self.settings.sizes)
                self.limits[kind] = torch.tensor([low * lowest, high * highest])

    def sure_score(self) -> float:
        """Return the score from which on a white cell is a pseudo-label."""
        return max(float(self.by_score.threshold(self.settings.precision)[WHITE]), LOWEST_SCORE)

    @torch.no_grad()
    def guess(self, step: Step, masks: list[Known]) -> tuple[Pseudo, list[Known]]:
        """Return pseudo-labels, and what is known if the average is believed where it sees nothing."""
        images = _open(step.targets, len(step.images))
        targets, own = step.targets.of(images), [Known(*(part[images] for part in mask)) for mask in masks]
        plain = step.plain[images].contiguous(memory_format=torch.channels_last)
        features = step.average.detector(plain)
        found = find_candidates(features, step.average.detector, LOWEST_SCORE, MAX_OVERLAP)
        overlap = best_overlap(found, targets.image, targets.boxes, targets.kinds)
        unseen, certain = places(found, own[0], STRIDES[0])
        references = _references(targets, found.where(certain & (overlap < APART)))
        sure, similar = self._judge(features.neck, found, references, certain, overlap >= SAME)
        fit = unseen & (overlap < APART) & self._fits(found)
        chosen = torch.nonzero(fit & (sure | similar))[:, 0]
        chosen = chosen[entropy(found.all_scores[chosen]) <= self.settings.max_entropy]
        counts = sure[chosen].sum(), similar[chosen].sum()
        found = found.where(chosen)
        types = self._types(step.average, plain, found)
        found = found._replace(image=images[found.image])
        references = references._replace(image=images[references.image])
        empty, limit = self.settings.empty, self.settings.empty_score
        masks = self._nothing(step, images, features, masks, lambda scores: empty * (scores < limit))
        return Pseudo(images, found, types, references, counts), masks

    def _judge(
        self, neck: Tensor, found: Candidates, references: References, certain: Tensor, right: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tell who is sure by score, and who else by likeness, once those of whom it is `certain` were learned from."""
        precision, kinds = self.settings.precision, found.kinds
        self.by_score.learn(kinds[certain], found.scores[certain], right[certain])
        sure = found.scores >= self.by_score.threshold(precision)[kinds]
        if not self.settings.similarity:
            return sure, torch.zeros_like(sure)
        likeness = _likeness(neck, found, references)
        learnt = certain & ~sure
        self.by_likeness.learn(kinds[learnt], likeness[learnt], right[learnt])
        return sure, ~sure & (likeness >= self.by_likeness.threshold(precision)[kinds])

    def _fits(self, found: Candidates) -> Tensor:
        """Tell which are as large as labelled boxes are."""
        side = (found.boxes[:, 2:] - found.boxes[:, :2]).prod(1).sqrt()
        low, high = self.limits[found.kinds].unbind(1)
        return (side >= low) & (side <= high)

    def _types(self, teacher: AttriDet, images: Tensor, found: Candidates) -> Tensor:
        """Return the type of each white cell (K,) of which the teacher is sure enough, else `UNKNOWN`."""
        codes = torch.full_like(found.kinds, UNKNOWN)
        white = torch.nonzero(found.kinds == WHITE)[:, 0]
        if len(self.types) > 1:
            rois = torch.cat((found.image[white, None].float(), found.boxes[white]), 1)
            shares = teacher.read(images, rois)[0][:, self.types].softmax(1)
            said = self.types[shares.argmax(1)]
            codes[white] = said.where(entropy(shares) <= self.settings.max_entropy, UNKNOWN)
        return codes

    @torch.no_grad()
    def quiet(self, step: Step, masks: list[Known]) -> list[Known]:
        """Return what is known if, where nobody looked, nothing is there the more surely the less the average sees."""
        images = _open(step.targets, len(step.images))
        features = step.average.detector(step.plain[images].contiguous(memory_format=torch.channels_last))
        quiet = self.settings.quiet
        return self._nothing(step, images, features, masks, lambda scores: quiet * (1 - scores) ** 2)

    def _nothing(
        self, step: Step, images: Tensor, features: Features, masks: list[Known], weigh: Callable[[Tensor], Tensor]
    ) -> list[Known]:
        """Return what is known if, where nobody looked, nothing is there as surely as `weigh` says of the best score.

        `features` are those of some `images` of the batch, by the average; only kinds with a label count.
        """
        detect = step.average.detector.detect
        labelled = self.limits[:, 1].isfinite().view(1, -1, 1, 1)
        known = []
        for raw, mask in zip(features.levels, masks, strict=True):
            kinds = mask.certain.shape[1]
            channels = [detect.score_channel(kind) for kind in range(kinds)]
            weight = weigh(raw[..., channels].float().sigmoid().amax(1).permute(0, 3, 1, 2))
            unseen = ~mask.looked[images, None] & labelled[:, :kinds]
            certain = torch.where(unseen, weight, mask.certain[images])
            known.append(mask._replace(certain=mask.certain.index_copy(0, images, certain)))
        return known


def _likeness(neck: Tensor, found: Candidates, references: References) -> Tensor:
    """Return for each candidate, from 0 to 1, how much liker it is to cells of its kind than to anything else."""
    own, others = compare(neck, found.image, found.boxes, found.kinds, references)
    return ((1 + own - others.clamp(min=-1)) / 2).clamp(0, 1)


def _open(targets: Targets, count: int) -> Tensor:
    """Return which of so many images have no part that is settled."""
    settled = targets.unknown_image[targets.unknown_kinds == SETTLED]
    return torch.nonzero(torch.bincount(settled, minlength=count) == 0)[:, 0]


def _references(targets: Targets, false: Candidates) -> References:
    """Return the labelled cells of a batch, and what was found where it is certain that there is none."""
    cells = targets.kinds < HIDDEN
    return References(
        torch.cat((targets.image[cells], false.image)),
        torch.cat((targets.boxes[cells], false.boxes)),
        torch.cat((targets.kinds[cells], torch.full_like(false.kinds, -1))),
    )


def unmeasured(zero: Tensor) -> dict[str, Tensor]:
    """Return `MEASURES` of a step without pseudo-labels."""
    return dict.fromkeys(MEASURES, zero / 0)


def measure(pseudo: Pseudo, targets: Targets) -> dict[str, Tensor]:
    """Return `MEASURES`: pseudo-labels a picture, by score and by likeness.

    If the truth is in `targets`, also the share of them that is right, and what share they are of all that nobody
    labelled.
    """
    found, (sure, similar), images = pseudo.found, pseudo.counts, len(pseudo.images)
    hidden, cut = targets.kinds >= HIDDEN, targets.unknown_kinds >= HIDDEN
    image = torch.cat((targets.image[hidden], targets.unknown_image[cut]))
    boxes = torch.cat((targets.boxes[hidden], targets.unknown[cut]))
    kinds = torch.cat((targets.kinds[hidden], targets.unknown_kinds[cut])) - HIDDEN
    right = (best_overlap(found, image, boxes, kinds) >= SAME).float()
    known_truth = torch.where(hidden.any(), 1.0, torch.nan)
    searched = torch.isin(targets.image, pseudo.images)
    unlabelled = ((hidden & searched).sum() - (~hidden & searched).sum()).clamp(min=1)
    values = (sure / images, similar / images, right.mean() * known_truth, right.sum() / unlabelled * known_truth)
    return dict(zip(MEASURES, values, strict=True))


def _sides(fields: Sequence[Field], usual: Sequence[int]) -> list[np.ndarray]:
    """Return the sides of the labelled boxes of each kind, in pixels where fields have their `usual` longer sides."""
    sides: list[list[np.ndarray]] = [[] for _ in range(KINDS)]
    for field, side in zip(fields, usual, strict=True):
        boxes = (field.cells.boxes, *(field.auxiliary.get(name, np.empty((0, 4))) for name in AUXILIARY))
        for own, some in zip(sides, boxes, strict=True):
            own.append(np.sqrt((some[:, 2:] - some[:, :2]).prod(1)) * side / max(field.width, field.height))
    return [np.concatenate(own) for own in sides]
