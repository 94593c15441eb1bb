"""Which attribute head reads best? Designs beside the same detector, by macro-F1 on WBCAtt's cells, and what they cost.

    python benchmarks/heads.py

Every design learns from the same cells, cut out of their pictures, turned, half of them as other microscopes would show
them. A box has 67 px of such a piece, about what the detector searches at. Heads read the maps that the detector makes
of the piece's middle, or the piece itself. None has the convolutions for details, which drawn vacuoles teach
beforehand. Prints Markdown. Compare on validation cells; test is told, too.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

import sources
from bloodfilm import LLD, read_coco
from bloodfilm.evaluation.attributes import macro_f1
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import load
from bloodfilm.nets.reader import PATCH, VIEWS, CellReader, middles
from bloodfilm.training.augment import disturb, turned
from bloodfilm.training.average import Average
from bloodfilm.training.boxed import Boxed, cut_out
from bloodfilm.training.losses import reading_loss
from bloodfilm.training.supervised import shaken
from recipe import named
from train_shipped import box_crops

LAYERS = {1: 4, 4: 8, 6: 16, 9: 32}
"""Layers of the detector whose maps a head may read, and their strides."""

EDGE = 40
"""Pixels of a piece that the detector is not shown on each side: 160 are left, a multiple of all strides."""

VERSIONS, EPOCHS, BATCH, RATE = 6, 16, 64, 2e-3


class MapHead(nn.Module):
    """AttriDet's head, of regions of so many rows and columns on the first `levels` maps of the detector.

    With `learning` its gradient reaches the layers that make these maps, which are a copy.
    """

    def __init__(self, network: AttriDet, region: tuple[int, int], levels: int, learning: bool = False) -> None:
        super().__init__()
        self.region = region
        self.layers = copy.deepcopy(network.detector.model[: list(LAYERS)[levels - 1] + 1]).requires_grad_(learning)
        channels = sum(level.shape[1] for level in self.eval().maps(torch.zeros(1, 3, PATCH, PATCH)))
        convolutions: list[nn.Module] = []
        rows, columns = region
        for width in (128, 64, 64):
            convolutions += [nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(0.01)]
            if min(rows, columns) >= 6:
                convolutions.append(nn.MaxPool2d(2))
                rows, columns = rows // 2, columns // 2
            channels = width
        self.head = nn.Sequential(
            *convolutions, nn.Flatten(),
            nn.Dropout(), nn.Linear(64 * rows * columns, 1024), nn.LeakyReLU(0.01),
            nn.Dropout(), nn.Linear(1024, 256), nn.LeakyReLU(0.01),
            nn.Dropout(), nn.Linear(256, sum(network.outputs)),
        )  # fmt: skip

    def train(self, mode: bool = True) -> MapHead:
        super().train(mode)
        self.layers.eval()  # batch statistics stay those of whole pictures
        return self

    def maps(self, pieces: Tensor) -> list[Tensor]:
        images, found = pieces[:, :, EDGE:-EDGE, EDGE:-EDGE], []
        for index, layer in enumerate(self.layers):
            images = layer(images)
            if index in LAYERS:
                found.append(images)
        return found

    def read(self, maps: list[Tensor], rois: Tensor) -> Tensor:
        shown = rois - rois.new_tensor([0, EDGE, EDGE, EDGE, EDGE])
        regions = [
            roi_align(level.float(), shown, self.region, 1 / stride, sampling_ratio=2, aligned=True)
            for level, stride in zip(maps, LAYERS.values(), strict=False)
        ]
        return self.head(torch.cat(regions, 1))  # type: ignore[no-any-return]

    def forward(self, pieces: Tensor, rois: Tensor) -> Tensor:
        return self.read(self.maps(pieces), rois)


Design = Callable[[AttriDet], nn.Module]
DESIGNS: dict[str, Design] = {
    "maps, 24 x 30 at strides 4 and 8 (published)": lambda network: MapHead(network, (24, 30), 2),
    "the same, its gradient reaching the backbone": lambda network: MapHead(network, (24, 30), 2, learning=True),
    "maps, 12 x 12 at strides 4 to 16": lambda network: MapHead(network, (12, 12), 3),
    "maps, 8 x 8 at strides 4 to 32": lambda network: MapHead(network, (8, 8), 4),
    "picture, box 1.2 times": lambda network: CellReader(sum(network.outputs), views=(1.2,), details=False),
    "picture, box 3 times": lambda network: CellReader(sum(network.outputs), views=(3.0,), details=False),
    "**picture, box 1.2 and 3 times**": lambda network: CellReader(sum(network.outputs), views=VIEWS, details=False),
}


def changed(cells: Boxed, generator: torch.Generator) -> Boxed:
    """Return each cell in several versions, one after the other, all turned and half of them disturbed."""
    parts = []
    for number in range(VERSIONS):
        for part in cells.patches.split(BATCH):
            part = turned(part, *(torch.rand(3, len(part), generator=generator) < 0.5))
            if number % 2:
                part = (255 * disturb(part.float() / 255, generator)).round().byte()
            parts.append(part)
    return Boxed(torch.cat(parts), cells.codes.repeat(VERSIONS, 1))


def learn(head: nn.Module, cells: Boxed, outputs: list[int], seed: int) -> nn.Module:
    """Return the average of `head` while it learns; layers that it shares with the detector a tenth as fast."""
    generator = torch.Generator().manual_seed(seed)
    named_parts = [(name, part) for name, part in head.named_parameters() if part.requires_grad]
    shared, own = ([part for name, part in named_parts if name.startswith("layers") == of] for of in (True, False))
    groups = [{"params": part, "lr": rate} for part, rate in ((shared, RATE / 10), (own, RATE)) if part]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.05)
    steps = EPOCHS * len(cells.codes) // VERSIONS // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in groups], total_steps=steps, pct_start=0.1
    )
    average = Average(head)
    head.train()
    for _ in range(steps):
        rows = torch.randint(len(cells.codes), (BATCH,), generator=generator)
        rois = middles(BATCH)
        rois[:, 1:] = shaken(rois[:, 1:])
        with torch.autocast("cpu", torch.bfloat16):
            logits = head(cells.patches[rows].float() / 255, rois)
        reading_loss(torch.split(logits.float(), outputs, 1), cells.codes[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        average.update(head)
    return average.network


@torch.inference_mode()
def scores(head: nn.Module, cells: Boxed, outputs: list[int]) -> np.ndarray:
    """Return the macro-F1 of the type and of each attribute, NaN where none is known."""
    logits = torch.cat([head(part.float() / 255, middles(len(part))) for part in cells.patches.split(BATCH)])
    said = [part.argmax(1).numpy() for part in torch.split(logits, outputs, 1)]
    return np.array([macro_f1(each, true) for each, true in zip(said, cells.codes.T.numpy(), strict=True)])


@torch.inference_mode()
def milliseconds(head: nn.Module, patches: Tensor) -> float:
    """Return the time of 100 cells, maps and pieces given."""
    images, rois = patches[:100].float() / 255, middles(100)
    seen = head.maps(images) if isinstance(head, MapHead) else images
    read = head.read if isinstance(head, MapHead) else head
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        read(seen, rois)
        times.append(time.perf_counter() - begin)
    return 1000 * float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--out", type=Path, default=Path("build/wbc-n"))
    parser.add_argument("--detector", default="wbc-n")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = parser.parse_args()
    if not (args.data / "train.json").exists():
        sources.write(args.data)
    network, _ = load(args.detector)
    network.eval()
    cells = {}
    for split in ("train", "val", "test"):
        crops = read_coco(box_crops(args.data, args.detector, split, args.out))
        cells[split] = cut_out(named(read_coco(args.data / f"{split}.json")) + crops)
    cells["train"] = changed(cells["train"], torch.Generator().manual_seed(0))
    names = ("type", *LLD.attribute_names)
    print(f"| design | mean, validation | mean, test | {' | '.join(names)} | ms per 100 cells |")
    print("|---" * (len(names) + 4) + "|")
    for name, design in DESIGNS.items():
        rows, cost = [], []
        for seed in args.seeds:
            torch.manual_seed(seed)
            head = learn(design(network), cells["train"], network.outputs, seed)
            rows.append([scores(head, cells[split], network.outputs) for split in ("val", "test")])
            cost.append(milliseconds(head, cells["test"].patches))
        val, test = np.swapaxes(rows, 0, 1)
        each = " | ".join("" if np.isnan(v).all() else f"{v.mean():.3f}" for v in test.T)
        print(f"| {name} | {np.nanmean(val):.3f} | {np.nanmean(test):.3f} | {each} | {min(cost):.1f} |", flush=True)


if __name__ == "__main__":
    main()
