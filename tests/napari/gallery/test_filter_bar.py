"""The control of a filter follows the table that it filters."""

from __future__ import annotations

import pandas as pd
import pytest

from bloodfilm.napari.gallery.arrangement import Range, Text
from bloodfilm.napari.gallery.filter_bar import FilterBar

WORDS = [f"cell {number}" for number in range(40)]


@pytest.fixture
def bar(qtbot) -> FilterBar:
    """Filters of a table with a number, chosen, and a text."""
    bar = FilterBar()
    qtbot.addWidget(bar)
    bar.set_table(pd.DataFrame({"score": [0.2, 0.9] * 20, "note": WORDS}))
    choose(bar, "score")
    return bar


def choose(bar: FilterBar, column: str) -> None:
    bar.column.setCurrentIndex(bar.column.findData(column))
    bar.column.activated.emit(bar.column.currentIndex())


def test_the_control_goes_with_its_column(bar: FilterBar) -> None:
    assert not bar.control.isHidden()
    bar.set_table(pd.DataFrame({"note": WORDS}))
    assert bar.column.currentText() == "all cells" and bar.control.isHidden()


def test_the_range_is_that_of_the_cells_shown_now(bar: FilterBar) -> None:
    bar.set_table(pd.DataFrame({"score": [0.0, 30.0]}))
    assert (bar.range.minimum(), bar.range.maximum()) == (0, 30)
    assert bar.range.value() == (0, 30) and bar.conditions == {}


def test_filters_stay_when_cells_change(bar: FilterBar) -> None:
    bar.range.setValue((0.5, 0.9))
    choose(bar, "note")
    bar.text.setText("cell 1")
    told = []
    bar.changed.connect(lambda: told.append(True))
    bar.set_table(pd.DataFrame({"score": [0.1, 0.9], "note": ["cell 1", "cell 2"]}))
    assert bar.conditions == {"score": Range(0.5, 0.9), "note": Text("cell 1")}
    bar.set_table(pd.DataFrame({"score": [0.2, 0.9] * 20, "note": WORDS}))
    assert bar.text.text() == "cell 1" and told == []
