"""SLA-Det: learn the whole field from labels of a part of it (Large Leukemia Dataset, MedIA 2025).

Where somebody looked, boxes teach as always, from pictures full of labelled regions. Elsewhere nothing is background
because it has no box. If wanted, what the moving average of the network finds there and is sure of is a pseudo-label;
how sure it has to be is seen where labels are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bloodfilm.cells import Field
from bloodfilm.errors import UserError
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.yolo import STRIDES, Features
from bloodfilm.training.data import MOSAIC_SCALE
from bloodfilm.training.labels import HIDDEN, SETTLED, WHITE, Labels, Targets, join, labels_of
from bloodfilm.training.losses import Guess, Known, detection_losses, known
from bloodfilm.training.method import Method, Step
from bloodfilm.training.pseudo import Candidates, Sureness, best_overlap, entropy, find_candidates, places
from bloodfilm.training.similarity import References, compare, triplet_loss
from bloodfilm.training.supervised import reading_losses
from bloodfilm.vocabulary import AUXILIARY, UNKNOWN

if TYPE_CHECKING:
    from bloodfilm.training.settings import Settings

KINDS = 1 + len(AUXILIARY)
LOWEST_SCORE, MAX_OVERLAP = 0.1, 0.5
MEASURES = ("pseudo_labels", "similar_labels", "pseudo_precision", "pseudo_recall")
SAME, APART = 0.5, 0.3
"""IoU from which on two boxes show one object, and below which they show two."""


@dataclass(frozen=True)
class SparseSettings:
    """How to learn from fields labelled in part.

    Parameters
    ----------
    pseudo, similarity : bool
        With pseudo-labels; and with those that only their likeness to labelled cells makes sure. What follows is of no
        use without `pseudo`, but for `collage`.
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


class Pseudo(NamedTuple):
    """Pseudo-labels of a batch and their types, what they were compared with, and how many each way brought.

    `images` are those that were searched.
    """

    images: Tensor
    found: Candidates
    types: Tensor
    references: References
    counts: tuple[Tensor, Tensor]


