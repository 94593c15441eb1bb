from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bloodfilm.cells import Cells
from bloodfilm.napari.gallery.colouring import FADED, Colouring, counts, faded
from bloodfilm.palette import REVIEW_COLOURS, apart, colours
from bloodfilm.vocabulary import LLD


def hexes(rgba: np.ndarray) -> list[str]:
    return ["#" + "".join(f"{round(float(v) * 255):02x}" for v in row[:3]) for row in rgba]


def test_types_have_their_colours_and_unknown_ones_are_white(cells: Cells) -> None:
    column = cells.to_frame()["class"]
    palette = colours(LLD.classes)
    shown = hexes(Colouring.of(column, LLD).rgba(column))
    assert shown == [palette["Neutrophil"], "#f2f2f2", palette["Myeloblast"]]


def test_values_of_an_attribute_keep_their_colours_whichever_occur(cells: Cells) -> None:
    column = cells.to_frame()["cell_size"]
    assert hexes(Colouring.of(column, LLD).rgba(column)) == [
        apart(("small", "medium", "large"))["large"],
        "#f2f2f2",
        "#f2f2f2",
    ]


def test_states_of_the_review_have_colours_of_their_own() -> None:
    column = pd.Series(pd.Categorical(["rejected", "not reviewed"]), name="review")
    assert hexes(Colouring.of(column, LLD).rgba(column)) == [REVIEW_COLOURS["rejected"], "#f2f2f2"]


@pytest.mark.parametrize(("numbers", "ends"), [([0.2, 0.9], (0, 1)), ([3, 40], (3, 40)), ([np.nan], (0, 1))])
def test_numbers_are_coloured_from_their_lowest_to_their_highest(numbers, ends) -> None:
    column = pd.Series([*numbers, np.nan], name="score")
    colouring = Colouring.of(column, LLD)
    assert (colouring.low, colouring.high) == ends
    rgba = colouring.rgba(pd.Series([ends[0], ends[1], np.nan], name="score"))
    assert hexes(rgba) == ["#440154", "#fde725", "#f2f2f2"]


def test_rejected_cells_are_faint_and_the_colours_of_the_rest_stay() -> None:
    rgba = np.ones((2, 4), np.float32)
    assert faded(rgba, pd.DataFrame({"review": ["rejected", ""]}))[:, 3].tolist() == pytest.approx([FADED, 1])
    assert (rgba == 1).all()


def test_the_legend_counts_the_words_that_occur_in_their_order(cells: Cells) -> None:
    assert list(counts(cells.to_frame()["class"]).items()) == [
        ("Myeloblast", 1),
        ("Neutrophil", 1),
        ("unknown type", 1),
    ]
