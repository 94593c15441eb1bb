"""How many cells are found that the edge of their picture cuts.

    python benchmarks/cut_cells.py

Up to two cells of each test field, none of them near an edge, are cut by a new one: at a random side, so that a share
of their box is left in the picture; at 115 % they are whole, near the edge. What is left of the box is the truth; found
is what overlaps it by an IoU of 0.5 at the default score. Prints Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torchvision.ops import box_iou

from bloodfilm import Detector, Field, read_coco, read_image
from bloodfilm.io.images import RGB
from recipe import STAGES

SHARES = (0.3, 0.5, 0.7, 1.15)
MOST = 2
"""Cells of one field."""

FREE = 3
"""Pixels to the edge that a cell must have before it is cut."""

ENOUGH = 0.4
"""Share of its width and height that a picture must keep."""


def chosen(fields: list[Field]) -> Iterator[tuple[Field, np.ndarray, int]]:
    """Yield fields, boxes (4,), and from 0 to 3 the side (left, upper, right, lower) at which the box is cut."""
    random = np.random.default_rng(0)
    for field in fields:
        room = np.column_stack((field.cells.boxes[:, :2], [field.width, field.height] - field.cells.boxes[:, 2:]))
        for row in random.permutation(np.flatnonzero(room.min(1) > FREE))[:MOST]:
            yield field, field.cells.boxes[row], int(random.integers(4))


def limits(field: Field, box: np.ndarray, side: int, share: float) -> np.ndarray | None:
    """Return the part (4,) of the field with `share` of the box; None if the edge would not be new, or little left."""
    low, high = side % 2, side % 2 + 2
    length = box[high] - box[low]
    whole = np.array([0, 0, field.width, field.height])
    part = whole.copy()
    part[side] = round(box[high] - share * length) if side < 2 else round(box[low] + share * length)
    kept = (part[high] - part[low]) / whole[high]
    return part if ENOUGH <= kept < 1 else None


def cut(picture: RGB, box: np.ndarray, part: np.ndarray) -> tuple[RGB, np.ndarray]:
    """Return the part of the picture, and what it shows of the box."""
    x0, y0, x1, y1 = part
    inside = box.clip([x0, y0, x0, y0], [x1, y1, x1, y1]) - [x0, y0, x0, y0]
    return np.ascontiguousarray(picture[y0:y1, x0:x1]), inside


def is_found(detector: Detector, picture: RGB, box: np.ndarray) -> bool:
    boxes = torch.from_numpy(detector.detect(picture).boxes)
    overlaps = box_iou(torch.from_numpy(box[None]).to(boxes), boxes)
    return bool((overlaps >= 0.5).any())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--split", default="test")
    parser.add_argument("--models", nargs="+", default=list(STAGES))
    args = parser.parse_args()
    cells = []
    for field, box, side in chosen(read_coco(args.data / f"{args.split}.json")):
        parts = [limits(field, box, side, share) for share in SHARES]
        if all(part is not None for part in parts):
            cells.append((field, box, parts))
    print(f"{len(cells)} cells\n")
    print("| model | " + " | ".join(f"{share:.0%} left" for share in SHARES) + " |")
    print("|---" * (1 + len(SHARES)) + "|")
    for model in args.models:
        detector, shown = Detector(model), []
        for place in range(len(SHARES)):
            hits = [is_found(detector, *cut(read_image(f.path), box, parts[place])) for f, box, parts in cells]
            shown.append(f"{np.mean(hits):.3f}")
        print(f"| {model} | " + " | ".join(shown) + " |", flush=True)


if __name__ == "__main__":
    main()
