"""Average precision against COCO's own program, and by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torchmetrics.detection import MeanAveragePrecision

from bloodfilm.cells import Cells, Field
from bloodfilm.evaluation.curve import RECALLS, judge

Annotated = Callable[..., Field]


def crowded(random: np.random.Generator, annotated: Annotated) -> tuple[Cells, Field]:
    """Return a field of cells that touch, some ignored, and found cells that hit, miss and repeat."""
    corners = random.uniform(0, 160, (random.integers(0, 12), 2))
    boxes = np.hstack((corners, corners + random.uniform(15, 40, corners.shape)))
    moved = np.repeat(boxes, 2, 0) + random.normal(0, 3, (2 * len(boxes), 4))
    strays = random.uniform(0, 150, (6, 2))
    moved = np.vstack((moved, np.hstack((strays, strays + 20))))
    scores = random.uniform(0.01, 1, len(moved))
    ignored = random.random(len(boxes)) < 0.2
    codes = random.integers(2, 4, (~ignored).sum())
    truth = annotated(boxes[~ignored], ignored=boxes[ignored], codes=codes)
    return Cells(moved, scores=scores, codes=random.integers(2, 4, len(moved))), truth


def by_coco(tables: list[Cells], fields: list[Field], typed: bool) -> tuple[float, float]:
    recalls = (RECALLS - 1e-12).tolist()  # torchmetrics' own are rounded to 32 bits, above a recall of 0.29 or below it
    metric = MeanAveragePrecision(
        backend="faster_coco_eval", rec_thresholds=recalls, max_detection_thresholds=[1, 10, 300]
    )
    for table, field in zip(tables, fields, strict=True):
        labels = table.codes if typed else np.zeros(len(table))
        true = field.cells.codes if typed else np.zeros(len(field.cells))
        boxes, crowd = [field.cells.boxes], [np.zeros(len(field.cells))]
        for kind in np.unique([2, 3] if typed else [0]):
            true = np.append(true, np.full(len(field.ignored), kind))
            boxes.append(field.ignored)
            crowd.append(np.ones(len(field.ignored)))
        found = {"boxes": table.boxes, "scores": table.scores, "labels": labels.astype(int)}
        target = {
            "boxes": np.concatenate(boxes),
            "labels": true.astype(int),
            "iscrowd": np.concatenate(crowd).astype(int),
        }
        metric.update(*([{name: torch.from_numpy(v) for name, v in part.items()}] for part in (found, target)))
    result = metric.compute()
    return float(result["map_50"]), float(result["map"])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("typed", [False, True])
def test_precision_is_that_of_coco(annotated: Annotated, seed: int, typed: bool) -> None:
    random = np.random.default_rng(seed)
    tables, fields = zip(*(crowded(random, annotated) for _ in range(20)), strict=True)
    codes = [2, 3] if typed else [None]
    ours = np.mean([judge(tables, fields, code).precisions() for code in codes], axis=0)
    assert (ours[0], ours.mean()) == pytest.approx(by_coco(tables, fields, typed), abs=1e-6)


def test_a_field_counted_twice_is_as_one_that_is_there_twice(annotated: Annotated) -> None:
    random = np.random.default_rng(0)
    tables, fields = zip(*(crowded(random, annotated) for _ in range(6)), strict=True)
    weighted = judge(tables, fields).precisions(np.array([2.0, 0, 1, 1, 0, 3]))
    chosen = [0, 0, 2, 3, 5, 5, 5]
    repeated = judge([tables[i] for i in chosen], [fields[i] for i in chosen]).precisions()
    np.testing.assert_allclose(weighted, repeated, atol=0.01)  # copies of a cell come one by one, not at once


def test_an_unnamed_cell_is_neither_right_nor_wrong_for_a_type(annotated: Annotated) -> None:
    truth = annotated([[0, 0, 20, 20], [50, 0, 70, 20]], codes=[3, -1])
    found = Cells(truth.cells.boxes, codes=[3, 3], scores=[0.5, 0.9])
    assert judge([found], [truth], 3).precisions() == pytest.approx(1)


def test_cells_of_a_type_are_ranked_by_the_probability_of_cell_and_type(annotated: Annotated) -> None:
    truth = annotated([[0, 0, 20, 20]], codes=[3])
    found = Cells([[50, 0, 70, 20], [0, 0, 20, 20]], codes=[3, 3], scores=[0.9, 0.8], class_scores=[0.5, 0.9])
    assert judge([found], [truth], 3).precisions()[0] == pytest.approx(1)
    assert judge([found], [truth]).precisions()[0] == pytest.approx(0.5)
