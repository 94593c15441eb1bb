"""Train AttriDet on full labels; types and attributes may be missing, boxes may not."""

from __future__ import annotations

import copy
import csv
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader

from bloodfilm.cells import Field
from bloodfilm.detection.detector import LOWEST_SCORE, Cancelled, Detector
from bloodfilm.detection.devices import fastest_precision, resolve_device
from bloodfilm.errors import UserError
from bloodfilm.evaluation.attributes import score_attributes
from bloodfilm.evaluation.detection import score_detection
from bloodfilm.io.files import replacing
from bloodfilm.io.images import read_image
from bloodfilm.nets.attridet import AttriDet, taken_over, with_auxiliary
from bloodfilm.nets.checkpoint import Card, load, read_card, save
from bloodfilm.nets.yolo import Size
from bloodfilm.training.augment import augment
from bloodfilm.training.data import FieldDataset
from bloodfilm.training.finish import finish
from bloodfilm.training.labels import Targets, collate
from bloodfilm.training.losses import detection_losses, reading_loss
from bloodfilm.training.paste import Cutouts
from bloodfilm.vocabulary import AUXILIARY, UNKNOWN

PLAIN_EPOCHS = 0.2
"""Share of the epochs, the last ones, without mosaic."""

READING_GAIN = 0.1

STATE = "state.pt"
FREE_TO_CHANGE = ("device", "workers")
"""Settings that a run may be resumed with although it was begun with others."""

Report = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Settings:
    """How to train.

    `init` is a model name or file to start from, which also sets the size; without it the size is n by default. Of an
    imported model all tensors are taken that fit the labels.
    `mosaic`, `mirrored` and `scale` are those of `FieldDataset`. With `keep_detection` the boxes stay exactly as
    those of `init`: only types and attributes are trained, on frozen features. `workers` are the processes that
    load pictures; with 0 each picture is read once and kept in memory.
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
    keep_detection: bool = False
    workers: int = 0


class Average:
    """Exponential moving average of a network's weights and statistics."""

    def __init__(self, network: nn.Module, decay: float = 0.998, ramp: float = 100) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay, self.ramp, self.updates = decay, ramp, 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        self.updates += 1
        keep = self.decay * (1 - math.exp(-self.updates / self.ramp))
        for mean, now in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now.to(mean), 1 - keep)
            else:
                mean.copy_(now)


def train(
    fields: Sequence[Field],
    validation: Sequence[Field],
    out: str | Path,
    settings: Settings | None = None,
    resume: bool = False,
    report: Report | None = None,
    cancelled: Callable[[], bool] | None = None,
    singles: Sequence[Field] = (),
) -> Path:
    """Train on `fields` and keep the weights that score best on `validation`.

    Best is the highest mean of AP50 and AP; with `Settings.keep_detection` the highest mean macro-F1 of types
    and attributes. In the end these weights are calibrated on `validation` and told what is usual (`finish`).

    Writes below `out`: ``best.safetensors``, ``last.safetensors``, ``state.pt`` to resume from and
    ``log.csv`` with a row per epoch. `report` is called with the same row. Once `cancelled` says yes,
    training stops with the best weights kept. The cells of `singles`, fields that show one white cell each, are
    pasted on the others, so that crowds and touching cells are learned from labels of single ones.

    Returns
    -------
    Path
        ``best.safetensors``.

    Raises
    ------
    UserError
        If there is nothing to train or validate on; if `out` holds a run and `resume` is not set, or the other
        way round, or it was begun with other settings.
    """
    out, settings = Path(out), settings or Settings()
    if not any(len(field.cells) for field in fields):
        raise UserError("Training needs at least one field with an annotated cell.")
    if not any(len(field.cells) for field in validation):
        raise UserError("Validation needs at least one field with an annotated cell.")
    begun = (out / STATE).exists()
    if begun and not resume:
        raise UserError(f"{out} already holds a run: resume it, or choose another folder.")
    if resume and not begun:
        raise UserError(f"{out} holds no run to resume; its {STATE} is missing.")
    return _Run(fields, validation, out, settings, report, singles).go(resume, cancelled)