class Sparse(Method):
    """SLA-Det.

    Parameters
    ----------
    settings : SparseSettings, optional
    truth : sequence of Field, optional
        The same fields with all their cells. Nothing is learned from them; pseudo-labels are judged by them.
    """

    name = "sladet"
    limits: Tensor
    types: Tensor

    def __init__(self, settings: SparseSettings | None = None, truth: Sequence[Field] = ()) -> None:
        super().__init__()
        self.settings = settings or SparseSettings()
        self.truth = {field.path: field for field in truth}
        self.by_score, self.by_likeness = Sureness(KINDS), Sureness(KINDS)
        self.register_buffer("limits", torch.tensor([[0.0, torch.inf]] * KINDS), persistent=False)
        self._measures: dict[str, Tensor] = {}

    def options(self) -> dict[str, Any]:
        return asdict(self.settings)

    def begin(self, fields: Sequence[Field], settings: Settings) -> None:
        if not any(field.is_labelled_in_part for field in fields):
            raise UserError("No field has a labelled region: there is nothing for sladet to do, attridet will do.")
        codes = {int(code) for field in fields for code in field.cells.codes} - {UNKNOWN}
        self.register_buffer("types", torch.tensor(sorted(codes), dtype=torch.int64), persistent=False)
        lowest, highest = settings.scale[0] * (MOSAIC_SCALE if settings.mosaic else 1), settings.scale[1]
        for kind, sides in enumerate(_sides(fields, settings.image_size)):
            if len(sides):
                low, high = np.percentile(sides, self.settings.sizes)
                self.limits[kind] = torch.tensor([low * lowest, high * highest])

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
        readings = reading_losses(network, features, targets)
        trust = torch.ones_like(targets.boxes[:, 0])
        zero = features.neck.new_zeros((), dtype=torch.float32)
        readings["triplet"] = zero
        self._measures = self.no_measures(zero)
        if self._guesses(step.done):
            pseudo, masks = self._guess(step, masks)
            if self.settings.triplet:
                cells = pseudo.found
                likeness = compare(
                    features.neck, cells.image, cells.boxes, cells.kinds, pseudo.references, hardest=True
                )
                readings["triplet"] = self.settings.triplet * triplet_loss(*likeness, self.settings.margin)
            found = pseudo.found
            self._measures = measure(pseudo, targets)
            targets = targets.plus(found.image, found.boxes, found.kinds, pseudo.types)
            trust = torch.cat((trust, torch.full_like(found.boxes[:, 0], self.settings.trust)))
        guessed = torch.arange(len(trust), device=trust.device) >= len(step.targets.boxes)
        losses = detection_losses(features, targets, network.detector.detect, Guess(masks, guessed, trust))
        return losses | readings | step.forgetting(features)

    def _guesses(self, done: float) -> bool:
        return self.settings.pseudo and done >= self.settings.burn_in

    def measures(self) -> dict[str, Tensor]:
        return self._measures

    def sure_score(self) -> float:
        if not self.settings.pseudo:
            return super().sure_score()
        return max(float(self.by_score.threshold(self.settings.precision)[WHITE]), LOWEST_SCORE)

    @staticmethod
    def no_measures(zero: Tensor) -> dict[str, Tensor]:
        return dict.fromkeys(MEASURES, zero / 0)

    @torch.no_grad()
    def _guess(self, step: Step, masks: list[Known]) -> tuple[Pseudo, list[Known]]:
        """Return pseudo-labels, and what is known if the teacher is believed where it sees nothing."""
        settings, teacher = self.settings, step.average
        images = _open(step.targets, len(step.images))
        targets, own = step.targets.of(images), [Known(*(part[images] for part in mask)) for mask in masks]
        features = teacher.detector(step.plain[images].contiguous(memory_format=torch.channels_last))
        found = find_candidates(features, teacher.detector, LOWEST_SCORE, MAX_OVERLAP)
        overlap = best_overlap(found, targets.image, targets.boxes, targets.kinds)
        unseen, certain = places(found, own[0], STRIDES[0])
        right = overlap >= SAME
        references = _references(targets, found.where(certain & (overlap < APART)))
        self.by_score.learn(found.kinds[certain], found.scores[certain], right[certain])
        sure = found.scores >= self.by_score.threshold(settings.precision)[found.kinds]
        side = (found.boxes[:, 2:] - found.boxes[:, :2]).prod(1).sqrt()
        low, high = self.limits[found.kinds].unbind(1)
        fit = unseen & (overlap < APART) & (side >= low) & (side <= high)
        similar = torch.zeros_like(sure)
        if settings.similarity:
            likeness = self._likeness(features.neck, found, references)
            learnt = certain & ~sure
            self.by_likeness.learn(found.kinds[learnt], likeness[learnt], right[learnt])
            similar = ~sure & (likeness >= self.by_likeness.threshold(settings.precision)[found.kinds])
        chosen = torch.nonzero(fit & (sure | similar))[:, 0]
        chosen = chosen[entropy(found.all_scores[chosen]) <= settings.max_entropy]
        counts = sure[chosen].sum(), similar[chosen].sum()
        found = found.where(chosen)
        types = self._types(teacher, features, found)
        references = references._replace(image=images[references.image])
        believed = self._believed(features, teacher.detector.detect, own)
        masks = [
            mask._replace(certain=mask.certain.index_copy(0, images, certain))
            for mask, certain in zip(masks, believed, strict=True)
        ]
        return Pseudo(images, found._replace(image=images[found.image]), types, references, counts), masks

    def _likeness(self, neck: Tensor, found: Candidates, references: References) -> Tensor:
        """Return for each candidate, from 0 to 1, how much liker it is to cells of its kind than to anything else."""
        own, others = compare(neck, found.image, found.boxes, found.kinds, references)
        return ((1 + own - others.clamp(min=-1)) / 2).clamp(0, 1)

    def _types(self, teacher: AttriDet, features: Features, found: Candidates) -> Tensor:
        """Return the type of each white cell (K,) of which the teacher is sure enough, else `UNKNOWN`."""
        codes = torch.full_like(found.kinds, UNKNOWN)
        white = torch.nonzero(found.kinds == WHITE)[:, 0]
        if len(self.types) > 1:
            rois = torch.cat((found.image[white, None].float(), found.boxes[white]), 1)
            shares = teacher.read(features.taps, rois)[0][:, self.types].softmax(1)
            said = self.types[shares.argmax(1)]
            codes[white] = said.where(entropy(shares) <= self.settings.max_entropy, UNKNOWN)
        return codes

    def _believed(self, features: Features, detect: Any, masks: list[Known]) -> list[Tensor]:
        """Return what is certain where, of kinds with a label, what the teacher does not see counts as not there."""
        believed = []
        for raw, mask in zip(features.levels, masks, strict=True):
            kinds = mask.certain.shape[1]
            channels = [detect.score_channel(kind) for kind in range(kinds)]
            nothing = raw[..., channels].float().sigmoid().amax(1).permute(0, 3, 1, 2) < self.settings.empty_score
            labelled = self.limits[:kinds, 1].isfinite().view(1, kinds, 1, 1)
            empty = nothing & ~mask.looked[:, None] & labelled
            believed.append(torch.where(empty, self.settings.empty, mask.certain))
        return believed


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


def _sides(fields: Sequence[Field], image_size: int) -> list[np.ndarray]:
    """Return the sides of the labelled boxes of each kind, in pixels where a field fills the canvas."""
    sides: list[list[np.ndarray]] = [[] for _ in range(KINDS)]
    for field in fields:
        boxes = (field.cells.boxes, *(field.auxiliary.get(name, np.empty((0, 4))) for name in AUXILIARY))
        for own, some in zip(sides, boxes, strict=True):
            own.append(np.sqrt((some[:, 2:] - some[:, :2]).prod(1)) * image_size / max(field.width, field.height))
    return [np.concatenate(own) for own in sides]
