from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bloodfilm.cells import Cells, Field
from bloodfilm.evaluation.detection import score_detection
from bloodfilm.evaluation.matching import match

Annotated = Callable[..., Field]
A, B, FAR = [10, 10, 50, 50], [100, 100, 140, 160], [150, 10, 190, 50]


def found(*boxes: list[float], scores: Any = None) -> Cells:
    return Cells(np.array(boxes, np.float32).reshape(-1, 4), scores=scores)


def test_everything_found_scores_one(annotated: Annotated) -> None:
    scores = score_detection([found(A, B), found(FAR)], [annotated([B, A]), annotated([FAR])])
    assert scores == {"fields": 2, "cells": 3, "ap50": 1, "ap": 1, "recall": 1, "false_per_field": 0}


def test_half_of_the_cells_found_scores_half(annotated: Annotated) -> None:
    scores = score_detection([found(A)], [annotated([A, B])])
    assert scores["ap50"] == pytest.approx(51 / 101)
    assert scores["recall"] == 0.5


def test_nothing_found_scores_nothing(annotated: Annotated) -> None:
    scores = score_detection([found(), found()], [annotated([A]), annotated()])
    assert (scores["ap50"], scores["recall"], scores["false_per_field"]) == (0, 0, 0)


@pytest.mark.parametrize(("score", "ap50"), [(0.9, 0.5), (0.5, 1.0)])
def test_a_false_cell_costs_only_if_it_is_surer_than_a_right_one(
    annotated: Annotated, score: float, ap50: float
) -> None:
    scores = score_detection([found(FAR, A, scores=[score, 0.7])], [annotated([A])])
    assert scores["ap50"] == pytest.approx(ap50)
    assert scores["false_per_field"] == 1


@pytest.mark.parametrize(("height", "ap50", "ap"), [(56, 1, 0.5), (44, 1, 0.9), (81, 0, 0)])
def test_ap_rewards_boxes_that_fit_well(annotated: Annotated, height: float, ap50: float, ap: float) -> None:
    scores = score_detection([found([10, 10, 50, 10 + height])], [annotated([A])])
    assert scores["ap50"] == pytest.approx(ap50)
    assert scores["ap"] == pytest.approx(ap)


def test_types_play_no_part(annotated: Annotated) -> None:
    table = Cells([A, B], codes=[1, -1])
    assert score_detection([table], [annotated([A, B], codes=[2, 3])])["ap"] == 1


def test_an_ignored_cell_is_neither_right_nor_wrong(annotated: Annotated) -> None:
    truth = annotated([A], ignored=[B, FAR])
    with_ignored = score_detection([found(B, A, scores=[0.9, 0.8])], [truth])
    assert with_ignored["ap50"] == 1
    assert (with_ignored["recall"], with_ignored["false_per_field"], with_ignored["cells"]) == (1, 0, 1)


def test_cells_below_the_score_count_for_ap_only(annotated: Annotated) -> None:
    tables = [found(A, FAR, scores=[0.2, 0.1])]
    low, high = (score_detection(tables, [annotated([A])], score) for score in (0.05, 0.25))
    assert low["ap50"] == high["ap50"] == 1
    assert (low["recall"], low["false_per_field"]) == (1, 1)
    assert (high["recall"], high["false_per_field"]) == (0, 0)


def test_a_field_with_more_than_a_hundred_cells_is_scored_whole(annotated: Annotated) -> None:
    corners = np.stack(np.meshgrid(np.arange(15), np.arange(15)), -1).reshape(-1, 2) * 13
    boxes = np.hstack((corners, corners + 10))
    assert score_detection([Cells(boxes)], [annotated(boxes)])["ap50"] == pytest.approx(1)


@pytest.mark.parametrize("fields", [0, 2])
def test_without_annotated_cells_there_is_no_score(annotated: Annotated, fields: int) -> None:
    scores = score_detection([found(A)] * fields, [annotated()] * fields)
    assert np.isnan([scores["ap50"], scores["ap"], scores["recall"]]).all()
    assert scores["false_per_field"] == min(fields, 1)


def test_a_table_for_each_field_is_needed(annotated: Annotated) -> None:
    with pytest.raises(ValueError, match="zip"):
        score_detection([found(A)], [annotated([A]), annotated([B])])


def test_the_surest_of_two_on_one_cell_is_the_hit(annotated: Annotated) -> None:
    assert match(found(A, [12, 10, 52, 50], scores=[0.5, 0.9]), annotated([A])).tolist() == [1]


def test_each_cell_is_hit_by_the_box_that_fits_it(annotated: Annotated) -> None:
    near = [18, 10, 58, 50]
    assert match(found(near, A, scores=[0.9, 0.8]), annotated([A, near])).tolist() == [1, 0]


def test_a_cell_taken_leaves_the_next_best(annotated: Annotated) -> None:
    near = [14, 10, 54, 50]
    assert match(found(A, A, scores=[0.9, 0.8]), annotated([A, near])).tolist() == [0, 1]


@pytest.mark.parametrize(("right", "hit"), [(90, 0), (91, -1)])
def test_a_hit_overlaps_by_half(annotated: Annotated, right: float, hit: int) -> None:
    assert match(found([10, 10, right, 50]), annotated([A])).tolist() == [hit]


@pytest.mark.parametrize(("left", "false"), [(30, 0), (31, 1)])
def test_half_of_a_box_on_an_ignored_cell_excuses_it(annotated: Annotated, left: float, false: int) -> None:
    scores = score_detection([found([left, 10, left + 40, 50])], [annotated(ignored=[A])])
    assert scores["false_per_field"] == false


def test_nothing_found_and_nothing_annotated_match(annotated: Annotated) -> None:
    assert match(found(), annotated([A])).tolist() == [-1]
    assert match(found(A), annotated()).tolist() == []
