"""Films of random cells: every status, type, review state and attribute value occurs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bloodfilm.cells import Cells, Field
from bloodfilm.film.film import Film
from bloodfilm.vocabulary import LLD


def random_cells(rng: np.random.Generator, number: int) -> Cells:
    corners = rng.uniform(0, 80, (number, 2))
    attributes = rng.integers(-1, np.array(LLD.value_counts), (number, len(LLD.attributes)))
    return Cells(
        np.hstack([corners, corners + rng.uniform(10, 40, (number, 2))]),
        codes=rng.integers(-1, len(LLD.classes), number),
        scores=rng.uniform(0.3, 1, number),
        class_scores=rng.uniform(0.5, 1, number),
        attributes=attributes,
        attribute_scores=np.where(attributes < 0, np.nan, rng.uniform(0.5, 1, attributes.shape)),
        extra={
            "review": rng.choice(np.array(["", "", "accepted", "changed", "rejected"], object), number),
            "reviewer": np.full(number, "Dr <b>Who</b>", object),
            "reviewed_at": np.full(number, "2026-11-21T10:00:00+00:00", object),
        },
    )


@pytest.fixture
def fields() -> list[Field]:
    """Ten fields, of 0 to 9 cells, of two films by their folders; there are no pictures."""
    rng = np.random.default_rng(0)
    names = [f"film {number % 2}/images/{number}.png" for number in range(10)]
    return [Field(Path(name), random_cells(rng, number), 120, 120, name=name) for number, name in enumerate(names)]


@pytest.fixture
def film(fields: list[Field]) -> Film:
    return Film("film", tuple(fields))


@pytest.fixture
def film_of() -> Callable[..., Film]:
    """Make a film of fields with cells of the given types; `columns` are further ones of the first field."""

    def make(*types: tuple[str, ...], scores: float = 1, **columns: list[object]) -> Film:
        fields = []
        for number, names in enumerate(types):
            boxes = np.array([[10 * row, 0, 10 * row + 9, 9] for row in range(len(names))]).reshape(-1, 4)
            codes = [LLD.class_code(name) for name in names]
            extra = {name: np.array(values, object) for name, values in columns.items()} if number == 0 else {}
            cells = Cells(boxes, codes=codes, scores=np.full(len(names), scores), extra=extra)
            fields.append(Field(Path(f"{number}.png"), cells, 200, 100, name=f"{number}.png"))
        return Film("film", tuple(fields))

    return make
