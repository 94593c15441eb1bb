"""Which attribute head reads best? Designs on the same frozen detector, by macro-F1 on WBCAtt's validation cells.

    python benchmarks/train_shipped.py wbc-n
    python benchmarks/heads.py

Every design sees the same cells, turned, restained and magnified alike. The regions are cut once and kept, so only the
heads are trained. Prints Markdown; ``test`` is told of all, but nothing is chosen by it.
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
class Design:
    """Regions of so many rows and columns on so many levels, of boxes made so much larger."""

    name: str
    region: tuple[int, int]
    levels: int
    context: float = 1.0
    with_size: bool = False


DESIGNS = (
    Design("24 x 30, strides 4 and 8 (published)", (24, 30), 2),
    Design("24 x 24, strides 4 and 8", (24, 24), 2),
    Design("24 x 24, strides 4 and 8, box 1.5 times", (24, 24), 2, 1.5),
    Design("24 x 24, strides 4 and 8, with the box's size", (24, 24), 2, with_size=True),
    Design("12 x 12, strides 4 to 16", (12, 12), 3),
    Design("8 x 8, strides 4 to 32", (8, 8), 4),
)


class Head(nn.Module):
    """Convolutions and poolings down to about 3 x 3, then three linear layers, as in `bloodfilm.nets.attributes`."""

    def __init__(self, design: Design, channels: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        region = design.region
        for width in (128, 64, 64):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(0.01)]
            if min(region) >= 6:
                layers.append(nn.MaxPool2d(2))
                region = (region[0] // 2, region[1] // 2)
            channels = width
        self.maps = nn.Sequential(*layers, nn.Flatten())
        first = 64 * region[0] * region[1] + design.with_size
        self.rest = nn.Sequential(
            nn.Dropout(), nn.Linear(first, 1024), nn.LeakyReLU(0.01),
            nn.Dropout(), nn.Linear(1024, 256), nn.LeakyReLU(0.01),
            nn.Dropout(), nn.Linear(256, outputs),
        )  # fmt: skip
        self.with_size = design.with_size

    def forward(self, regions: Tensor, sizes: Tensor) -> Tensor:
        x = self.maps(regions)
        return self.rest(torch.cat((x, sizes), 1) if self.with_size else x)


@dataclass
class Cut:
    """Regions (N, C, H, W) of N cells, logarithms of their sizes (N, 1), and their codes (N, 8)."""

    regions: Tensor
    sizes: Tensor
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
    parts: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {design.name: [] for design in DESIGNS}
    for images, rois, codes in batches(fields, image_size, changed):
        levels = maps(network, images)
        sizes = (rois[:, 3:] - rois[:, 1:3]).prod(1, keepdim=True).sqrt().log() - 4.5
        for design in DESIGNS:
            middle, half = (rois[:, 1:3] + rois[:, 3:]) / 2, (rois[:, 3:] - rois[:, 1:3]) / 2 * design.context
            boxes = torch.cat((rois[:, :1], middle - half, middle + half), 1)
            regions = [
                roi_align(level, boxes, design.region, 1 / stride, sampling_ratio=2, aligned=True)
                for level, stride in zip(levels[: design.levels], STRIDES, strict=False)
            ]
            parts[design.name].append((torch.cat(regions, 1).bfloat16(), sizes, codes))
    return {name: Cut(*map(torch.cat, zip(*part, strict=True))) for name, part in parts.items()}


def learn(design: Design, data: Cut, outputs: list[int], seed: int) -> Head:
    torch.manual_seed(seed)
    head = Head(design, data.regions.shape[1], sum(outputs))
    optimizer = torch.optim.AdamW(head.parameters(), 1e-3, weight_decay=0.02)
    steps = EPOCHS * (len(data.codes) // BATCH // VERSIONS)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(data.codes), (BATCH,))
        with torch.autocast("cpu", torch.bfloat16):
            logits = head(data.regions[rows], data.sizes[rows])
        reading_loss(torch.split(logits.float(), outputs, 1), data.codes[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return head.eval()


@torch.inference_mode()
def scores(head: Head, data: Cut, outputs: list[int]) -> np.ndarray:
    """Return the macro-F1 of the type and of each attribute, NaN where none is known."""
    logits = head(data.regions.float(), data.sizes)
    said = [part.argmax(1).numpy() for part in torch.split(logits, outputs, 1)]
    return np.array([macro_f1(each, true) for each, true in zip(said, data.codes.T.numpy(), strict=True)])


def milliseconds(head: Head, data: Cut) -> float:
    """Return the time for 100 cells, without cutting their regions."""
    begin = time.perf_counter()
    with torch.inference_mode():
        for _ in range(5):
            head(data.regions[:100].float(), data.sizes[:100])
    return 200 * (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--run", type=Path, default=Path("build/wbc-n"))
    args = parser.parse_args()
    if not (args.data / "train.json").exists():
        sources.write(args.data)
    detector = args.run / "microscopes" / "last.safetensors"
    network, card = load(detector)
    data = {}
    for split in ("train", "val", "test"):
        fields = [f for f in read_coco(args.data / f"{split}.json") if (f.cells.attributes >= 0).any()]
        fields += read_coco(box_crops(args.data, detector, split, args.run))
        data[split] = cut(network, fields, card.image_size, split == "train")
    names = ("type", *LLD.attribute_names)
    print(f"| design | mean, validation | mean, test | {' | '.join(names)} | ms per 100 cells |")
    print("|---" * (len(names) + 4) + "|")
    for design in DESIGNS:
        heads = [learn(design, data["train"][design.name], network.outputs, seed) for seed in SEEDS]
        val, test = (
            np.array([scores(head, data[split][design.name], network.outputs) for head in heads])
            for split in ("val", "test")
        )
        each = " | ".join("" if np.isnan(v).all() else f"{v.mean():.3f}" for v in test.T)
        cost = milliseconds(heads[0], data["test"][design.name])
        print(f"| {design.name} | {np.nanmean(val):.3f} | {np.nanmean(test):.3f} | {each} | {cost:.1f} |", flush=True)


if __name__ == "__main__":
    main()
