"""Which attribute head reads best? Designs on the same frozen detector, by macro-F1 on WBCAtt's validation cells.

    python benchmarks/heads.py

Every design sees the same cells, turned, restained and magnified alike. What it reads from, maps of the detector or the
picture, is cut once and kept, so only the heads are trained. Prints Markdown; ``test`` is told of all, but nothing is
chosen by it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

import sources
from bloodfilm import LLD, Field, read_coco
from bloodfilm.evaluation.attributes import macro_f1
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import load
from bloodfilm.nets.reader import VIEWS, CellReader, look
from bloodfilm.training.augment import disturb, turn
from bloodfilm.training.data import FieldDataset
from bloodfilm.training.labels import collate
from bloodfilm.training.losses import reading_loss
from train_shipped import box_crops

STRIDES = (4, 8, 16, 32)
LAYERS = (1, 4, 6, 9)
VERSIONS, EPOCHS, BATCH = 6, 20, 64
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Maps:
    """Regions of so many rows and columns on so many levels of the detector."""

    name: str
    region: tuple[int, int]
    levels: int

    def cut(self, images: Tensor, levels: list[Tensor], rois: Tensor) -> Tensor:
        regions = [
            roi_align(level, rois, self.region, 1 / stride, sampling_ratio=2, aligned=True)
            for level, stride in zip(levels[: self.levels], STRIDES, strict=False)
        ]
        return torch.cat(regions, 1)

    def head(self, channels: int, outputs: int) -> nn.Module:
        return Head(self.region, channels, outputs)


@dataclass(frozen=True)
class Views:
    """Views of the picture, of boxes made so much larger."""

    name: str
    sides: tuple[float, ...]

    def cut(self, images: Tensor, levels: list[Tensor], rois: Tensor) -> Tensor:
        return torch.cat([look(images, rois, side) for side in self.sides], 1)

    def head(self, channels: int, outputs: int) -> nn.Module:
        return PictureHead(outputs, views=self.sides)


DESIGNS = (
    Maps("maps, 24 x 30 at strides 4 and 8 (published)", (24, 30), 2),
    Maps("maps, 12 x 12 at strides 4 to 16", (12, 12), 3),
    Maps("maps, 8 x 8 at strides 4 to 32", (8, 8), 4),
    Views("picture, box 1.2 times", (1.2,)),
    Views("picture, box 3 times", (3.0,)),
    Views("**picture, box 1.2 and 3 times**", VIEWS),
)


class Head(nn.Module):
    """Convolutions and poolings down to about 3 x 3, then three linear layers, as in `bloodfilm.nets.attributes`."""

    def __init__(self, region: tuple[int, int], channels: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in (128, 64, 64):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(0.01)]
            if min(region) >= 6:
                layers.append(nn.MaxPool2d(2))
                region = (region[0] // 2, region[1] // 2)
            channels = width
        self.maps = nn.Sequential(*layers, nn.Flatten())
        first = 64 * region[0] * region[1]
        self.rest = nn.Sequential(
            nn.Dropout(), nn.Linear(first, 1024), nn.LeakyReLU(0.01),
            nn.Dropout(), nn.Linear(1024, 256), nn.LeakyReLU(0.01),
            nn.Dropout(), nn.Linear(256, outputs),
        )  # fmt: skip

    def forward(self, regions: Tensor) -> Tensor:
        return self.rest(self.maps(regions))  # type: ignore[no-any-return]


class PictureHead(CellReader):
    """The head that ships, given its views side by side as channels."""

    def forward(self, regions: Tensor) -> Tensor:
        return self.read(regions.split(3, 1))


@dataclass
class Cut:
    """Regions (N, C, H, W) of N cells and their codes (N, 8)."""

    regions: Tensor
    codes: Tensor


def maps(network: AttriDet, images: Tensor) -> list[Tensor]:
    found, x = [], images
    for index, layer in enumerate(network.detector.model[: LAYERS[-1] + 1]):
        x = layer(x)
        if index in LAYERS:
            found.append(x.float())
    return found


def batches(fields: list[Field], image_size: int, changed: bool) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield images, boxes with their image (K, 5), and codes (K, 8) of the cells whose attributes are known."""
    data = FieldDataset(fields, image_size, mosaic=0.0, scale=(0.7, 1.4) if changed else (1.0, 1.0))
    generator = torch.Generator().manual_seed(0)
    for data.epoch in range(VERSIONS if changed else 1):
        for first in range(0, len(data), 16):
            images, targets = collate([data[row] for row in range(first, min(first + 16, len(data)))])
            images = images.float() / 255
            if changed:
                images, targets = turn(images, targets, generator)
                images = disturb(images, generator)
            known = (targets.codes[:, 1:] >= 0).any(1)
            yield images, torch.cat((targets.image[:, None].float(), targets.boxes), 1)[known], targets.codes[known]


