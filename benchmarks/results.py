"""Runs that are finished, a line each in a committed CSV file, so that what is there is not run again."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import sources


def finished(path: Path) -> list[dict[str, str]]:
    return sources.rows(path) if path.exists() else []


def append(path: Path, row: dict[str, object], columns: Sequence[str] | None = None) -> None:
    first = not path.exists()
    path.parent.mkdir(exist_ok=True)
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, columns or list(row))
        if first:
            writer.writeheader()
        writer.writerow(row)
