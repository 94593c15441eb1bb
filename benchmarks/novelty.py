"""Does the novelty score tell pictures of other things, and of other stains, from blood films?

    python benchmarks/novelty.py

Blood films are the test fields and the Large Leukemia Dataset's, which no model was trained on. Other things are
scikit-image's own pictures (tissue, text, photographs) and noise; other stains are test fields inverted, with red and
green exchanged, and as fluorescence would show them. Prints Markdown.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import skimage.data
import torch
from torchmetrics.functional.classification import binary_auroc

from bloodfilm import Detector, read_coco, read_image
from bloodfilm.errors import PictureError
from bloodfilm.io.images import RGB
from bloodfilm.weights import DEFAULT_MODEL

NOISE = 10
EVERY = 20
"""Of the test fields, one in so many is shown in other stains."""


def other_things() -> list[RGB]:
    pictures = []
    for path in sorted(Path(skimage.data.__file__).parent.iterdir()):
        if path.suffix in (".png", ".jpg"):
            try:
                pictures.append(read_image(path))
            except PictureError as error:
                warnings.warn(str(error), stacklevel=1)
    random = np.random.default_rng(0)
    return pictures + [random.integers(0, 256, (480, 640, 3), dtype=np.uint8) for _ in range(NOISE)]


def other_stains(picture: RGB) -> list[RGB]:
    dark = 255 - picture.mean(2).astype(np.uint8)
    return [255 - picture, picture[..., [1, 0, 2]], np.stack([dark] * 3, 2)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--model", default=DEFAULT_MODEL)
    args = parser.parse_args()
    detector = Detector(args.model)

    def novelties(pictures: list[RGB]) -> np.ndarray:
        return np.array([detector.detect(picture).novelty for picture in pictures], float)

    home, lld = ([read_image(f.path) for f in read_coco(args.data / f"{name}.json")] for name in ("test", "lld"))
    groups = {
        "test fields": novelties(home),
        "lld-samples": novelties(lld),
        "other things": novelties(other_things()),
        "other stains": novelties([each for picture in home[::EVERY] for each in other_stains(picture)]),
    }
    films = np.concatenate((groups["test fields"], groups["lld-samples"]))
    print("| pictures | number | median novelty | above 1 | AUROC against blood films |")
    print("|---|---|---|---|---|")
    groups["all unlike pictures"] = np.concatenate((groups["other things"], groups["other stains"]))
    for name, values in groups.items():
        alike = name in ("test fields", "lld-samples")
        told = "" if alike else f"{auroc(films, values):.3f}"
        print(f"| {name} | {len(values)} | {np.median(values):.2f} | {(values > 1).mean():.1%} | {told} |")


def auroc(films: np.ndarray, others: np.ndarray) -> float:
    scores = torch.from_numpy(np.concatenate((films, others)))
    return float(binary_auroc(scores, (torch.arange(len(scores)) >= len(films)).long()))


if __name__ == "__main__":
    main()
