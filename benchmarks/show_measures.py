"""Draw the outlines of the cells of the synthetic field, with some of their measures, for the docs.

python benchmarks/show_measures.py docs/images/measure.png
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw
from skimage.segmentation import find_boundaries

from bloodfilm.cells import Scale
from bloodfilm.film.measure import measure, segment
from bloodfilm.io.images import RGB
from bloodfilm.synth import sample_field

SIDE, TEXT, CELLS = 190, 66, 5
UM_PER_PX = 7.5 / 58


def outlined(film: RGB, box: np.ndarray, others: np.ndarray) -> Image.Image:
    masks = segment(film, box, others)
    height, width = masks.cell.shape
    cut = film[masks.top : masks.top + height, masks.left : masks.left + width]
    scale = SIDE / max(height, width)
    size = round(width * scale), round(height * scale)
    picture = np.array(Image.fromarray(cut).resize(size, Image.Resampling.BICUBIC))
    for mask, colour in ((masks.cell, (0, 150, 0)), (masks.nucleus, (255, 225, 0))):
        smooth = Image.fromarray(mask.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
        picture[find_boundaries(np.asarray(smooth) > 0.5)] = colour
    return Image.fromarray(picture)


def main() -> None:
    film, cells = sample_field()
    cells = replace(cells, scale=Scale((UM_PER_PX, UM_PER_PX), 0.0, 0, True, (1, 1)))
    table = measure(film, cells)
    kinds = dict(zip(reversed(cells.class_names), reversed(range(len(cells))), strict=True))
    sheet = Image.new("RGB", (CELLS * (SIDE + 6), SIDE + TEXT), "white")
    draw = ImageDraw.Draw(sheet)
    for column, (kind, row) in enumerate(sorted(kinds.items())):
        left, found = column * (SIDE + 6), table.iloc[row]
        sheet.paste(outlined(film, cells.boxes[row], np.delete(cells.boxes, row, 0)), (left, 0))
        lines = (
            f"{kind}, {found['cell_diameter_um']:.1f} um",
            f"nucleus / cytoplasm {found['nucleus_cytoplasm_ratio']:.1f}",
            f"lobes {found['nucleus_lobes']:.0f}, roundness {found['nucleus_roundness']:.2f}",
            f"blueness {found['cytoplasm_blueness']:.1f}, vacuoles {found['cytoplasm_vacuoles']:.0f}",
        )
        draw.multiline_text((left + 4, SIDE + 3), "\n".join(lines), "black")
    sheet.save(sys.argv[1])


if __name__ == "__main__":
    main()
