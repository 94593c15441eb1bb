"""Diameters of boxes, and what they say against the size that was read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bloodfilm.cells import Cells, Field, Scale
from bloodfilm.film.bank import ALL
from bloodfilm.film.count import cell_table
from bloodfilm.film.film import Film
from bloodfilm.film.sizes import contradicted, measured_sizes, size_notes
from bloodfilm.film.summary import summarise
from bloodfilm.io.table import to_table

SMALL, LARGE = 0, 2


def film(*fields: tuple[float, list[int], list[int]], sure: bool = True) -> Film:
    """A film of cells of 100 px a side; of each field the micrometres per pixel, sizes as read and types."""
    made = []
    for number, (um, sizes, codes) in enumerate(fields):
        corners = np.array([[150 * row, 0, 150 * row + 100, 100] for row in range(len(codes))]).reshape(-1, 4)
        read = np.full((len(codes), 7), -1)
        read[:, 0] = sizes
        cells = Cells(corners, codes=codes, attributes=read, scale=Scale((um, um), 0.01, 30, sure, (1, 1)))
        made.append(Field(Path(f"{number}.png"), cells, 1000, 100, name=f"{number}.png"))
    return Film("film", tuple(made))


def test_words_far_from_the_measured_size_are_contradicted() -> None:
    table = cell_table(film((0.2, [SMALL, LARGE, -1], [3, 3, 3]), (0.08, [SMALL, LARGE], [3, 3])))
    assert contradicted(table).tolist() == [True, False, False, False, True]


def test_between_the_limits_and_their_slack_nothing_is_contradicted() -> None:
    assert not contradicted(cell_table(film((0.15, [SMALL, LARGE], [3, 3]), (0.105, [SMALL, LARGE], [3, 3])))).any()


def test_sizes_are_those_of_counted_cells_whose_scale_is_sure() -> None:
    sizes = measured_sizes(cell_table(film((0.2, [SMALL, 1], [3, 0]), (0.1, [1], [7]))))
    assert sizes.loc[ALL].tolist() == [15, 10, 20, 2, 1]
    assert sizes.loc["Neutrophil", ["of", "contradicted"]].tolist() == [1, 1]
    assert "1 of 2" in size_notes(sizes)[0]
    assert measured_sizes(cell_table(film((0.2, [SMALL], [3]), sure=False))).empty


def test_a_contradicted_cell_is_not_typical() -> None:
    summary = summarise(film((0.2, [SMALL, LARGE], [3, 3])))
    assert summary.typical.index.tolist() == [1]
    assert any("read as small" in note for note in summary.notes)


def test_a_table_has_the_diameters_of_pictures_of_different_scale() -> None:
    table = to_table(film((0.2, [1], [3]), (0.1, [1], [3])).fields)
    np.testing.assert_allclose(table["diameter_um"], [20, 10])
