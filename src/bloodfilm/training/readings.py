"""Teach a network types and attributes from boxed cells, each cut out once; what it finds stays the very same."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bloodfilm.cells import Field
from bloodfilm.detection.devices import fastest_precision, resolve_device
from bloodfilm.errors import UserError
from bloodfilm.io.images import read_image
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.reader import PATCH, VIEWS, CellReader, cut, look, middles
from bloodfilm.review.states import kept
from bloodfilm.training.augment import disturb, turned
from bloodfilm.training.average import Average
from bloodfilm.training.loop import Report
from bloodfilm.training.losses import reading_loss
from bloodfilm.training.settings import ReadingSettings
from bloodfilm.training.supervised import shaken
from bloodfilm.vocabulary import UNKNOWN

REDUCED, SMALLEST = 0.4, 0.35
"""Probability that a disturbed batch is seen at a lower magnification, and the lowest."""

AS_TAKEN = 0.5
"""Probability that a batch is only turned and shaken: what is fine in it can be learned."""


class Boxed(NamedTuple):
    """N labelled cells: what is around each box (N, 3, 240, 240) uint8, the box square in the middle; codes (N, 1 + A).

    The first code is the type, the others are the attributes.
    """

    patches: Tensor
    codes: Tensor


def cut_out(fields: Sequence[Field]) -> Boxed:
    """Cut out the cells whose type or any attribute is known.

    Raises
    ------
    UserError
        If there is none.
    """
    patches, codes = [], []
    for field in fields:
        cells = kept(field.cells)
        known = np.column_stack((cells.codes, cells.attributes))
        rows = (known != UNKNOWN).any(1)
        if not rows.any():
            continue
        patches.append(cut(read_image(field.path), cells.boxes[rows]))
        codes.append(known[rows])
    if not patches:
        raise UserError("No cell of these fields has a type or an attribute: there is nothing to learn.")
    return Boxed(torch.cat(patches), torch.from_numpy(np.concatenate(codes)).long())


def teach_readings(
    network: AttriDet, cells: Boxed, settings: ReadingSettings | None = None, report: Report | None = None
) -> AttriDet:
    """Return a copy of `network` whose own head, begun anew, has learned types and attributes of `cells`.

    All else stays as it is. Cells are turned and shaken at random, half of the batches also disturbed, some of these
    reduced, both views of a cell alike. `report` is called with ``epoch`` and the mean ``loss`` after each epoch.
    """
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
