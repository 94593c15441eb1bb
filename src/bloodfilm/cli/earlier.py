"""What lies in a folder already that `detect` is to write to: results that can be replaced, and the work of others."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

RESULTS = {"coco": "cells.json", "csv": "cells.csv", "geojson": "geojson", "yolo": "yolo"}
"""What `detect` writes in each format: one file, or a folder with a file for each picture."""

FILES = ("cells.json", "cells.csv", "candidates.json", "failed.csv")
"""What a run puts in place of that of an earlier one, or removes."""


def check_earlier(out: Path, formats: Iterable[str]) -> None:
    """Raise `UserError` if `out` holds what another search would not find again."""
    from bloodfilm.errors import UserError

    for folder in (out / RESULTS[kind] for kind in formats):
        if folder.is_dir() or (folder.exists() and not folder.suffix):
            raise UserError(
                f"{folder}: there already, and perhaps corrected by somebody: move it away, or choose another --out."
            )
    for path in (out / name for name in FILES):
        if path.is_file() and not _is_own(path):
            raise UserError(
                f"{path}: there already, and not as bloodfilm detect wrote it, but saved by napari or of another "
                "origin: move it away, or choose another --out."
            )


def _is_own(path: Path) -> bool:
    """Tell if `detect` wrote a file; napari gives each cell that it saves a state of review, if only an empty one."""
    from bloodfilm.errors import LabelError
    from bloodfilm.io.coco import parse_coco
    from bloodfilm.review.states import REVIEW

    if path.suffix == ".csv":
        return _is_own_table(path)
    try:
        content = parse_coco(path)
    except LabelError:
        return False
    found = str(content.info.get("software", "")).startswith("bloodfilm ")
    return found and not any(REVIEW in cell.extra for cell in content.annotations)


def _is_own_table(path: Path) -> bool:
    """Tell it of a table; without a score of a model it holds labels."""
    import pandas as pd

    from bloodfilm.io.table import looks_like_table
    from bloodfilm.review.states import REVIEW

    try:
        table = pd.read_csv(path)
    except (OSError, ValueError):
        return False
    if path.name == "failed.csv":
        return list(table) == ["path", "reason"]
    if not looks_like_table(path) or not {"score", "class_score"} <= set(table) or REVIEW in table:
        return False
    return table.empty or bool((table["score"] != 1).any() or table["class_score"].notna().any())