@torch.no_grad()
def cut(network: AttriDet, fields: list[Field], image_size: int, changed: bool) -> dict[str, Cut]:
    parts: dict[str, list[tuple[Tensor, Tensor]]] = {design.name: [] for design in DESIGNS}
    for images, rois, codes in batches(fields, image_size, changed):
        levels = maps(network, images)
        for design in DESIGNS:
            parts[design.name].append((design.cut(images, levels, rois).bfloat16(), codes))
    return {name: Cut(*map(torch.cat, zip(*part, strict=True))) for name, part in parts.items()}


def learn(design: Maps | Views, data: Cut, outputs: list[int], seed: int) -> nn.Module:
    torch.manual_seed(seed)
    head = design.head(data.regions.shape[1], sum(outputs))
    optimizer = torch.optim.AdamW(head.parameters(), 1e-3, weight_decay=0.02)
    steps = EPOCHS * (len(data.codes) // BATCH // VERSIONS)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(data.codes), (BATCH,))
        with torch.autocast("cpu", torch.bfloat16):
            logits = head(data.regions[rows].float())
        reading_loss(torch.split(logits.float(), outputs, 1), data.codes[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return head.eval()


@torch.inference_mode()
def scores(head: nn.Module, data: Cut, outputs: list[int]) -> np.ndarray:
    """Return the macro-F1 of the type and of each attribute, NaN where none is known."""
    logits = torch.cat([head(part.float()) for part in data.regions.split(100)])
    said = [part.argmax(1).numpy() for part in torch.split(logits, outputs, 1)]
    return np.array([macro_f1(each, true) for each, true in zip(said, data.codes.T.numpy(), strict=True)])


def milliseconds(head: nn.Module, data: Cut) -> float:
    """Return the time for 100 cells, without cutting their regions."""
    begin = time.perf_counter()
    with torch.inference_mode():
        for _ in range(5):
            head(data.regions[:100].float())
    return 200 * (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--out", type=Path, default=Path("build/wbc-n"))
    parser.add_argument("--detector", default="wbc-n")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    args = parser.parse_args()
    if not (args.data / "train.json").exists():
        sources.write(args.data)
    network, card = load(args.detector)
    data = {}
    for split in ("train", "val", "test"):
        fields = [f for f in read_coco(args.data / f"{split}.json") if (f.cells.attributes >= 0).any()]
        fields += read_coco(box_crops(args.data, args.detector, split, args.out))
        data[split] = cut(network, fields, card.image_size, split == "train")
    names = ("type", *LLD.attribute_names)
    print(f"| design | mean, validation | mean, test | {' | '.join(names)} | ms per 100 cells |")
    print("|---" * (len(names) + 4) + "|")
    for design in DESIGNS:
        heads = [learn(design, data["train"][design.name], network.outputs, seed) for seed in args.seeds]
        val, test = (
            np.array([scores(head, data[split][design.name], network.outputs) for head in heads])
            for split in ("val", "test")
        )
        each = " | ".join("" if np.isnan(v).all() else f"{v.mean():.3f}" for v in test.T)
        cost = milliseconds(heads[0], data["test"][design.name])
        print(f"| {design.name} | {np.nanmean(val):.3f} | {np.nanmean(test):.3f} | {each} | {cost:.1f} |", flush=True)


if __name__ == "__main__":
    main()
