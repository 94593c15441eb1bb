"""SLA-Det as its authors' code has it, for comparison only.

Filters of entropy and size that keep everything, pseudo-labels inside the labelled region, a triplet loss with its sign
inverted, predictions outside the region set to 0 rather than left out: as published. Optimiser, augmentation and
attribute loss are ours, kinds of objects take the place of classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms

from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.yolo import STRIDES, Features
from bloodfilm.training.assignment import assign
from bloodfilm.training.labels import HIDDEN, WHITE, Targets
from bloodfilm.training.losses import LEVEL_WEIGHTS, box_loss, detection_losses, known
from bloodfilm.training.method import Step
from bloodfilm.training.pseudo import Candidates, find_candidates
from bloodfilm.training.similarity import References, compare, triplet_loss
from bloodfilm.training.sparse import Sparse
from bloodfilm.training.supervised import reading_losses
from bloodfilm.training.teacher import Pseudo, measure, unmeasured
from bloodfilm.vocabulary import UNKNOWN

PLAIN = 100 / 130
"""Share of the training before sparse labels are treated as such: until then what has no label is background."""

SIMILAR_UNTIL, GUESS_UNTIL = 20 / 30, 29 / 30
"""Shares of the rest with similarity loss, and with pseudo-labels."""

LOWEST_SCORE, SIMILAR_SCORE, PSEUDO_SCORE = 0.5, 0.6, 0.95
MAX_OVERLAP, MIN_AREA, MAX_SHARED = 0.2, 10.0, 100.0
"""IoU of candidates; square pixels of a pseudo-label, and of what it shares with a labelled box."""

GAINS = {"box": 0.05, "objectness": 0.7, "class": 0.0525}
GUESS_GAIN, MARGIN = 0.1, 0.05
ALPHA, GAMMA = 0.25, 1.5


class Published(Sparse):
    """The published recipe; `truth` is that of `Sparse`."""

    name = "sladet-published"

    def collage(self, done: float) -> float:
        return 0.0

    def losses(self, step: Step) -> dict[str, Tensor]:
        network = step.network
        targets = step.targets._replace(**_select(step.targets, step.targets.kinds < HIDDEN))
        features = network.detector(step.images)
        readings = reading_losses(network, step.images, targets)
        zero = features.neck.new_zeros((), dtype=torch.float32)
        self._measures = unmeasured(zero)
        late = (step.done - PLAIN) / (1 - PLAIN)
        if late < 0:
            whole = targets._replace(**{name: getattr(targets, name)[:0] for name in _UNKNOWN})
            losses = detection_losses(features, whole, network.detector.detect)
            auxiliary = {"auxiliary": losses.get("auxiliary", zero)}
            return losses | auxiliary | readings | {"triplet": zero} | step.forgetting(features)
        looked = [level.looked for level in known(targets, [raw.shape for raw in features.levels], _kinds(network))]
        losses = _losses(network, features, targets, looked)
        readings["triplet"] = zero
        if late < GUESS_UNTIL:
            sure, similar = _guess(network, features, targets)
            untyped = torch.full_like(sure.kinds, UNKNOWN)
            references = References(targets.image, targets.boxes, targets.kinds)
            counts = (torch.full_like(zero, len(sure.image)), torch.full_like(zero, len(similar.image)))
            images = torch.arange(len(step.images), device=untyped.device)
            self._measures = measure(Pseudo(images, sure, untyped, references, counts), step.targets)
            guessed = targets._replace(**_select(targets, targets.kinds < 0))
            guessed = guessed.plus(sure.image, sure.boxes, sure.kinds, untyped)
            parts = _losses(network, features, guessed)
            losses = {name: loss + GUESS_GAIN * parts[name] for name, loss in losses.items()}
            if late < SIMILAR_UNTIL:
                likeness = compare(features.neck, similar.image, similar.boxes, similar.kinds, references, hardest=True)
                readings["triplet"] = GUESS_GAIN * triplet_loss(*likeness, MARGIN, sign=-1.0)
        return losses | readings | step.forgetting(features)


_UNKNOWN = ("unknown_image", "unknown", "unknown_kinds")


def _kinds(network: AttriDet) -> int:
    return 1 + network.detector.detect.auxiliary


def _select(targets: Targets, chosen: Tensor) -> dict[str, Tensor]:
    return {name: getattr(targets, name)[chosen] for name in ("image", "boxes", "kinds", "codes")}


@torch.no_grad()
def _guess(network: AttriDet, features: Features, targets: Targets) -> tuple[Candidates, Candidates]:
    """Return what the network that is trained finds in the same pass: pseudo-labels, and what is compared."""
    found = find_candidates(features, network.detector, LOWEST_SCORE, 1.0)
    found = found.where(batched_nms(found.boxes, found.scores, found.image, MAX_OVERLAP))
    found = found._replace(boxes=found.boxes.floor())
    area = (found.boxes[:, 2:] - found.boxes[:, :2]).clamp(min=0).prod(1)
    low = torch.maximum(found.boxes[:, None, :2], targets.boxes[:, :2])
    shared = (torch.minimum(found.boxes[:, None, 2:], targets.boxes[:, 2:]) - low).clamp(min=0).prod(2)
    shared = shared * (found.image[:, None] == targets.image)
    found = found.where((area > MIN_AREA) & ~(shared > MAX_SHARED).any(1))
    sure = found.scores > PSEUDO_SCORE
    return found.where(sure), found.where(~sure & (found.scores > SIMILAR_SCORE))


def _losses(
    network: AttriDet, features: Features, targets: Targets, looked: list[Tensor] | None = None
) -> dict[str, Tensor]:
    """Return the losses of labels, all predictions outside of `looked` set to 0; or without it of pseudo-labels."""
    detect = network.detector.detect
    zero = features.neck.new_zeros((), dtype=torch.float32)
    parts = {"box": zero, "objectness": zero, "class": zero, "auxiliary": zero}
    gains = GAINS if looked else dict.fromkeys(GAINS, 1.0)
    for kind in range(_kinds(network)):
        mine = targets.kinds == kind
        cells, codes = targets.boxes[mine], targets.codes[mine, 0]
        shapes = [(raw.shape[2], raw.shape[3]) for raw in features.levels]
        matched = assign(targets.image[mine], cells, detect.anchors, shapes)
        for index, (level, matches) in enumerate(zip(features.levels, matched, strict=True)):
            mask = looked[index].float()[:, None] if looked else torch.ones_like(level[:, :1, ..., 0]).float()
            raw = level.float() * mask[..., None]
            scores = raw[..., detect.score_channel(kind)]
            aim, weight = torch.zeros_like(scores), mask.expand_as(scores)
            place = (matches.image, matches.anchor, matches.row, matches.column)
            box = typed = zero
            if len(matches.cell):
                misfit, picked = box_loss(raw, matches, cells[matches.cell] / STRIDES[index], detect.anchors[index])
                box = misfit.mean()
                aim = aim.index_put(place, (1 - misfit).detach().clamp(min=0))
                code = codes[matches.cell]
                if kind == WHITE and (code >= 0).any():
                    wanted = F.one_hot(code[code >= 0], detect.classes).float()
                    typed = focal_loss(picked[code >= 0, 5 : 5 + detect.classes], wanted).mean()
            if looked is None:
                weight = torch.zeros_like(scores).index_put(place, scores.new_ones(()))
            count = weight.sum() if looked else torch.tensor(float(weight.numel()))
            objectness = LEVEL_WEIGHTS[index] * (weight * focal_loss(scores, aim)).sum() / count.clamp(min=1)
            if kind == WHITE:
                parts["box"] = parts["box"] + gains["box"] * box
                parts["objectness"] = parts["objectness"] + gains["objectness"] * objectness
                parts["class"] = parts["class"] + gains["class"] * typed
            else:
                parts["auxiliary"] = parts["auxiliary"] + gains["box"] * box + gains["objectness"] * objectness
    return parts


def focal_loss(logits: Tensor, aim: Tensor) -> Tensor:
    """Return binary cross-entropy times alpha (1 - p)^gamma (Lin et al., 2017) of each output."""
    p = logits.sigmoid()
    true = aim * p + (1 - aim) * (1 - p)
    weight = (aim * ALPHA + (1 - aim) * (1 - ALPHA)) * (1 - true) ** GAMMA
    return weight * F.binary_cross_entropy_with_logits(logits, aim, reduction="none")
