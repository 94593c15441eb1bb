"""Draw each transform that training imitates other microscopes with, on the synthetic field, for the docs.

python benchmarks/show_augmentations.py docs/images/augmentations.jpg
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from bloodfilm import LLD
from bloodfilm.nets.reader import VIEWS, cut, look, middles
from bloodfilm.synth import sample_field
from bloodfilm.training.augment import TRANSFORMS, turn
from bloodfilm.training.labels import Labels, collate
from bloodfilm.training.surround import surround
from bloodfilm.training.vacuoles import draw_vacuoles

SIDE, SAMPLES, LABEL = 180, 4, 22
NOTHING = Labels(*(torch.zeros(shape) for shape in ((0, 4), 0, (0, 8), (0, 4), 0)))


def turned(images: Tensor, seed: int) -> Tensor:
    _, none = collate([(image, NOTHING) for image in images])
    return turn(images, none, torch.Generator().manual_seed(seed))[0]


def surrounded(images: Tensor, seed: int) -> Tensor:
    random = np.random.default_rng(seed)
    return torch.stack([surround((image * 255).byte(), NOTHING, random)[0] / 255 for image in images])


def changes() -> dict[str, Callable[[Tensor, int], Tensor]]:
    drawn: dict[str, Callable[[Tensor, int], Tensor]] = {"turn": turned, "surround": surrounded}
    for each in TRANSFORMS:
        drawn[each.__name__] = lambda images, seed, each=each: each(images, torch.Generator().manual_seed(seed))
    return drawn


def vacuoles(cell: Tensor) -> tuple[Tensor, ...]:
    cells = torch.cat((cell, draw_vacuoles(cell.repeat(SAMPLES, 1, 1, 1), seed=0)))
    return tuple(look(cells / 255, middles(len(cells)), VIEWS[0], SIDE))


def main() -> None:
    film, cells = sample_field()
    height, width = film.shape[:2]
    x, y = np.clip(cells.boxes[3, :2].astype(int) - 30, 0, (width - SIDE, height - SIDE))
    picture = torch.from_numpy(film[y : y + SIDE, x : x + SIDE]).permute(2, 0, 1).float() / 255
    copies = picture.repeat(SAMPLES, 1, 1, 1)
    rows = {name: (picture, *change(copies, row)) for row, (name, change) in enumerate(changes().items())}
    rows["vacuoles"] = vacuoles(cut(film, cells.boxes[cells.codes == LLD.class_code("Neutrophil")][:1]))
    sheet = Image.new("RGB", ((SAMPLES + 1) * (SIDE + 4), len(rows) * (SIDE + LABEL)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (name, images) in enumerate(rows.items()):
        draw.text((4, row * (SIDE + LABEL) + 6), name.replace("_", " "), "black")
        for column, image in enumerate(images):
            pixels = (image.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
            sheet.paste(Image.fromarray(pixels), (column * (SIDE + 4), row * (SIDE + LABEL) + LABEL))
    sheet.save(sys.argv[1], quality=90)


if __name__ == "__main__":
    main()
