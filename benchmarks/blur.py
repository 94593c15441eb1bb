"""How blurred real pictures are, as they came and blurred by 2 px, by the measure of the report.

python benchmarks/blur.py [DATA]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from skimage.color import rgb2gray
from skimage.filters import gaussian
from skimage.measure import blur_effect

from bloodfilm import read_image
from bloodfilm.film.quality import BLURRED
from bloodfilm.io.images import find_images

SETS = ("bccd/images", "lld-samples/images", "chula-negatives", "draaslan")
PICTURES = 12


def main() -> None:
    data = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ["BLOODFILM_DATA"])
    rng = np.random.default_rng(0)
    print(f"| data set | pictures | blur | above {BLURRED} | blurred by 2 px | above {BLURRED} |")
    print("|---|---|---|---|---|---|")
    for name in SETS:
        paths = find_images([data / name])
        pictures = [read_image(paths[place]) / 255 for place in rng.permutation(len(paths))[:PICTURES]]
        cells = []
        for sigma in (0, 2):
            blur = np.array([blur_effect(rgb2gray(gaussian(each, sigma, channel_axis=2))) for each in pictures])
            cells += [f"{blur.min():.2f} to {blur.max():.2f}", str((blur > BLURRED).sum())]
        print(f"| {' | '.join([name.split('/')[0], str(len(pictures)), *cells])} |")


if __name__ == "__main__":
    main()
