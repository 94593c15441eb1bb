"""Teach a network types and attributes from boxed cells, each cut out once; what it finds stays the very same."""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from bloodfilm.detection.devices import fastest_precision, resolve_device
from bloodfilm.errors import UserError
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.reader import PATCH, VIEWS, CellReader, look, middles
from bloodfilm.training.augment import disturb, turned
from bloodfilm.training.average import Average
from bloodfilm.training.boxed import Boxed
from bloodfilm.training.loop import Report
from bloodfilm.training.losses import reading_loss
from bloodfilm.training.settings import ReadingSettings
from bloodfilm.training.supervised import shaken

REDUCED, SMALLEST = 0.4, 0.35
"""Probability that a disturbed batch is seen at a lower magnification, and the lowest."""

AS_TAKEN = 0.5
"""Probability that a batch is only turned and shaken: what is fine in it can be learned."""


def teach_readings(
    network: AttriDet, cells: Boxed, settings: ReadingSettings | None = None, report: Report | None = None
) -> AttriDet:
    """Return a copy of `network` whose own head, begun anew, has learned types and attributes of `cells`.

    All else stays as it is. Cells are turned and shaken at random, half of the batches also disturbed, some of these
    reduced, both views of a cell alike. `report` is called with ``epoch`` and the mean ``loss`` after each epoch.

    Raises
    ------
    UserError
        If there is no cell.
    """
    if not len(cells.codes):
        raise UserError("No cell of these fields has a type or an attribute: there is nothing to learn.")
    settings = settings or ReadingSettings()
    device = resolve_device(settings.device)
    torch.manual_seed(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    network = copy.deepcopy(network).cpu()
    reader = CellReader(sum(network.outputs)).to(memory_format=torch.channels_last).to(device).train()
    optimizer = torch.optim.AdamW(reader.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    steps = math.ceil(len(cells.codes) / settings.batch)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, epochs=settings.epochs, steps_per_epoch=steps, pct_start=0.1
    )
    average = Average(reader)
    for epoch in range(settings.epochs):
        total = 0.0
        for rows in torch.randperm(len(cells.codes), generator=generator).chunk(steps):
            views = _views(cells.patches[rows].to(device).float() / 255, generator)
            with torch.autocast(device.type, torch.bfloat16, fastest_precision(device) == torch.bfloat16):
                logits = reader.read(views)
            parts = torch.split(logits.float(), network.outputs, 1)
            loss = reading_loss(parts, cells.codes[rows].to(device))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
            rate.step()
            average.update(reader)
            total += float(loss.detach())
        if report:
            report({"epoch": epoch + 1.0, "loss": total / steps})
    network.attributes.load_state_dict(average.network.state_dict())
    return network


def _views(patches: Tensor, generator: torch.Generator) -> list[Tensor]:
    """Return what `CellReader.read` takes of float `patches` (N, 3, 240, 240), each changed at random."""
    count = len(patches)
    patches = turned(patches, *(torch.rand(3, count, generator=generator) < 0.5).to(patches.device))
    chance, reduced, part = torch.rand(3, generator=generator).tolist()
    as_taken = chance < AS_TAKEN
    if not as_taken and reduced < REDUCED:
        small = F.interpolate(patches, scale_factor=SMALLEST**part, mode="bilinear", antialias=True)
        patches = F.interpolate(small, PATCH, mode="bilinear")
    rois = middles(count)
    rois[:, 1:] = shaken(rois[:, 1:])
    rois = rois.to(patches)
    views = [look(patches, rois, side) for side in VIEWS]
    if as_taken:
        return views
    state = generator.get_state()
    for place, view in enumerate(views):
        generator.set_state(state)  # both views changed alike
        views[place] = disturb(view, generator)
    return views
