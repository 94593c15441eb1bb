"""Commands that score models: evaluate."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bloodfilm.cli.options import MinScore
from bloodfilm.weights import MIN_SCORE


def evaluate(
    truth: Annotated[Path, typer.Option(help="COCO file with annotated cells.")],
    found: Annotated[Path, typer.Option(help="COCO file with found cells, best candidates.json.")],
    min_score: MinScore = MIN_SCORE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score found cells against annotated ones: detection AP, attribute F1."""
    from bloodfilm.evaluation.report import evaluate as score
    from bloodfilm.io.coco import read_coco

    result = score(read_coco(truth), read_coco(found), min_score)
    if as_json:
        typer.echo(json.dumps(_without_nan(result), indent=1))
        return
    for title, rows in (("Detection", {"all cells": result["detection"]}), ("Attributes", result["attributes"])):
        table = Table("", *next(iter(rows.values())), title=title)
        for name, row in rows.items():
            table.add_row(name, *(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
        Console().print(table)


def _without_nan(value: Any) -> Any:
    """Return `value` with None, which JSON can say, for NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
