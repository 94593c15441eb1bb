"""Fields to train on: dark discs on a light ground, with exact boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bloodfilm.cells import Cells, Field
from bloodfilm.vocabulary import LLD, UNKNOWN

SIDE = 96


def draw_field(path: Path, discs: list[tuple[int, int, int]], **columns: np.ndarray) -> Field:
    """Write a picture with `discs` (x, y, radius) and return its field."""
    picture = np.full((SIDE, SIDE, 3), 225, np.uint8)
    y, x = np.mgrid[:SIDE, :SIDE]
    for cx, cy, radius in discs:
        picture[(x - cx) ** 2 + (y - cy) ** 2 <= radius**2] = (90, 50, 140)
    Image.fromarray(picture).save(path)
    boxes = np.array([[cx - r, cy - r, cx + r + 1, cy + r + 1] for cx, cy, r in discs], np.float32).reshape(-1, 4)
    return Field(path, Cells(boxes, **columns), SIDE, SIDE, name=path.name)


@pytest.fixture(scope="package")
def fields(tmp_path_factory: pytest.TempPathFactory) -> list[Field]:
    """Four fields of two cells: one Neutrophil or Lymphocyte with size and nucleolus, one that nobody named."""
    folder = tmp_path_factory.mktemp("fields")
    random = np.random.default_rng(0)
    fields = []
    for number in range(4):
        discs = [(x, int(random.integers(24, 70)), int(random.integers(12, 18))) for x in (24, 70)]
        attributes = np.full((2, 7), UNKNOWN)
        attributes[0, [0, 3]] = number % 3, number % 2
        codes = np.array([LLD.class_code("Lymphocyte" if number % 2 else "Neutrophil"), UNKNOWN])
        fields.append(draw_field(folder / f"{number}.png", discs, codes=codes, attributes=attributes))
    return fields


@pytest.fixture(scope="package")
def single(tmp_path_factory: pytest.TempPathFactory) -> Field:
    """A field of one cell."""
    return draw_field(tmp_path_factory.mktemp("single") / "one.png", [(40, 52, 18)], codes=np.array([3]))


@pytest.fixture(scope="package")
def unlike(tmp_path_factory: pytest.TempPathFactory) -> Field:
    """A field of a small Neutrophil on the left and a large Lymphocyte on the right."""
    codes = np.array([LLD.class_code("Neutrophil"), LLD.class_code("Lymphocyte")])
    attributes = np.array([[0] * 7, [2] + [1] * 6])
    folder = tmp_path_factory.mktemp("unlike")
    return draw_field(folder / "two.png", [(24, 48, 8), (70, 48, 20)], codes=codes, attributes=attributes)


@pytest.fixture(scope="package")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Field:
    """A field without cells."""
    return draw_field(tmp_path_factory.mktemp("bare") / "none.png", [])
