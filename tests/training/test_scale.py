from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bloodfilm.cells import Field
from bloodfilm.training.scale import WHITE_TO_RED, red_cell_sides
from bloodfilm.training.settings import Settings
from bloodfilm.training.start import begin


def with_red_cells(field: Field, *sides: float, source: str = "here") -> Field:
    boxes = np.array([[5, 5, 5 + side, 5 + side] for side in sides]).reshape(-1, 4)
    return replace(field, auxiliary={"red blood cell": boxes}, source=source)


def test_red_cells_tell_their_side(single: Field) -> None:
    assert red_cell_sides([with_red_cells(single, 10, 12, 40)]) == [12]


def test_of_too_few_those_of_other_fields_of_the_source_are_taken(single: Field) -> None:
    few, many = with_red_cells(single, 40), with_red_cells(single, 10, 11, 12)
    elsewhere = with_red_cells(single, 20, 20, 20, source="there")
    assert red_cell_sides([few, many, elsewhere]) == [11, 11, 20]


def test_without_red_cells_the_white_ones_of_the_source_tell(single: Field, bare: Field) -> None:
    assert red_cell_sides([single, bare]) == [pytest.approx(37 / WHITE_TO_RED)] * 2


def test_without_cells_nothing_tells(bare: Field) -> None:
    assert np.isnan(red_cell_sides([bare])).all()


def test_a_network_is_told_the_size_of_red_cells_only_if_it_learns_them(single: Field) -> None:
    settings = Settings(red_cells=32.0)
    assert begin(settings, [single])[1].red_cells is None
    assert begin(settings, [with_red_cells(single, 10)])[1].red_cells == 32
