"""Draw each transform that training imitates other microscopes with, on the synthetic field, for the docs.

python benchmarks/show_augmentations.py docs/images/augmentations.jpg
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from PIL import Image, ImageDraw

from bloodfilm.synth import sample_field
from bloodfilm.training.augment import TRANSFORMS

SIDE, SAMPLES, LABEL = 180, 4, 22


def main() -> None:
    film, cells = sample_field()
    x, y = (int(v) for v in cells.boxes[3, :2] - 30)
    picture = torch.from_numpy(film[y : y + SIDE, x : x + SIDE]).permute(2, 0, 1).float() / 255
    sheet = Image.new("RGB", ((SAMPLES + 1) * (SIDE + 4), len(TRANSFORMS) * (SIDE + LABEL)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, transform in enumerate(TRANSFORMS):
        changed = transform(picture.repeat(SAMPLES, 1, 1, 1), torch.Generator().manual_seed(row))
        draw.text((4, row * (SIDE + LABEL) + 6), transform.__name__.replace("_", " "), "black")
        for column, image in enumerate((picture, *changed)):
            pixels = (image.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
            sheet.paste(Image.fromarray(pixels), (column * (SIDE + 4), row * (SIDE + LABEL) + LABEL))
    sheet.save(sys.argv[1], quality=90)


if __name__ == "__main__":
    main()
