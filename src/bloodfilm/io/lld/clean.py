"""Mend what is known to be wrong with labels of the Large Leukemia Dataset, H_100X_C1's above all."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from bloodfilm.cells import Cells
from bloodfilm.io.coco import CocoFile
from bloodfilm.io.lld.names import key
from bloodfilm.vocabulary import UNKNOWN, normalise

MIN_SIDE = 8
"""Boxes with a shorter side, in pixels, are slivers of no cell."""

MISPLACED = {("h 100x c1", "train", "35_1_1000_all", annotation) for annotation in (1356, 1658, 2020)}
"""Annotations known to lie beside their cell: subset, split, picture and annotation id."""


def drop_misplaced(content: CocoFile, subset: str, split: str) -> int:
    """Take the annotations in `MISPLACED` out of a COCO file of `subset` and `split`; return how many there were."""
    pictures = {image.id: key(image.file_name) for image in content.images}
    place = normalise(subset), split
    kept = [a for a in content.annotations if (*place, pictures.get(a.image_id), a.id) not in MISPLACED]
    dropped = len(content.annotations) - len(kept)
    content.annotations = kept
    return dropped


def clean_cells(cells: Cells) -> tuple[Cells, Counter[str]]:
    """Return `cells` without slivers and without boxes given twice, and how many were dropped for what.

    Of boxes in one place that disagree, the first with a type other than None stays, else the first.
    """
    sides = (cells.boxes[:, 2:] - cells.boxes[:, :2]).min(1)
    cells, slivers = cells[sides >= MIN_SIDE], int((sides < MIN_SIDE).sum())
    boxes = pd.DataFrame(cells.boxes)
    same = pd.concat([boxes, pd.DataFrame(cells.attributes), pd.Series(cells.codes)], axis=1).duplicated().to_numpy()
    typed_first = np.argsort(np.isin(cells.codes, (UNKNOWN, cells.vocabulary.class_code("None"))), kind="stable")
    kept = np.sort(boxes.iloc[typed_first].drop_duplicates().index.to_numpy())
    repeated = len(cells) - len(kept)
    counts = {
        f"boxes under {MIN_SIDE} px": slivers,
        "boxes given twice": int(same.sum()),
        "boxes that contradict another in their place": repeated - int(same.sum()),
    }
    return cells[kept], Counter(counts)
