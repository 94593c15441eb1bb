"""Commands that score models: evaluate."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bloodfilm.cli.options import Device, MinScore, console, make_folder, progress_bar, tell_unreviewed
from bloodfilm.weights import MIN_SCORE

if TYPE_CHECKING:
    from bloodfilm.evaluation.matrix import Matrix


MOST_NAMED = 10
"""Pictures that were not searched of which the names are shown; JSON has all."""


def evaluate(
    truth: Annotated[
        list[str],
        typer.Option(
            metavar="FILE",
            help="Annotated cells: a COCO file, LLD or a part of it (of several splits test); with --matrix NAME=FILE, "
            "again and again.",
        ),
    ],
    found: Annotated[Path | None, typer.Option(help="COCO file with found cells, best candidates.json.")] = None,
    trained_on: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="What was trained on: refuse if a patient or picture is in TRUTH."),
    ] = [],  # noqa: B006  typer copies it
    matrix: Annotated[bool, typer.Option("--matrix", help="Score every --model on every --truth.")] = False,
    model: Annotated[list[str], typer.Option(metavar="NAME=MODEL", help="With --matrix: a checkpoint.")] = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="With --matrix: folder for table and heat map.")] = None,
    min_score: MinScore = MIN_SCORE,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score found cells against annotated ones: detection AP, attribute F1; or models on data sets, as a matrix."""
    from bloodfilm.errors import UserError
    from bloodfilm.evaluation.report import evaluate as score
    from bloodfilm.evaluation.report import to_json
    from bloodfilm.io.annotated import check_format, read_annotated
    from bloodfilm.io.coco import parse_coco, pictures_of, to_fields

    if matrix:
        if found or trained_on or not (model and out):
            raise UserError("--matrix takes --model NAME=MODEL, --truth NAME=FILE and --out DIR.")
        result = _matrix(_pairs("--model", model), _pairs("--truth", truth), out, min_score, device)
        if as_json:
            typer.echo(to_json(result.to_dict()))
        else:
            _show_matrix(result)
        return
    if len(truth) > 1 or found is None or model or out:
        raise UserError("Give one --truth and one --found; several, and --model and --out, go with --matrix.")
    annotated = read_annotated(truth[0], test=True, keep_missing=True)
    trained = [field for path in trained_on for field in read_annotated(path, keep_missing=True)]
    tell_unreviewed(annotated)
    check_format(found)
    content = parse_coco(found)
    cells = to_fields(content, found, pictures_of(content, found).find)
    learned = trained if trained_on else None
    scores = score(annotated, cells, min_score, learned, score_of=content.info.get("score_of", "cell"))
    if as_json:
        typer.echo(to_json(scores))
    else:
        _show(scores)


def _pairs(option: str, texts: list[str]) -> dict[str, str]:
    from bloodfilm.errors import UserError

    pairs = [text.partition("=") for text in texts]
    if wrong := [text for text, (name, _, value) in zip(texts, pairs, strict=True) if not (name and value)]:
        raise UserError(f"{option} {wrong[0]}: with --matrix it is NAME=FILE.")
    names = [name for name, _, _ in pairs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"{option}: the name {min(twice)} is given twice.")
    return {name: value for name, _, value in pairs}


def _matrix(models: dict[str, str], truths: dict[str, str], out: Path, min_score: float, device: str) -> Matrix:
    from bloodfilm.evaluation.matrix import score_matrix

    make_folder(out)
    with progress_bar() as progress:
        task = progress.add_task("Scoring", total=None)
        result = score_matrix(
            models,
            truths,
            out,
            min_score,
            device,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    console.print(f"Table and heat map -> {out / 'matrix.html'}", soft_wrap=True)
    return result


def _show_matrix(matrix: Matrix) -> None:
    table = Table("AP50", *matrix.truths, title="Trained on (rows), tested on (columns)")
    for name, row in zip(matrix.models, matrix.values("ap50"), strict=True):
        table.add_row(name, *map(_text, row))
    Console().print(table)
    for line in matrix.notes:
        typer.echo(line)


def _show(scores: dict[str, Any]) -> None:
    protocol, missing = scores["protocol"], scores["protocol"]["not_searched"]
    title = f"Detection, with {len(missing)} pictures that were not searched" if missing else "Detection"
    detection = Table("", "cells", "AP50", "AP", "recall", "false/field", title=title)
    means = {f"mean of types, {name}": row for name, row in scores["mean_types"].items()}
    for name, row in ({"all cells": scores["detection"]} | means | scores["types"]).items():
        numbers = [_with_interval(row, "ap50"), _with_interval(row, "ap")]
        detection.add_row(
            name, str(row["cells"]), *numbers, _text(row.get("recall")), _text(row.get("false_per_field"))
        )
    reading = Table("", "cells", "macro-F1", "accuracy", title="Types and attributes of cells found")
    for name, row in (scores["attributes"] | {"mean of attributes": scores["mean_attributes"]}).items():
        reading.add_row(name, _text(row.get("cells")), _with_interval(row, "macro_f1"), _text(row.get("accuracy")))
    for table in (detection, reading):
        Console().print(table)
    typer.echo(f"Recall, false cells and attributes at a score of {protocol['min_score']}.")
    drawn, times = protocol["drawn"], protocol["draws"]
    brackets = f"Brackets: {protocol['level']:.0%} confidence, {drawn} drawn {times} times."
    typer.echo(brackets if times else f"Without intervals of confidence: {drawn}.")
    if protocol["labelled_in_part"]:
        typer.echo(
            f"Fields labelled in part: {protocol['labelled_in_part']}. Cells found elsewhere on them are neither right "
            f"nor wrong: {protocol['found_elsewhere']}."
        )
    if missing:
        shown = ", ".join(missing[:MOST_NAMED]) + (", ..." if len(missing) > MOST_NAMED else "")
        typer.echo(
            f"NOT SEARCHED: {len(missing)} of {scores['detection']['fields']} pictures of the truth are not in the "
            f"found file; all their cells count as missed: {shown}. Search them too, or leave them out of the truth."
        )
    if protocol["without_truth"]:
        typer.echo(f"Pictures searched that have no truth, and do not count: {protocol['without_truth']}.")
    typer.echo(f"Leakage: {protocol['leakage']}")


def _with_interval(row: dict[str, Any], name: str) -> str:
    low, high = row.get(f"{name}_interval", (math.nan, math.nan))
    return _text(row[name]) + ("" if math.isnan(low) else f" [{low:.3f}, {high:.3f}]")


def _text(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
