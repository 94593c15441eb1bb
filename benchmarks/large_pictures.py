"""Large and crowded drawn pictures: what is found by default, beside tiles of a given size.

    python benchmarks/large_pictures.py

Prints Markdown.
"""

from __future__ import annotations

import time
from pathlib import Path

from bloodfilm import Detector, Field
from bloodfilm.detection.ruler import RED_CELL_UM
from bloodfilm.evaluation.detection import score_detection
from bloodfilm.synth import draw_field

PICTURES = ((1600, 1200, 20, 560), (2400, 1800, 24, 700), (4000, 3000, 50, 60), (3000, 2250, 110, 25))
"""Width and height, diameter of red cells, all in pixels, and number of white cells."""

TILES = (None, 640)


def main() -> None:
    detector = Detector(device="cpu")
    print("| picture, px | red cells, px | white cells | searched | recall | false boxes | µm per pixel, of true | s |")
    print("|---" * 8 + "|")
    for width, height, red, white in PICTURES:
        picture, truth = draw_field(width, height, white_cells=white, seed=3, red_cell_diameter=float(red))
        for tile in TILES:
            begin = time.perf_counter()
            cells = detector.detect(picture, tile=tile)
            seconds = time.perf_counter() - begin
            scores = score_detection([cells], [Field(Path("drawn"), truth, width, height)])
            told = cells.scale.um_per_px[0] * red / RED_CELL_UM if cells.scale else float("nan")
            print(
                f"| {width} x {height} | {red} | {len(truth)} | {f'tiles of {tile} px' if tile else 'by default'} "
                f"| {scores['recall']:.3f} | {scores['false_per_field']:.0f} | {told:.2f} | {seconds:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
