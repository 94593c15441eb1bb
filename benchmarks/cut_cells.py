"""How many cells are found that the edge of their picture cuts.

    python benchmarks/cut_cells.py

Up to two cells of each test field, none of them near an edge, are cut by a new one: at a random side, so that a share
of their box is left in the picture. What is left of the box is the truth; found is what overlaps it by an IoU of 0.5 at
the default score. Prints Markdown.
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


def cut(picture: RGB, box: np.ndarray, side: int, share: float) -> tuple[RGB, np.ndarray] | None:
    """Return the picture and the box with as much of it beyond that side as leaves `share`; None if little is left."""
    low, high = (0, 2) if side % 2 == 0 else (1, 3)
    length = box[high] - box[low]
    limits = np.array([0, 0, *picture.shape[1::-1]])
    limits[side] = round(box[high] - share * length) if side < 2 else round(box[low] + share * length)
    x0, y0, x1, y1 = limits
    part = picture[y0:y1, x0:x1]
    if min(np.divide(part.shape[:2], picture.shape[:2])) < ENOUGH:
        return None
    return np.ascontiguousarray(part), box.clip(limits[[0, 1, 0, 1]], limits[[2, 3, 2, 3]]) - limits[[0, 1, 0, 1]]


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
    cells = list(chosen(read_coco(args.data / f"{args.split}.json")))
    print("| model | " + " | ".join(f"{share:.0%} left" for share in SHARES) + " |")
    print("|---" * (1 + len(SHARES)) + "|")
    for model in args.models:
        detector, shown = Detector(model), []
        for share in SHARES:
            parts = [part for f, box, side in cells if (part := cut(read_image(f.path), box, side, share))]
            hits = [is_found(detector, *part) for part in parts]
            shown.append(f"{np.mean(hits):.3f} of {len(hits)}")
        print(f"| {model} | " + " | ".join(shown) + " |", flush=True)


if __name__ == "__main__":
    main()
