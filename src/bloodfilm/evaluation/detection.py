"""Found cells against annotated ones: average precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torchmetrics.detection import MeanAveragePrecision
from torchvision.ops import box_iou

from bloodfilm.cells import Cells, Field
from bloodfilm.weights import MIN_SCORE


def score_detection(found: Sequence[Cells], truth: Sequence[Field], min_score: float = MIN_SCORE) -> dict[str, float]:
    """Score the boxes of `found` against `truth`, whatever their types; only where somebody looked for cells.

    Returns
    -------
    dict
        ``ap50`` and ``ap`` (COCO, IoU 0.5 and 0.5 to 0.95, NaN without annotated cells); ``recall`` at IoU 0.5
        and ``false_per_field`` at `min_score`; ``fields`` and ``cells``.
    """
    metric = MeanAveragePrecision(
        backend="faster_coco_eval", max_detection_thresholds=[1, 10, 300], extended_summary=False
    )
    metric.warn_on_many_detections = False
    hits = false = cells = 0
    for table, field in zip(found, truth, strict=True):
        table = table[field.looked_at(table.boxes)]
        metric.update([_prediction(table)], [_target(field)])
        hit, wrong = match(table[table.scores >= min_score], field)
        hits, false, cells = hits + int((hit >= 0).sum()), false + wrong, cells + len(field.cells)
    result: dict[str, Any] = metric.compute() if cells else {"map_50": np.nan, "map": np.nan}
    return {
        "fields": len(truth),
        "cells": cells,
        "ap50": float(result["map_50"]),
        "ap": float(result["map"]),
        "recall": hits / cells if cells else float("nan"),
        "false_per_field": false / max(len(truth), 1),
    }


def match(table: Cells, field: Field, min_iou: float = 0.5) -> tuple[np.ndarray, int]:
    """Match found cells to annotated ones, the best scored first.

    Returns
    -------
    hit : (annotated,) int
        Row of `table` that found each annotated cell, -1 for none.
    false : int
        Found cells that match nothing and lie on no ignored cell.
    """
    order = np.argsort(-table.scores, kind="stable")
    overlap = box_iou(torch.from_numpy(table.boxes[order]), torch.from_numpy(field.cells.boxes)).numpy()
    hit = np.full(len(field.cells), -1)
    false = 0
    for row, ious in enumerate(overlap):
        free = np.where(hit < 0, ious, 0)
        if free.size and free.max() >= min_iou:
            hit[free.argmax()] = order[row]
        elif not is_ignored(table.boxes[order[row]], field.ignored):
            false += 1
    return hit, false


def is_ignored(box: np.ndarray, ignored: np.ndarray) -> bool:
    """Tell if at least half of `box` lies on one ignored cell."""
    inside = np.minimum(box[2:], ignored[:, 2:]) - np.maximum(box[:2], ignored[:, :2])
    area = np.prod(np.clip(inside, 0, None), axis=1)
    return bool((area >= 0.5 * np.prod(box[2:] - box[:2])).any())


def _prediction(table: Cells) -> dict[str, torch.Tensor]:
    return {
        "boxes": torch.from_numpy(table.boxes),
        "scores": torch.from_numpy(table.scores),
        "labels": torch.zeros(len(table), dtype=torch.int64),
    }


def _target(field: Field) -> dict[str, torch.Tensor]:
    boxes = np.concatenate((field.cells.boxes, field.ignored))
    crowd = np.arange(len(boxes)) >= len(field.cells)
    return {
        "boxes": torch.from_numpy(boxes),
        "labels": torch.zeros(len(boxes), dtype=torch.int64),
        "iscrowd": torch.from_numpy(crowd.astype(np.int64)),
    }
