"""The training loop: what is the same whichever way is trained."""

from __future__ import annotations

import copy
import csv
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader

from bloodfilm.cells import Field
from bloodfilm.detection.detector import LOWEST_SCORE, Cancelled, Detector
from bloodfilm.detection.devices import fastest_precision, resolve_device
from bloodfilm.errors import UserError
from bloodfilm.evaluation.attributes import score_attributes
from bloodfilm.evaluation.detection import score_detection
from bloodfilm.evaluation.leakage import patients_of
from bloodfilm.io.files import replacing
from bloodfilm.io.images import read_image
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import load, read_card, save
from bloodfilm.review.states import without_rejected
from bloodfilm.training.augment import disturb, turn
from bloodfilm.training.average import Average, mix
from bloodfilm.training.data import FieldDataset
from bloodfilm.training.finish import finish
from bloodfilm.training.labels import Targets, collate
from bloodfilm.training.memory import Memory, unlabelled_kinds
from bloodfilm.training.method import Method, Step
from bloodfilm.training.paste import Cutouts
from bloodfilm.training.settings import Settings
from bloodfilm.training.start import begin, described, shares_kept
from bloodfilm.training.supervised import Supervised

PLAIN_EPOCHS = 0.2
"""Share of the epochs, the last ones, without mosaic."""

ENOUGH_TO_SELECT = 20
"""Annotated cells from which on the best epoch is chosen by them; by fewer it would be by chance."""

SHOWN_EVERY = 5
"""Steps between two calls of `progress`."""

STATE = "state.pt"
FREE_TO_CHANGE = ("device", "workers")
"""Settings that a run may be resumed with although it was begun with others."""

NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")
"""What errors of torch say on graphics cards, on Windows and elsewhere."""

Report = Callable[[dict[str, float]], None]


def train(
    fields: Sequence[Field],
    validation: Sequence[Field],
    out: str | Path,
    settings: Settings | None = None,
    resume: bool = False,
    report: Report | None = None,
    cancelled: Callable[[], bool] | None = None,
    singles: Sequence[Field] = (),
    method: Method | None = None,
    progress: Report | None = None,
) -> Path:
    """Train on `fields` by `method`, by default `Supervised`, and keep the weights that score best on `validation`.

    Best is the highest mean of AP50 and AP. With fewer than `ENOUGH_TO_SELECT` cells to judge by, the latest weights
    count as the best. Before anything is judged or written, `shares_kept` of the weights that the run began with are
    mixed in. In the end the best ones are calibrated on `validation` and told what is usual (`finish`).
    What the network that a run begins with says of red cells and platelets is kept if no field labels them (`Memory`).

    Writes below `out`: ``best.safetensors``, ``last.safetensors``, ``state.pt`` to resume from and
    ``log.csv`` with a row per epoch. `report` is called with the same row; `progress` every few steps with ``epoch``
    (a fraction), each loss, what the method measures, ``learning_rate`` and ``seconds_left``. Once `cancelled` says
    yes, training stops with the best weights kept; these are calibrated, but not told what is usual. Where memory runs
    out, the batch is halved, with a warning. The cells of `singles`, fields that show one white cell each, are pasted
    on the others, so that crowds and touching cells are learned from labels of single ones.

    Returns
    -------
    Path
        ``best.safetensors``; not there if training was stopped in its first epoch.

    Raises
    ------
    UserError
        If there is nothing to train or validate on; if `out` holds a run and `resume` is not set, or the other
        way round, or it was begun with other settings.
    """
    out, settings = Path(out), settings or Settings()
    fields, validation, singles = ([without_rejected(f) for f in part] for part in (fields, validation, singles))
    if not any(len(field.cells) for field in fields):
        raise UserError("Training needs at least one field with an annotated cell.")
    if not any(len(field.cells) for field in validation):
        raise UserError("Validation needs at least one field with an annotated cell.")
    begun = (out / STATE).exists()
    if begun and not resume:
        raise UserError(f"{out} already holds a run: resume it, or choose another folder.")
    if resume and not begun:
        raise UserError(f"{out} holds no run to resume; its {STATE} is missing.")
    method = method or Supervised()
    return _Run(fields, validation, out, settings, method, report, progress, singles).go(resume, cancelled)


