"""The same film at 100x and at 40x: AttriDet on full labels against SLA-Det on a fifth of them.

    python benchmarks/forty_times.py

A film of 40x pictures, each composed of 3 x 3 of TXL-PBC's fields and reduced to 0.4, and the same fields as they are,
at 100x. Both networks see as many pictures in training and are tested on the same cells; the time is that of searching
the same area of film, in turns, by median. Prints Markdown. A training that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import sources
from bloodfilm import Cells, Detector, Field, read_image
from bloodfilm.detection.detector import LOWEST_SCORE
from bloodfilm.evaluation.detection import score_detection
from bloodfilm.io.coco import read_coco, write_coco
from bloodfilm.io.images import RGB
from bloodfilm.training.loop import STATE, train
from bloodfilm.training.method import Method
from bloodfilm.training.settings import Settings
from bloodfilm.training.sparse import Sparse
from sparse_data import TILES, Parts, compose, in_patch, pbc

UM_PER_PX = 0.095
"""Of TXL-PBC's fields, by their red cells (`ruler.py`)."""

SIDE = round(0.4 * TILES * 360)
FILMS = {"train": 120, "val": 8, "test": 24}
SETTINGS = Settings(image_size=352, batch=8, learning_rate=1.5e-3, device="cpu", scale=(0.7, 1.4))
LOW = replace(SETTINGS, image_size=SIDE // 32 * 32)


def films(parts: Parts, out: Path) -> tuple[Parts, Parts]:
    """Return the fields at 100x, and the same at 40x, nine to a picture; of each split, white cells only."""
    high, low = [], []
    for split, fields in zip(Parts._fields, parts, strict=True):
        random = np.random.default_rng(len(fields))
        fields = [replace(field, auxiliary={}, complete=frozenset()) for field in fields]
        chosen = [[fields[i] for i in random.choice(len(fields), TILES**2, False)] for _ in range(FILMS[split])]
        (out / split).mkdir(parents=True, exist_ok=True)
        if not (out / f"{split}.json").exists():
            paths = [out / split / f"{number}.png" for number in range(FILMS[split])]
            composed = [compose(nine, random, out, path, SIDE) for nine, path in zip(chosen, paths, strict=True)]
            write_coco(out / f"{split}.json", composed)
        low.append(read_coco(out / f"{split}.json"))
        high.append(fields if split == "train" else [field for nine in chosen for field in nine])
    return Parts(*high), Parts(*low)


def learn(fields: list[Field], held: list[Field], out: Path, settings: Settings, method: Method | None) -> Detector:
    train(fields, held, out, settings, (out / STATE).exists(), method=method)
    return Detector(out / "last.safetensors", settings.device)


def search(detector: Detector, pictures: Sequence[RGB]) -> tuple[list[Cells], float]:
    """Return what is found, and the seconds that it takes with the pictures in memory."""
    began = time.perf_counter()
    found = [detector.detect(picture, LOWEST_SCORE) for picture in pictures]
    return found, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--out", type=Path, default=Path("build/forty-times"))
    parser.add_argument("--pictures", type=int, default=3000, help="Pictures seen in each training.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    if not (args.data / "train.json").exists():
        sources.write(args.data)
    high, low = films(pbc(args.data), args.out / "films")
    sparse = [in_patch(field, 0.2, args.seed) for field in low.train]
    runs = {
        "AttriDet at 100x": (high, high.train, SETTINGS, None),
        "SLA-Det at 40x": (low, sparse, LOW, Sparse()),
    }
    detectors, pictures = {}, {}
    for name, (parts, fields, settings, method) in runs.items():
        settings = replace(settings, epochs=round(args.pictures / len(fields)), seed=args.seed)
        out = args.out / f"{name.split()[0]}-{args.seed}"
        detectors[name] = learn(fields, parts.val[:8], out, settings, method)
        pictures[name] = [read_image(field.path) for field in parts.test]
    turns = [{name: search(detectors[name], pictures[name]) for name in runs} for _ in range(args.repeat)]
    area = len(low.test) * (TILES * 360 * UM_PER_PX / 1000) ** 2
    print("| method | pictures | cells | AP50 | AP | seconds per mm² of film |")
    print("|---" * 6 + "|")
    for name, (parts, *_) in runs.items():
        scores = score_detection(turns[0][name][0], parts.test)
        seconds = statistics.median(turn[name][1] for turn in turns)
        figures = f"{scores['cells']} | {scores['ap50']:.3f} | {scores['ap']:.3f} | {seconds / area:.1f}"
        print(f"| {name} | {len(parts.test)} | {figures} |")


if __name__ == "__main__":
    main()
