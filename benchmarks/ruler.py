"""The red-cell ruler on synthetic films of known scale and squeeze, and what it says of real pictures.

    python benchmarks/ruler.py

Prints Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bloodfilm import Detector, read_coco, read_image
from bloodfilm.cells import Scale
from bloodfilm.detection.letterbox import resize
from bloodfilm.detection.ruler import RED_CELL_UM
from bloodfilm.io.images import RGB
from bloodfilm.synth import draw_field
from bloodfilm.weights import DEFAULT_MODEL
from detection import by_source

DIAMETERS = (30.0, 46.0, 80.0)
SQUEEZES = (0.6, 0.8, 1.0, 1.25)
FILMS = 10


def squeezed(picture: RGB, squeeze: float) -> RGB:
    size = (picture.shape[0], round(picture.shape[1] * squeeze))
    return resize(picture, size, pad_to=1).permute(1, 2, 0).numpy()


def print_synthetic(detector: Detector) -> None:
    print(
        "| red cells, px | squeeze | films | sure | within 5 % | error of scale: median, largest | error of squeeze |"
    )
    print("|---|---|---|---|---|---|---|")
    for diameter in DIAMETERS:
        for squeeze in SQUEEZES:
            films = [draw_field(640, 480, 2, seed, diameter)[0] for seed in range(FILMS)]
            scales = [detector.detect(squeezed(film, squeeze)).scale for film in films]
            sure = [scale for scale in scales if scale and scale.sure]
            heights = np.array([abs(s.um_per_px[1] * diameter / RED_CELL_UM - 1) for s in sure])
            widths = np.array([abs(s.um_per_px[1] / s.um_per_px[0] / squeeze - 1) for s in sure])
            good = np.count_nonzero(np.maximum(heights, widths) <= 0.05)
            counts = f"{FILMS} | {len(sure)} | {good}"
            print(f"| {diameter:.0f} | {squeeze} | {counts} | {shown(heights)} | {shown(widths)} |")


def shown(errors: np.ndarray) -> str:
    return f"{np.median(errors):.1%}, {errors.max():.1%}" if len(errors) else ""


def print_real(detector: Detector, data: Path) -> None:
    print("\nMedian (10 % to 90 %):\n")
    print("| data set | fields | sure | red cells | µm per pixel | width over height | searched px per px |")
    print("|---|---|---|---|---|---|---|")
    fields = read_coco(data / "test.json") + read_coco(data / "lld.json")
    for source, group in by_source(fields).items():
        scales = [scale for f in group if (scale := detector.detect(read_image(f.path)).scale) and scale.sure]
        if not scales:
            print(f"| {source} | {len(group)} | 0 | | | | |")
            continue
        heights, squeezes, sizes, counts = np.array([told(scale) for scale in scales]).T
        shares = " | ".join(map(spread, (heights, squeezes, sizes)))
        print(f"| {source} | {len(group)} | {len(scales)} | {np.median(counts):.0f} | {shares} |")


def told(scale: Scale) -> tuple[float, float, float, float]:
    x, y = scale.um_per_px
    return y, y / x, scale.resized[1], scale.red_cells


def spread(values: np.ndarray) -> str:
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9))
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--model", default=DEFAULT_MODEL)
    args = parser.parse_args()
    detector = Detector(args.model)
    print_synthetic(detector)
    print_real(detector, args.data)


if __name__ == "__main__":
    main()