class _Run:
    """One training run and all that has to be resumed."""

    def __init__(
        self,
        fields: Sequence[Field],
        validation: Sequence[Field],
        out: Path,
        settings: Settings,
        method: Method,
        report: Report | None,
        progress: Report | None,
        singles: Sequence[Field],
    ) -> None:
        self.settings, self.validation, self.out = settings, validation, out
        self.report, self.progress = report, progress
        device = resolve_device(settings.device)
        mixed = fastest_precision(device) == torch.bfloat16
        devices = [device.index] if device.type == "cuda" and device.index is not None else 1
        self.fabric = Fabric(accelerator=device.type, devices=devices, precision="bf16-mixed" if mixed else "32-true")
        self.fabric.seed_everything(settings.seed, verbose=False)
        network, card = begin(settings, fields)
        begun_with = read_card(settings.init) if settings.init else None
        self.card = described(card, begun_with, self.out.resolve().name, method.name, fields)
        method.begin(fields, replace(settings, red_cells=self.card.red_cells))
        self.card.patients = sorted({*self.card.patients, *patients_of((*fields, *validation))})
        self.network = network.to(memory_format=torch.channels_last)
        self.method = method.to(self.fabric.device)
        kinds = unlabelled_kinds(fields, len(self.card.auxiliary)) if settings.init else []
        self.memory = Memory(network.to(self.fabric.device), kinds) if kinds else None
        trained = [p for part in (self.network, self.method) for p in part.parameters() if p.requires_grad]
        weights = [p for p in trained if p.ndim > 1]
        others = [p for p in trained if p.ndim <= 1]
        groups = [{"params": weights, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
        self.model, self.optimizer = self.fabric.setup(self.network, optimizer)
        self.average = Average(self.network)
        self.kept = shares_kept(settings, self.card, begun_with, fields)
        self.before = copy.deepcopy(self.average.network)
        self.begun_with = begun_with.sha256 if begun_with else ""
        cutouts = Cutouts(singles) if singles else None
        self.dataset = FieldDataset(
            fields,
            settings.image_size,
            settings.mosaic,
            settings.mirrored,
            settings.scale,
            settings.seed,
            cutouts,
            method.labels,
            method.picture,
            red_cells=self.card.red_cells,
        )
        self.epoch, self.best, self.batch = 0, -1.0, settings.batch
        self.selects = sum(len(field.cells) for field in validation) >= ENOUGH_TO_SELECT

    def go(self, resume: bool, cancelled: Callable[[], bool] | None) -> Path:
        if resume:
            self._restore()
        self.out.mkdir(parents=True, exist_ok=True)
        self.began = (time.monotonic(), self.epoch)
        cancelled = self._untimed(cancelled)
        usual = self.dataset.fields
        losses: dict[str, float] = {}
        while self.epoch < self.settings.epochs:
            try:
                losses = losses or self._train_epoch(cancelled)  # those that are there wait to be judged
                scores = self._validate(cancelled)
            except Cancelled:
                usual = []
                break
            except (MemoryError, RuntimeError) as error:
                self._halve_batch(error)
                continue
            row = {"epoch": self.epoch + 1.0, **losses, **scores, "learning_rate": self._learning_rate(1.0)}
            losses = {}
            self.epoch += 1
            self._keep(row)
            if self.report:
                self.report(row)
        best = self.out / "best.safetensors"
        if best.exists():
            save(best, *finish(*load(best), usual, self.validation))
        return best

    def _untimed(self, cancelled: Callable[[], bool] | None) -> Callable[[], bool]:
        """Return `cancelled` such that what it waits, in a pause, does not count as time that the run took."""

        def asked() -> bool:
            before = time.monotonic()
            stop = bool(cancelled and cancelled())
            since, first = self.began
            self.began = (since + time.monotonic() - before, first)
            return stop

        return asked

    def _halve_batch(self, error: Exception) -> None:
        """Make batches half as large after an `error` that says that memory ran out; raise any other one."""
        if not isinstance(error, MemoryError) and not any(words in str(error).lower() for words in NO_MEMORY):
            raise error
        size = self.settings.image_size
        if self.batch == 1:
            raise UserError(f"Memory is too small even for one picture of {size} px: choose fewer px.") from None
        self.batch //= 2
        warnings.warn(f"Memory ran out: going on with {self.batch} pictures of {size} px at once.", stacklevel=2)
        self.optimizer.zero_grad()
        if self.fabric.device.type == "cuda":
            torch.cuda.empty_cache()

    def _loader(self) -> DataLoader[Any]:
        last = self.epoch >= (1 - PLAIN_EPOCHS) * self.settings.epochs
        self.dataset.epoch = self.epoch
        self.dataset.mosaic = 0.0 if last else self.settings.mosaic
        self.dataset.collage = self.method.collage(self.epoch / self.settings.epochs)
        order = np.random.default_rng((self.settings.seed, self.epoch)).permutation(len(self.dataset))
        loader: DataLoader[Any] = DataLoader(
            self.dataset,
            batch_size=self.batch,
            sampler=order.tolist(),
            num_workers=self.settings.workers,
            collate_fn=collate,
            pin_memory=self.fabric.device.type == "cuda",
        )
        return loader

    def _train_epoch(self, cancelled: Callable[[], bool]) -> dict[str, float]:
        self.model.train()
        if self.settings.frozen:
            frozen = self.epoch < self.settings.frozen * self.settings.epochs
            self.network.detector.backbone.requires_grad_(not frozen).train(not frozen)
        self.method.train()
        seed = self.settings.seed * 10_007 + self.epoch
        torch.manual_seed(seed)  # dropout's, whatever was drawn between epochs
        generator = torch.Generator().manual_seed(seed)
        loader = self._loader()
        history: list[Tensor] = []
        for number, (images, targets) in enumerate(loader):
            part = (number + 1) / len(loader)
            for group in self.optimizer.param_groups:
                group["lr"] = self._learning_rate(part)
            losses = self._step(images, targets, generator, (self.epoch + number / len(loader)) / self.settings.epochs)
            figures = losses | self.method.measures()
            history.append(torch.stack([figure.detach().float() for figure in figures.values()]))
            if self.progress and (number % SHOWN_EVERY == 0 or part == 1):
                self.progress(self._now(dict(zip(figures, history[-1].tolist(), strict=True)), part))
            if cancelled():
                raise Cancelled
        means = torch.stack(history)
        means = torch.cat((means[:, : len(losses)].mean(0), means[:, len(losses) :].nanmean(0)))
        return dict(zip(figures, means.tolist(), strict=True))

    def _step(self, images: Tensor, targets: Targets, generator: torch.Generator, done: float) -> dict[str, Tensor]:
        images = images.to(self.fabric.device).float() / 255
        plain, targets = turn(images, targets.to(self.fabric.device), generator)
        images = disturb(plain, generator).contiguous(memory_format=torch.channels_last)
        step = Step(self.network, self.average.network, images, plain, targets, done, self.memory)
        with self.fabric.autocast():
            losses = self.method.losses(step)
        self.fabric.backward(torch.stack(list(losses.values())).sum())
        self.fabric.clip_gradients(self.model, self.optimizer, max_norm=10.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.update(self.network)
        return losses

    def _now(self, figures: dict[str, float], part: float) -> dict[str, float]:
        """Return what `progress` is told after this `part` of the epoch."""
        since, first = self.began
        done = self.epoch + part
        left = (time.monotonic() - since) / (done - first) * (self.settings.epochs - done)
        return {"epoch": done, **figures, "learning_rate": self._learning_rate(part), "seconds_left": left}

    def _learning_rate(self, part: float) -> float:
        """Linear warm-up, then half a cosine to 1 % of the rate."""
        settings, now = self.settings, self.epoch + part
        cosine = 0.01 + 0.99 * (1 + math.cos(math.pi * now / settings.epochs)) / 2
        warm = min(now / settings.warm_up, 1.0) if settings.warm_up else 1.0
        return settings.learning_rate * cosine * warm

    def _validate(self, cancelled: Callable[[], bool]) -> dict[str, float]:
        detector = Detector.from_network(self._result(), self.card, self.fabric.device)
        found = [detector.detect(read_image(f.path), LOWEST_SCORE, cancelled=cancelled) for f in self.validation]
        scores = score_detection(found, self.validation)
        readings = score_attributes(found, self.validation, LOWEST_SCORE).values()
        read = [score["macro_f1"] for score in readings if score["cells"]]
        mean = float(np.mean(read)) if read else math.nan
        return {name: scores[name] for name in ("ap50", "ap", "recall", "false_per_field")} | {"macro_f1": mean}

    def _result(self) -> AttriDet:
        """Return what the run would leave if it ended now."""
        network = copy.deepcopy(self.average.network)
        mix(network, self.before, *self.kept)
        return network

    def _keep(self, row: dict[str, float]) -> None:
        network = self._result()
        save(self.out / "last.safetensors", network, self.card)
        fitness = (row["ap50"] + row["ap"]) / 2
        if not (self.selects and fitness <= self.best):
            self.best = fitness
            save(self.out / "best.safetensors", network, self.card)
        state = {
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "method": self.method.state_dict(),
            "updates": self.average.updates,
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "batch": self.batch,
            "best": self.best,
            "settings": self._fixed_settings(),
        }
        with replacing(self.out / STATE) as temporary:
            torch.save(state, temporary)
        first = self.epoch == 1 or not (self.out / "log.csv").exists()
        with (self.out / "log.csv").open("w" if first else "a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if first:
                writer.writeheader()
            writer.writerow({name: f"{value:.5g}" for name, value in row.items()})

    def _fixed_settings(self) -> dict[str, Any]:
        fixed = {name: value for name, value in asdict(self.settings).items() if name not in FREE_TO_CHANGE}
        return fixed | {"init's sha256": self.begun_with, "method": self.method.name} | self.method.options()

    def _restore(self) -> None:
        state = torch.load(self.out / STATE, map_location=self.fabric.device, weights_only=True)
        for name, value in self._fixed_settings().items():
            begun = state["settings"].get(name, value)
            if begun != value:
                raise UserError(f"{self.out} was begun with {name} {begun}, not {value}; resume it with the same.")
        if state["network"].keys() != self.network.state_dict().keys():
            raise UserError(f"{self.out} was begun by another version of bloodfilm: begin anew, in another folder.")
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self.method.load_state_dict(state.get("method", {}))
        self.average.updates = state["updates"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.best = state["epoch"], state["best"]
        self.batch = state.get("batch", self.batch)