class _Run:
    """One training run and all that has to be resumed."""

    def __init__(
        self,
        fields: Sequence[Field],
        validation: Sequence[Field],
        out: Path,
        settings: Settings,
        report: Report | None,
        singles: Sequence[Field],
    ) -> None:
        self.settings, self.validation, self.out, self.report = settings, validation, out, report
        device = resolve_device(settings.device)
        mixed = fastest_precision(device) == torch.bfloat16
        self.fabric = Fabric(accelerator=device.type, devices=1, precision="bf16-mixed" if mixed else "32-true")
        self.fabric.seed_everything(settings.seed, verbose=False)
        network, self.card = _start(settings, fields)
        self.network: nn.Module
        self.network = network.to(memory_format=torch.channels_last)
        if settings.keep_detection:
            network.detector.requires_grad_(False)
        trained = [p for p in self.network.parameters() if p.requires_grad]
        weights = [p for p in trained if p.ndim > 1]
        others = [p for p in trained if p.ndim <= 1]
        groups = [{"params": weights, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
        self.model, self.optimizer = self.fabric.setup(self.network, optimizer)
        self.average = Average(self.network)
        cutouts = Cutouts(singles) if singles else None
        self.dataset = FieldDataset(
            fields, settings.image_size, settings.mosaic, settings.mirrored, settings.scale, settings.seed, cutouts
        )
        self.epoch, self.best = 0, -1.0

    def go(self, resume: bool, cancelled: Callable[[], bool] | None) -> Path:
        if resume:
            self._restore()
        self.out.mkdir(parents=True, exist_ok=True)
        while self.epoch < self.settings.epochs:
            try:
                losses = self._train_epoch(cancelled)
            except Cancelled:
                break
            scores = self._validate()
            row = {"epoch": self.epoch + 1.0, **losses, **scores, "learning_rate": self._learning_rate(1.0)}
            self.epoch += 1
            self._keep(row)
            if self.report:
                self.report(row)
        best = self.out / "best.safetensors"
        if best.exists() and not read_card(best).calibration:
            save(best, *finish(*load(best), self.dataset.fields, self.validation))
        return best

    def _loader(self) -> DataLoader[Any]:
        last = self.epoch >= (1 - PLAIN_EPOCHS) * self.settings.epochs
        self.dataset.epoch = self.epoch
        self.dataset.mosaic = 0.0 if last else self.settings.mosaic
        order = np.random.default_rng((self.settings.seed, self.epoch)).permutation(len(self.dataset))
        loader: DataLoader[Any] = DataLoader(
            self.dataset,
            batch_size=self.settings.batch,
            sampler=order.tolist(),
            num_workers=self.settings.workers,
            collate_fn=collate,
            pin_memory=self.fabric.device.type == "cuda",
        )
        return loader

    def _train_epoch(self, cancelled: Callable[[], bool] | None) -> dict[str, float]:
        self.model.train()
        if self.settings.keep_detection:
            self.model.detector.eval()
        generator = torch.Generator().manual_seed(self.settings.seed * 10_007 + self.epoch)
        loader = self._loader()
        sums: dict[str, float] = {}
        for step, (images, targets) in enumerate(loader):
            if cancelled and cancelled():
                raise Cancelled
            for group in self.optimizer.param_groups:
                group["lr"] = self._learning_rate((step + 1) / len(loader))
            images = images.to(self.fabric.device).float() / 255
            images, targets = augment(images, targets.to(self.fabric.device), generator)
            losses = self._losses(images.to(memory_format=torch.channels_last), targets)
            self.fabric.backward(torch.stack(list(losses.values())).sum())
            self.fabric.clip_gradients(self.model, self.optimizer, max_norm=10.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.average.update(self.network)
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + float(loss.detach()) / len(loader)
        return sums

    def _losses(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        network = self.network
        assert isinstance(network, AttriDet)
        labelled = (targets.codes != UNKNOWN).any(1)
        rois = torch.cat((targets.image[labelled, None].float(), targets.boxes[labelled]), 1)
        codes = targets.codes[labelled]
        with self.fabric.autocast():
            features = network.detector(images)
            types, *values = network.read(features.taps, rois)
        losses = {
            "types": READING_GAIN * reading_loss([types], codes[:, :1]),
            "attributes": READING_GAIN * reading_loss(values, codes[:, 1:]),
        }
        if self.settings.keep_detection:
            return losses
        return detection_losses(features, targets, network.detector.detect) | losses

    def _learning_rate(self, part: float) -> float:
        """Linear warm-up, then half a cosine to 1 % of the rate."""
        settings, now = self.settings, self.epoch + part
        cosine = 0.01 + 0.99 * (1 + math.cos(math.pi * now / settings.epochs)) / 2
        warm = min(now / settings.warm_up, 1.0) if settings.warm_up else 1.0
        return settings.learning_rate * cosine * warm

    def _validate(self) -> dict[str, float]:
        network = copy.deepcopy(self.average.network)
        detector = Detector.from_network(network, self.card, self.fabric.device)  # type: ignore[arg-type]
        found = [detector.detect(read_image(field.path), LOWEST_SCORE) for field in self.validation]
        scores = score_detection(found, self.validation)
        readings = score_attributes(found, self.validation, LOWEST_SCORE).values()
        read = [score["macro_f1"] for score in readings if score["cells"]]
        mean = float(np.mean(read)) if read else math.nan
        return {name: scores[name] for name in ("ap50", "ap", "recall", "false_per_field")} | {"macro_f1": mean}

    def _keep(self, row: dict[str, float]) -> None:
        network = self.average.network
        assert isinstance(network, AttriDet)
        save(self.out / "last.safetensors", network, self.card)
        fitness = row["macro_f1"] if self.settings.keep_detection else (row["ap50"] + row["ap"]) / 2
        if not fitness <= self.best:
            self.best = fitness
            save(self.out / "best.safetensors", network, self.card)
        state = {
            "network": self.network.state_dict(),
            "average": network.state_dict(),
            "updates": self.average.updates,
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "best": self.best,
            "random": torch.get_rng_state(),
            "settings": self._fixed_settings(),
        }
        with replacing(self.out / STATE) as temporary:
            torch.save(state, temporary)
        first = self.epoch == 1
        with (self.out / "log.csv").open("w" if first else "a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if first:
                writer.writeheader()
            writer.writerow({name: f"{value:.5g}" for name, value in row.items()})

    def _fixed_settings(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self.settings).items() if name not in FREE_TO_CHANGE}

    def _restore(self) -> None:
        state = torch.load(self.out / STATE, map_location=self.fabric.device, weights_only=True)
        for name, value in self._fixed_settings().items():
            if state["settings"][name] != value:
                begun = state["settings"][name]
                raise UserError(f"{self.out} was begun with {name} {begun}, not {value}; resume it with the same.")
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self.average.updates = state["updates"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.best = state["epoch"], state["best"]
        torch.set_rng_state(state["random"].cpu())


def _start(settings: Settings, fields: Sequence[Field]) -> tuple[AttriDet, Card]:
    """Return the network to begin with, and a card that says what `fields` can teach it."""
    vocabulary = fields[0].cells.vocabulary
    labelled = list(AUXILIARY) if any(field.auxiliary for field in fields) else []
    if settings.init:
        network, card = load(settings.init)
        if settings.size not in (None, card.size):
            raise UserError(f"{settings.init} has the size {card.size}; it cannot be trained as size {settings.size}.")
        if card.head != "own":
            network, taken, known = taken_over(network, vocabulary)
            warnings.warn(f"{settings.init}: {taken} of {known} tensors fit and are taken over.", stacklevel=2)
            card = Card(name=card.name, size=card.size, vocabulary=vocabulary)
        if card.vocabulary != vocabulary:
            raise UserError(f"{settings.init} has another vocabulary than the labels; convert the labels first.")
        network.novelty.limit.zero_()
        size, classes, attributes, auxiliary = card.size, set(card.classes), set(card.attributes), card.auxiliary
        if labelled and not auxiliary:
            network, auxiliary = with_auxiliary(network, len(labelled)), labelled
    else:
        size, classes, attributes, auxiliary = settings.size or "n", set(), set(), labelled
        network = AttriDet(size, vocabulary, len(auxiliary))
    codes = {int(code) for field in fields for code in field.cells.codes}
    classes |= {name for code, name in enumerate(vocabulary.classes) if code in codes}
    for column, name in enumerate(vocabulary.attribute_names):
        if any((field.cells.attributes[:, column] != UNKNOWN).any() for field in fields):
            attributes.add(name)
    return network, Card(
        name="trained",
        size=size,
        image_size=settings.image_size,
        vocabulary=vocabulary,
        classes=[name for name in vocabulary.classes if name in classes],
        auxiliary=auxiliary,
        attributes=[name for name in vocabulary.attribute_names if name in attributes],
    )
