from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bloodfilm.cells import Cells, Field
from bloodfilm.evaluation.calibration import calibration_error, score_hits


def test_the_error_is_the_distance_of_probability_and_share() -> None:
    assert calibration_error([0.9] * 10, [True] * 9 + [False]) == pytest.approx(0, abs=1e-6)
    assert calibration_error([0.9] * 10, [True] * 5 + [False] * 5) == pytest.approx(0.4)
    assert calibration_error([0.9] * 10 + [0.1] * 10, [True] * 5 + [False] * 15) == pytest.approx(0.25)
    assert np.isnan(calibration_error([], []))


@pytest.fixture
def truth() -> Field:
    cells = Cells([[0, 0, 10, 10], [20, 0, 30, 10]], codes=[3, 0], attributes=[[0] * 7, [-1] * 7])
    return Field(Path("a.png"), cells, 100, 100, np.array([[60, 60, 80, 80]], np.float32))


def test_each_found_cell_is_a_hit_or_not_and_ignored_ones_are_left_out(truth: Field) -> None:
    boxes = [[0, 0, 10, 10], [0, 0, 11, 10], [61, 61, 80, 80], [20, 0, 30, 9]]
    found = Cells(boxes, scores=[0.9, 0.8, 0.7, 0.2])
    scores, hits = score_hits([found], [truth])
    np.testing.assert_allclose(scores, [0.9, 0.8, 0.2])
    assert hits.tolist() == [True, False, True]
