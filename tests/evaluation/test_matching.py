from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bloodfilm.cells import Cells, Field
from bloodfilm.evaluation.calibration import score_hits
from bloodfilm.evaluation.detection import score_detection
from bloodfilm.evaluation.matching import assign

Annotated = Callable[..., Field]
A, EDGE, FAR = [10, 10, 50, 50], [80, 10, 125, 50], [150, 10, 190, 50]


@pytest.fixture
def patch(annotated: Annotated) -> Field:
    """A field of which the left half is labelled: one cell in it, one that reaches over its edge."""
    return replace(annotated([A, EDGE]), labelled_regions=np.array([[0, 0, 100, 200]], np.float32))


def test_a_cell_found_where_nobody_looked_is_neither_right_nor_wrong(patch: Field) -> None:
    scores = score_detection([Cells([A, EDGE, FAR], scores=[0.8, 0.7, 0.9])], [patch])
    assert (scores["ap50"], scores["ap"], scores["recall"], scores["false_per_field"]) == (1, 1, 1, 0)
    looked = score_detection([Cells([A, EDGE, FAR], scores=[0.8, 0.7, 0.9])], [replace(patch, labelled_regions=None)])
    assert looked["ap50"] < 1
    assert looked["false_per_field"] == 1


def test_a_false_cell_inside_the_labelled_region_stays_wrong(patch: Field) -> None:
    assert score_detection([Cells([[10, 100, 50, 140]])], [patch])["false_per_field"] == 1


def test_a_cell_over_the_edge_is_right_although_its_found_box_lies_mostly_outside(patch: Field) -> None:
    scores = score_detection([Cells([[85, 10, 128, 50]])], [patch])
    assert (scores["recall"], scores["false_per_field"]) == (0.5, 0)


def test_where_it_is_unknown_who_looked_nothing_is_wrong(annotated: Annotated) -> None:
    nowhere = replace(annotated(), labelled_regions=np.empty((0, 4), np.float32))
    assert score_detection([Cells([A, FAR])], [nowhere])["false_per_field"] == 0


def test_calibration_leaves_out_what_lies_elsewhere(patch: Field) -> None:
    scores, hits = score_hits([Cells([A, FAR], scores=[0.8, 0.9])], [patch])
    assert (scores.tolist(), hits.tolist()) == ([pytest.approx(0.8)], [True])


def test_each_limit_has_an_assignment_of_its_own() -> None:
    overlap = np.array([[0.6, 0.0], [0.9, 0.55]])
    assert assign(overlap, np.array([0.5, 0.8])).tolist() == [[0, 1], [1, -1]]
