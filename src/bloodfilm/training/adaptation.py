"""From labelled pictures of one microscope to unlabelled ones of another.

Four ways, each a switch of `AdaptSettings`; labels of the target are never looked at.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bloodfilm.cells import Cells, Field
from bloodfilm.detection.detector import Detector
from bloodfilm.errors import UserError
from bloodfilm.evaluation.leakage import patients_of
from bloodfilm.io.annotated import with_pictures
from bloodfilm.io.coco import looks_like_coco, read_coco
from bloodfilm.io.images import RGB, find_images, read_image
from bloodfilm.io.lld.names import origin_of, split_of
from bloodfilm.io.lld.pictures import picture_size
from bloodfilm.nets.checkpoint import Stain, load, read_card, save
from bloodfilm.training import stain
from bloodfilm.training.finish import ENOUGH_HELD_OUT, learn_usual, with_limits
from bloodfilm.training.labels import Labels, labels_of
from bloodfilm.training.loop import Report, train
from bloodfilm.training.losses import detection_losses
from bloodfilm.training.method import Method, Step
from bloodfilm.training.mixing import FREE, Guesses, mix, with_guesses
from bloodfilm.training.settings import Settings
from bloodfilm.training.statistics import reestimated
from bloodfilm.training.supervised import reading_losses
from bloodfilm.vocabulary import AUXILIARY

ASKED = 60
"""Pictures of the target, at most, on which it is seen if a map of colours makes the model surer."""


@dataclass(frozen=True)
class AdaptSettings:
    """Which ways to go.

    Parameters
    ----------
    stain : str, optional
        Bring pictures to the colours of the source, ``reinhard`` or ``macenko`` (`bloodfilm.training.stain`).
    statistics : bool
        Tell batch normalisation what is usual on the target (`bloodfilm.training.statistics`).
    teacher : bool
        Train on what the moving average of the network finds on weakly changed target pictures, shown strongly
        changed: mean teacher (Tarvainen and Valpola, 2017) as for detectors in Unbiased Teacher (Liu et al., 2021).
    mixing : bool
        With the teacher: put the quarter of a target picture of which it is surest on a source picture (ConfMix,
        Mattolin et al., 2023).
    sure, possible : float
        Scores from which on there is a cell, and below which there is none; in between it is unknown.
    only_if_surer : bool
        Change colours only if the model then doubts fewer of its finds, and keeps half of those that it is sure of.
    """

    stain: Literal["reinhard", "macenko"] | None = "reinhard"
    statistics: bool = False
    teacher: bool = False
    mixing: bool = False
    sure: float = 0.5
    possible: float = 0.1
    only_if_surer: bool = True


def adapt(
    init: str | Path,
    source: Sequence[Field],
    validation: Sequence[Field],
    target: Sequence[Field],
    out: str | Path,
    settings: Settings | None = None,
    ways: AdaptSettings | None = None,
    resume: bool = False,
    report: Report | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Path:
    """Adapt the model `init`, which learned from `source`, to the pictures of `target`; their labels are not read.

    `validation`, labelled fields of the source, and `settings` are for the teacher. Nothing is selected: the last
    weights are taken.

    Returns
    -------
    Path
        ``adapted.safetensors`` below `out`; its card says how pictures have to be stained.

    Raises
    ------
    UserError
        If there is no picture of the source or the target, or as `train` does.
    """
    out, ways = Path(out), ways or AdaptSettings()
    if not source or not target:
        raise UserError("Adaptation needs labelled fields of the source and pictures of the target.")
    before = read_card(init)
    colours, model = _colours(init, ways, source, target), str(init)
    if ways.teacher:
        method = Adaptation(ways, target, colours)
        settings = replace(settings or Settings(), init=str(init), size=None, image_size=before.image_size)
        train(balanced(source, target), validation, out, settings, resume, report, cancelled, method=method)
        last = out / "last.safetensors"
        model = str(last) if last.exists() else str(init)
    network, card = load(model)
    patients = sorted({*card.patients, *patients_of((*source, *validation, *target))})
    told: dict[str, Any] = {
        "name": out.resolve().name,
        "method": "adapt",
        "description": f"{before.name}, adapted to {len(target)} pictures without labels.",
        "data": before.data,
        "limits": before.limits,
        "patients": patients,
        "stain": colours or card.stain,
        "scores": {},
    }
    card = card.model_copy(update=told)
    if ways.statistics:
        network = reestimated(network, card, target)
    held = max(len(target) // 10, ENOUGH_HELD_OUT)
    network = learn_usual(network, card, target[held:], target[:held])
    save(out / "adapted.safetensors", network, with_limits(network, card))
    return out / "adapted.safetensors"


def unlabelled(paths: Sequence[Path]) -> list[Field]:
    """Return a field for each picture of COCO files, pictures and folders, without labels.

    Pictures in a folder called test are left out unless it is among `paths`, with a warning that says how many.
    """
    files = [path for path in paths if looks_like_coco(path)]
    fields = [bare(field) for path in files for field in with_pictures(read_coco(path), path)]
    pictures = (picture for path in paths if path not in files for picture in _to_learn_from(path))
    for each in dict.fromkeys(pictures):
        width, height = picture_size(each)
        fields.append(Field(each, Cells.empty(), width, height, name=each.name, origin=origin_of(each.name)))
    return fields


def _to_learn_from(path: Path) -> list[Path]:
    """Return the picture `path`, or those of the folder `path` that no folder in it keeps to test on."""
    found = find_images([path])
    kept = [each for each in found if split_of(each.relative_to(path).parent) != "test"]
    if len(kept) < len(found):
        left_out = len(found) - len(kept)
        warnings.warn(f"{path}: {left_out} pictures in folders called test are left out.", stacklevel=2)
    return kept


def ways_of(text: str) -> AdaptSettings:
    """Return the settings that names with commas between say, such as ``reinhard,teacher``; the default for none."""
    if not text:
        return AdaptSettings()
    names = {name.strip() for name in text.split(",")}
    if wrong := sorted(names - {"reinhard", "macenko", "statistics", "teacher", "mixing"}):
        raise UserError(f"{wrong[0]} is no way to adapt: give reinhard or macenko, statistics, teacher, mixing.")
    if {"reinhard", "macenko"} <= names:
        raise UserError("Pictures can be stained by reinhard or by macenko, not by both.")
    if "mixing" in names and "teacher" not in names:
        raise UserError("There is no mixing without the teacher, who says what is on the pictures.")
    colours: Literal["reinhard", "macenko"] | None
    colours = "reinhard" if "reinhard" in names else "macenko" if "macenko" in names else None
    return AdaptSettings(colours, "statistics" in names, "teacher" in names, "mixing" in names)


def fit_stain(ways: AdaptSettings, source: Sequence[Field], target: Sequence[Field]) -> Stain | None:
    if not ways.stain:
        return None
    fit = {"reinhard": stain.reinhard, "macenko": stain.macenko}[ways.stain]
    return fit(stain.densities(source), stain.densities(target))


def _colours(init: str | Path, ways: AdaptSettings, source: Sequence[Field], target: Sequence[Field]) -> Stain | None:
    """Return the map of colours that `ways` ask for; None if the model is no surer of what it finds with it.

    A wrong map costs more than a right one gains: where most cells are found anyway, the means and deviations of two
    sets differ by what they show. Without labels two things tell: with a right map the model doubts fewer of its finds,
    and it does not lose most of those that it was sure of.
    """
    colours = fit_stain(ways, source, target)
    if colours is None or not ways.only_if_surer:
        return colours
    chosen = np.linspace(0, len(target) - 1, min(len(target), ASKED)).astype(int)
    pictures = [target[row] for row in chosen]
    (doubted, sure), (doubted_before, sure_before) = (_finds(init, each, pictures, ways) for each in (colours, None))
    if doubted < doubted_before and sure >= sure_before / 2:
        return colours
    told = f"Colours stay as they are: with {ways.stain} it would be no surer of what it finds."
    alone = "" if ways.statistics or ways.teacher else " It finds what the model before finds: use that one."
    warnings.warn(told + alone, stacklevel=3)
    return None


def _finds(init: str | Path, colours: Stain | None, fields: Sequence[Field], ways: AdaptSettings) -> tuple[int, int]:
    """Return how many finds of the model `init` are doubted, and how many sure, on pictures mapped by `colours`."""
    network, card = load(init)
    stained = card.model_copy(update={"stain": colours or card.stain})
    detector = Detector.from_network(network, stained, torch.device("cpu"))
    scores = np.concatenate([detector.detect(read_image(field.path), ways.possible).scores for field in fields])
    return int((scores < ways.sure).sum()), int((scores >= ways.sure).sum())


def balanced(source: Sequence[Field], target: Sequence[Field]) -> list[Field]:
    """Return as many fields of the target, without their labels, as of the source, the fewer ones again and again."""
    parts = source, [bare(field) for field in target]
    return [part[row % len(part)] for row in range(max(map(len, parts))) for part in parts]


def bare(field: Field) -> Field:
    """Return `field` without anything that somebody labelled."""
    none = np.empty((0, 4), np.float32)
    cells = Cells.empty(field.cells.vocabulary)
    return replace(field, cells=cells, ignored=none, auxiliary={}, complete=frozenset(), labelled_regions=None)


class Adaptation(Method):
    """Mean teacher: labels where there are some, what the teacher finds where there are none."""

    name = "adapt"

    def __init__(self, ways: AdaptSettings, target: Sequence[Field], colours: Stain | None = None) -> None:
        super().__init__()
        self.ways, self.colours = ways, colours
        self.target = {field.path for field in target}

    def options(self) -> dict[str, Any]:
        return asdict(self.ways)

    def picture(self, field: Field) -> RGB:
        picture = read_image(field.path)
        if self.colours is None or field.path not in self.target:
            return picture
        image = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
        mapped = (self.colours.apply(image)[0] * 255).round().byte()
        return mapped.permute(1, 2, 0).numpy()

    def labels(self, field: Field) -> Labels:
        if field.path not in self.target:
            return labels_of(field)
        labels = labels_of(bare(field))
        whole = torch.tensor([[0.0, 0.0, field.width, field.height]])
        kinds = torch.tensor([*range(1, 1 + len(AUXILIARY)), FREE])
        return labels._replace(unknown=whole.repeat(len(kinds), 1), unknown_kinds=kinds)

    def losses(self, step: Step) -> dict[str, Tensor]:
        seen = step.average.find(step.plain, self.ways.possible)
        found = Guesses(*(part.clone() for part in seen[:3])).inside(step.targets)
        self.count = (found.scores >= self.ways.sure).sum() / len(step.images)
        images, targets = step.images, with_guesses(step.targets, found, self.ways.sure)
        if self.ways.mixing:
            step = step._replace(plain=mix(step.plain, targets, found)[0])
            images, targets = mix(images, targets, found)
        features = step.network.detector(images)
        readings = reading_losses(step.network, images, targets)
        losses = detection_losses(features, targets, step.network.detector.detect)
        return losses | readings | step.forgetting(features)

    def measures(self) -> dict[str, Tensor]:
        """Return the cells that the teacher was sure of, a picture."""
        return {"pseudo": self.count}
