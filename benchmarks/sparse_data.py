"""Densely labelled fields, whole and with the labels of one random patch only, for `sparse_ladder.py`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from bloodfilm import Cells, Field, read_coco
from bloodfilm.io.coco import write_coco
from bloodfilm.vocabulary import AUXILIARY, UNKNOWN

TILES, SIDE = 3, 640
COMPOSED = {"train": 180, "val": 12, "test": 36}
"""Wide fields composed of the fields of a split; each shows nine, and each is shown several times."""


class Parts(NamedTuple):
    train: list[Field]
    val: list[Field]
    test: list[Field]


def pbc(data: Path) -> Parts:
    """Return TXL-PBC's fields with white cells, red cells and platelets, split by the identity of the field."""
    return Parts(*([f for f in read_coco(data / f"{split}.json") if f.source == "txl-pbc"] for split in Parts._fields))


def wide(data: Path) -> Parts:
    """Return fields composed of 3 x 3 of TXL-PBC's at lower scale: white cells, all with their types."""
    out = data / "wide"
    for split, fields in zip(Parts._fields, pbc(data), strict=True):
        if not (out / f"{split}.json").exists():
            random = np.random.default_rng(len(fields))
            typed = [field for field in fields if len(field.cells) and (field.cells.codes != UNKNOWN).all()]
            (out / split).mkdir(parents=True, exist_ok=True)
            composed = [
                compose([typed[i] for i in random.choice(len(typed), TILES**2, replace=False)], random, out, path)
                for path in (out / split / f"{number}.png" for number in range(COMPOSED[split]))
            ]
            write_coco(out / f"{split}.json", composed)
    return Parts(*(read_coco(out / f"{split}.json") for split in Parts._fields))


SETS = {"pbc": pbc, "wide": wide}


def compose(fields: Sequence[Field], random: np.random.Generator, root: Path, path: Path, side: int = SIDE) -> Field:
    """Write 3 x 3 `fields`, mirrored at random, as one picture of `side` pixels."""
    canvas = Image.new("RGB", (side, side))
    boxes, codes = [], []
    edges = np.linspace(0, side, TILES + 1).round().astype(int).tolist()
    for number, field in enumerate(fields):
        (x0, x1), (y0, y1) = (edges[i : i + 2] for i in (number % TILES, number // TILES))
        with Image.open(field.path) as picture:
            tile = picture.convert("RGB").resize((x1 - x0, y1 - y0), Image.Resampling.LANCZOS)
        own = field.cells.boxes * np.array([(x1 - x0) / field.width, (y1 - y0) / field.height] * 2)
        if random.random() < 0.5:
            tile = tile.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            own[:, [0, 2]] = x1 - x0 - own[:, [2, 0]]
        canvas.paste(tile, (x0, y0))
        boxes.append(own + np.array([x0, y0, x0, y0]))
        codes.append(field.cells.codes)
    canvas.save(path)
    cells = Cells(np.concatenate(boxes), codes=np.concatenate(codes))
    return Field(path, cells, side, side, source="wide", name=path.relative_to(root).as_posix())


def in_patch(field: Field, share: float, seed: int) -> Field:
    """Keep what has its middle in one random rectangle of `share` of the area that holds something, if any does."""
    digest = hashlib.sha256(f"{field.name} {seed}".encode()).digest()
    random = np.random.default_rng(int.from_bytes(digest[:8]))
    everything = np.concatenate((field.cells.boxes, *field.auxiliary.values()))
    for _ in range(100):
        aspect = math.exp(random.uniform(-0.4, 0.4)) if share < 0.6 else 1.0
        size = np.array([field.width * math.sqrt(share * aspect), field.height * math.sqrt(share / aspect)])
        corner = random.uniform(0, np.array([field.width, field.height]) - size)
        region = np.concatenate((corner, corner + size)).astype(np.float32)
        if inside(everything, region).any():
            break
    return replace(
        field,
        cells=field.cells[inside(field.cells.boxes, region)],
        auxiliary={name: boxes[inside(boxes, region)] for name, boxes in field.auxiliary.items()},
        labelled_regions=region[None],
    )


def in_quarters(field: Field) -> Field:
    """Keep all labels, as four regions side by side, a pixel apart."""
    x, y = field.width / 2, field.height / 2
    quarters = [[(x + 1) * i, (y + 1) * j, x * (i + 1), y * (j + 1)] for i in (0, 1) for j in (0, 1)]
    return replace(field, labelled_regions=np.array(quarters, np.float32))


def inside(boxes: np.ndarray, region: np.ndarray) -> np.ndarray:
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    return ((middle > region[:2]) & (middle < region[2:])).all(1)


def classes_of(field: Field, by_type: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return all boxes of a field, and of each its type, or its kind."""
    if by_type:
        return field.cells.boxes, field.cells.codes.astype(int)
    parts = [field.cells.boxes, *(field.auxiliary[name] for name in AUXILIARY)]
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])
