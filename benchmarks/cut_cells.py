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

import sources
from bloodfilm import Cells, Detector, Field, read_coco, read_image
from bloodfilm.evaluation.detection import score_detection
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


def find(detector: Detector, field: Field, box: np.ndarray, parts: list[np.ndarray]) -> list[float]:
    """Return for each part of the field 1 if what it shows of the box is found there, else 0."""
    picture, found = read_image(field.path), []
    for x0, y0, x1, y1 in parts:
        left = box.clip([x0, y0, x0, y0], [x1, y1, x1, y1]) - [x0, y0, x0, y0]
        truth = Field(field.path, Cells(left[None]), x1 - x0, y1 - y0)
        cells = detector.detect(np.ascontiguousarray(picture[y0:y1, x0:x1]))
        found.append(score_detection([cells], [truth])["recall"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--split", default="test")
    parser.add_argument("--models", nargs="+", default=list(STAGES))
    args = parser.parse_args()
    if not (args.data / f"{args.split}.json").exists():
        sources.write(args.data)
    cells = []
    for field, box, side in chosen(read_coco(args.data / f"{args.split}.json")):
        parts = [limits(field, box, side, share) for share in SHARES]
        if all(part is not None for part in parts):
            cells.append((field, box, parts))
    print(f"{len(cells)} cells\n")
    print("| model | " + " | ".join(f"{share:.0%} left" for share in SHARES) + " |")
    print("|---" * (1 + len(SHARES)) + "|")
    for model in args.models:
        detector = Detector(model)
        shares = np.mean([find(detector, *cell) for cell in cells], axis=0)
        print(f"| {model} | " + " | ".join(f"{share:.3f}" for share in shares) + " |", flush=True)


if __name__ == "__main__":
    main()
