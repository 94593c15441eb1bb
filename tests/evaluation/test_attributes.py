from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bloodfilm.cells import Cells, Field
from bloodfilm.evaluation.attributes import macro_f1, score_attributes
from bloodfilm.vocabulary import LLD

Annotated = Callable[..., Field]
BOXES = [[10, 10, 50, 50], [100, 10, 140, 50], [10, 100, 50, 140]]


@pytest.mark.parametrize(
    ("found", "truth", "f1"),
    [
        ([0, 1, 1, 1], [0, 0, 1, 1], (2 / 3 + 4 / 5) / 2),
        ([0, 0, 1, 1], [0, 0, 1, 1], 1),
        ([1, 1, 0, 0], [0, 0, 1, 1], 0),
        ([0, 0, 0, 0], [0, 0, 0, 1], (6 / 7 + 0) / 2),
        ([1, 1], [1, 1], 1),
        ([0, 2, 2], [0, 0, 2], (2 / 3 + 2 / 3) / 2),
        ([0, 1], [0, 0], 2 / 3),
        ([0, 1, -1, 1], [0, 1, 1, -1], 1),
        ([13, 3, 13], [13, 3, 3], (2 / 3 + 2 / 3) / 2),
    ],
)
def test_f1_is_the_mean_over_the_values_of_the_truth(found: list[int], truth: list[int], f1: float) -> None:
    assert macro_f1(found, truth) == pytest.approx(f1)


@pytest.mark.parametrize(("found", "truth"), [([], []), ([-1], [1]), ([1, -1], [-1, 0])])
def test_f1_of_nothing_known_is_not_a_number(found: list[int], truth: list[int]) -> None:
    assert np.isnan(macro_f1(found, truth))


def values(*sizes: int) -> np.ndarray:
    """Return attributes of cells of which only the size is known."""
    attributes = np.full((len(sizes), 7), -1)
    attributes[:, 0] = sizes
    return attributes


def test_cells_are_compared_with_those_that_they_hit(annotated: Annotated) -> None:
    truth = annotated(BOXES, codes=[3, 7, 1], attributes=values(0, 1, 2))
    found = Cells(BOXES[::-1], codes=[1, 7, 3], scores=[0.5, 0.6, 0.7], attributes=values(2, 1, 0))
    result = score_attributes([found], [truth])
    assert result["class"] == {"macro_f1": 1, "accuracy": 1, "cells": 3}
    assert result["cell_size"] == {"macro_f1": 1, "accuracy": 1, "cells": 3}


def test_cells_of_all_fields_count_together(annotated: Annotated) -> None:
    truth = [annotated(BOXES[:1], codes=[3]), annotated(BOXES[1:], codes=[3, 7])]
    found = [Cells(BOXES[:1], codes=[3]), Cells(BOXES[1:], codes=[7, 7])]
    result = score_attributes(found, truth)["class"]
    assert result["accuracy"] == pytest.approx(2 / 3)
    assert result["macro_f1"] == pytest.approx(2 / 3)


def test_only_what_both_know_counts(annotated: Annotated) -> None:
    truth = annotated(BOXES, codes=[-1, 7, 1], attributes=values(0, -1, 2))
    found = Cells(BOXES, codes=[3, 7, -1], attributes=values(0, 1, 0))
    result = score_attributes([found], [truth])
    assert (result["class"]["accuracy"], result["class"]["cells"]) == (1, 1)
    assert (result["cell_size"]["accuracy"], result["cell_size"]["cells"]) == (0.5, 2)
    assert result["nucleolus"]["cells"] == 0
    assert np.isnan(result["nucleolus"]["accuracy"])


def test_cells_below_the_score_do_not_count(annotated: Annotated) -> None:
    truth = annotated(BOXES, codes=[3, 7, 1])
    found = Cells(BOXES, codes=[0, 7, 1], scores=[0.2, 0.6, 0.9])
    assert score_attributes([found], [truth])["class"] == {"macro_f1": 1, "accuracy": 1, "cells": 2}


def test_cells_that_hit_nothing_do_not_count(annotated: Annotated) -> None:
    truth = annotated(BOXES[:1], codes=[3])
    found = Cells(BOXES[1:], codes=[3, 3])
    assert score_attributes([found], [truth])["class"]["cells"] == 0


def test_every_attribute_of_the_vocabulary_is_scored(annotated: Annotated) -> None:
    assert list(score_attributes([Cells.empty()], [annotated()])) == ["class", *LLD.attribute_names]


def test_no_fields_have_no_scores() -> None:
    assert score_attributes([], []) == {}
