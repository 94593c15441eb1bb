"""Teach a network what it sees in cells that are cut out, each once: their readings, and their boxes."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import complete_box_iou_loss

from bloodfilm.detection.devices import fastest_precision, resolve_device
from bloodfilm.errors import UserError
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.reader import PATCH, VIEWS, CellReader, CloseUp, look, middles
from bloodfilm.nets.refiner import BoxRefiner, moved
from bloodfilm.training.augment import disturb, turned
from bloodfilm.training.average import Average
from bloodfilm.training.boxed import Boxed
from bloodfilm.training.loop import Report
from bloodfilm.training.losses import reading_loss
from bloodfilm.training.settings import HeadSettings
from bloodfilm.training.supervised import shaken
from bloodfilm.training.vacuoles import vacuolated

REDUCED, SMALLEST = 0.4, 0.35
"""Probability that a disturbed batch is seen at a lower magnification, and the lowest."""

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Of what a head says (K, ...) of K cells, where it saw their boxes (K, 4), and their codes."""


def teach_readings(
    network: AttriDet, cells: Boxed, settings: HeadSettings | None = None, report: Report | None = None
) -> AttriDet:
    """Return a copy of `network` whose own head, begun anew, has learned types and attributes of `cells`.

    All else stays as it is. Cells are turned and shaken at random, batches that are not to be as taken also disturbed,
    some of these reduced, both views of a cell alike. Before that, and for as many epochs, convolutions for details
    learn to tell cells with vacuoles, real or drawn, from those without: real ones are few, and mostly in monocytes, by
    which they would be guessed. `report` is called with ``epoch`` and the mean ``loss`` after each epoch of both.

    Raises
    ------
    UserError
        If there is no cell, or the head is not our own.
    """
    if not len(cells.codes):
        raise UserError("No cell of these fields has a type or an attribute: there is nothing to learn.")

    def loss(logits: Tensor, seen: Tensor, codes: Tensor) -> Tensor:
        return reading_loss(torch.split(logits, network.outputs, 1), codes)

    def with_details() -> CellReader:
        reader = CellReader(sum(network.outputs))
        if details:
            reader.get_submodule("details").load_state_dict(details.get_submodule("views.0").state_dict())
        return reader

    network, settings = _own(network), settings or HeadSettings()
    details = _vacuole_finder(vacuolated(cells, network.vocabulary, settings.seed), settings, report)
    taught = _taught(with_details, cells, loss, settings, report)
    network.attributes.load_state_dict(taught.state_dict())
    return network


def _vacuole_finder(cells: Boxed, settings: HeadSettings, report: Report | None) -> CloseUp | None:
    """Return a reader of one view that has learned to tell codes 0 and 1 of `cells`, None if there are not both.

    It sees them as they were taken: what is small is lost by imitated microscopes.
    """
    if len(set(cells.codes.tolist())) < 2:
        return None

    def loss(logits: Tensor, seen: Tensor, codes: Tensor) -> Tensor:
        return F.cross_entropy(logits, codes)

    settings = replace(settings, as_taken=1.0)
    return _taught(lambda: CellReader(2, views=VIEWS[:1], details=False), cells, loss, settings, report)


def teach_boxes(
    network: AttriDet, cells: Boxed, settings: HeadSettings | None = None, report: Report | None = None
) -> AttriDet:
    """Return a copy of `network` whose refiner, begun anew, has learned the boxes of `cells` from shaken ones.

    Arguments and errors are those of `teach_readings`; codes are of no use.
    """
    if not len(cells.codes):
        raise UserError("These fields have no cell: there is nothing to learn.")

    def loss(moves: Tensor, seen: Tensor, codes: Tensor) -> Tensor:
        true = middles(len(seen))[:, 1:].to(seen)
        return complete_box_iou_loss(moved(seen, moves), true, "mean")  # type: ignore[no-any-return]

    network = _own(network)
    taught = _taught(BoxRefiner, cells, loss, settings or HeadSettings(), report)
    network.refiner.load_state_dict(taught.state_dict())
    return network


def _own(network: AttriDet) -> AttriDet:
    """Return a copy of `network` in memory; raise `UserError` if it does not look at cells in the picture."""
    if network.head != "own":
        raise UserError("This model is an imported one, whose head reads the detector's maps: cells teach it nothing.")
    return copy.deepcopy(network).cpu()


def _taught(
    begin: Callable[[], CloseUp],
    cells: Boxed,
    loss: Loss,
    settings: HeadSettings,
    report: Report | None,
) -> CloseUp:
    """Return the average of the head that `begin` gives, while it learns."""
    device = resolve_device(settings.device)
    torch.manual_seed(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    head = begin().to(memory_format=torch.channels_last).to(device).train()
    optimizer = torch.optim.AdamW(head.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    steps = math.ceil(len(cells.codes) / settings.batch)
    in_all = steps * settings.epochs
    rising = min(max(0.1, 1.5 / in_all), 0.9)  # the scheduler divides by 0 if that is a single step
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, in_all, pct_start=rising)
    average = Average(head)
    for epoch in range(settings.epochs):
        total = 0.0
        for rows in torch.randperm(len(cells.codes), generator=generator).chunk(steps):
            patches = cells.patches[rows].to(device).float() / 255
            views, seen = _views(patches, head.sides, settings.as_taken, generator)
            with torch.autocast(device.type, torch.bfloat16, fastest_precision(device) == torch.bfloat16):
                said = head.read(views)
            missed = loss(said.float(), seen, cells.codes[rows].to(device))
            missed.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
            rate.step()
            average.update(head)
            total += float(missed.detach())
        if report:
            report({"epoch": epoch + 1.0, "loss": total / steps})
    return average.network


def _views(
    patches: Tensor, sides: tuple[float, ...], as_taken: float, generator: torch.Generator
) -> tuple[list[Tensor], Tensor]:
    """Return what a head that looks `sides` wide reads of float `patches` (N, 3, 240, 240), each changed at random.

    And the boxes (N, 4) by which it looks, shaken. All are only turned and shaken with the probability `as_taken`.
    """
    count = len(patches)
    patches = turned(patches, *(torch.rand(3, count, generator=generator) < 0.5).to(patches.device))
    chance, reduced, part = torch.rand(3, generator=generator).tolist()
    imitated = chance >= as_taken
    if imitated and reduced < REDUCED:
        small = F.interpolate(patches, scale_factor=SMALLEST**part, mode="bilinear", antialias=True)
        patches = F.interpolate(small, PATCH, mode="bilinear")
    rois = middles(count)
    rois[:, 1:] = shaken(rois[:, 1:])
    rois = rois.to(patches)
    views = [look(patches, rois, side) for side in sides]
    if imitated:
        state = generator.get_state()
        for place, view in enumerate(views):
            generator.set_state(state)  # all views changed alike
            views[place] = disturb(view, generator)
    return views, rois[:, 1:]
