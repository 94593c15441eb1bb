"""A picture with its cells drawn on it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bloodfilm.cells import Cells
from bloodfilm.io.images import RGB
from bloodfilm.palette import colour


def draw_overlay(picture: RGB, cells: Cells) -> RGB:
    """Return a copy of `picture` (H, W, 3) with each cell's box, type and score."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    side = max(picture.shape[:2])
    font = ImageFont.load_default(max(side // 45, 10))
    for box, name, score in zip(cells.boxes.tolist(), cells.class_names, cells.scores, strict=True):
        shade = colour(name, cells.vocabulary.classes)
        draw.rectangle(box, outline=shade, width=max(side // 250, 2))
        label = f"{name} {score:.2f}"
        left, top, right, bottom = draw.textbbox((0, 0), label, font=font)
        x = min(max(box[0], 0), max(picture.shape[1] - right - 8, 0))
        y = box[1] - bottom - 6 if box[1] > bottom + 6 else box[3]
        draw.rectangle((x, y, x + right - left + 8, y + bottom + 6), fill=shade)
        draw.text((x + 4, y + 2), label, fill="black", font=font)
    return np.asarray(image)
