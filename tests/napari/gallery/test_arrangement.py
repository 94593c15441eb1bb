from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bloodfilm.cells import Cells
from bloodfilm.napari.gallery.arrangement import Group, Range, Text, Values, arrange, shown_rows


@pytest.fixture
def table(cells: Cells) -> pd.DataFrame:
    """Scores 0.9, 0.5, 0.7; types Neutrophil, unknown, Myeloblast; cell size large, unknown, unknown."""
    return cells.to_frame().assign(patient=["B", "a", "B"], size_um=[12.0, np.nan, 9.0])


def plain(groups: list[Group]) -> list[tuple[str, list[int]]]:
    return [(group.title, group.rows.tolist()) for group in groups]


def test_without_wishes_cells_stand_as_in_the_layer(table: pd.DataFrame) -> None:
    assert plain(arrange(table)) == [("", [0, 1, 2])]


def test_groups_come_in_the_order_of_the_vocabulary_and_are_sorted_inside(table: pd.DataFrame) -> None:
    table.loc[1, "class"] = "Neutrophil"
    assert plain(arrange(table, "class", "score", falling=False)) == [("Myeloblast", [2]), ("Neutrophil", [1, 0])]


def test_groups_of_plain_words_come_in_the_order_of_the_alphabet(table: pd.DataFrame) -> None:
    assert plain(arrange(table, "patient", "score")) == [("B", [0, 2]), ("a", [1])]


@pytest.mark.parametrize(
    ("column", "falling", "rows"),
    [
        ("score", True, [0, 2, 1]),
        ("score", False, [1, 2, 0]),
        ("size_um", True, [0, 2, 1]),
        ("size_um", False, [2, 0, 1]),
        ("class", False, [2, 0, 1]),
        ("patient", False, [0, 2, 1]),
        ("no column", True, [0, 1, 2]),
    ],
)
def test_cells_are_sorted_by_any_column_those_without_a_value_last(table, column, falling, rows) -> None:
    assert arrange(table, None, column, falling)[0].rows.tolist() == rows


@pytest.mark.parametrize(
    ("column", "condition", "rows"),
    [
        ("class", Values(frozenset({"Neutrophil", "unknown type"})), [0, 1]),
        ("score", Range(0.5, 0.7), [1, 2]),
        ("size_um", Range(0, 100), [0, 2]),
        ("patient", Text("b"), [0, 2]),
        ("patient", Text("("), []),
        ("no column", Text("x"), [0, 1, 2]),
    ],
)
def test_a_condition_keeps_the_cells_that_meet_it(table, column, condition, rows) -> None:
    assert shown_rows(table, {column: condition}).tolist() == rows


def test_conditions_are_all_to_be_met(table: pd.DataFrame) -> None:
    conditions = {"patient": Text("B"), "score": Range(0.8, 1)}
    assert plain(arrange(table, "class", conditions=conditions)) == [("Neutrophil", [0])]
    assert arrange(table, "class", conditions={"patient": Text("C")}) == []


def test_no_cells_make_no_groups(table: pd.DataFrame) -> None:
    assert arrange(table[:0], "class", "score") == []
