"""Commands on films: report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast

import typer

from bloodfilm.cli.options import MinScore, console, progress_bar
from bloodfilm.vocabulary import number_of
from bloodfilm.weights import MIN_SCORE


def report(
    found: Annotated[
        list[Path], typer.Argument(metavar="FOUND...", help="COCO files with cells, or folders that detect wrote.")
    ],
    out: Annotated[
        list[Path], typer.Option(help="film.html, film.json or film.csv; give it several times for several.")
    ],
    by: Annotated[
        str,
        typer.Option(help="A film is a patient, folder or file; auto: patient where names tell it, else folder."),
    ] = "auto",
    name: Annotated[
        str, typer.Option(help="What to call the film, if there is one; by default as its pictures' folder.")
    ] = "",
    pictures: Annotated[Path | None, typer.Option(help="Folder of the pictures, if they are not found.")] = None,
    min_score: MinScore = MIN_SCORE,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws for the intervals.")] = 0,
) -> None:
    """Sum up what was found on a film, or on each of many: counts, morphology, quality. Not a diagnosis."""
    from bloodfilm.errors import UserError
    from bloodfilm.film.film import By, read_films
    from bloodfilm.film.report import check_suffix, write_report
    from bloodfilm.film.summary import summarise

    if by not in ("auto", "patient", "folder", "file"):
        raise UserError(f"--by {by}: give auto, patient, folder or file.")
    if pictures and not pictures.is_dir():
        raise UserError(f"--pictures {pictures}: no such folder.")
    for path in out:
        check_suffix(path)
    films = read_films(found, cast("By", by), pictures)
    if name and len(films) > 1:
        raise UserError(f"--name {name}: there are {len(films)} films; with --by file each FOUND is one film.")
    films = [replace(film, name=name or film.name) for film in films]
    with progress_bar() as progress:
        task = progress.add_task("Reading", total=sum(len(film.fields) for film in films))
        summaries = [summarise(film, min_score, seed, lambda: progress.advance(task)) for film in films]
    try:
        written = [write_report(path, summaries)[0] for path in out]
    except OSError as error:
        raise UserError(f"--out {error.filename or out[0]}: {error.strerror}.") from None
    counted = sum(summary.counts.total + summary.counts.unknown for summary in summaries)
    told = f"{number_of(len(films), 'film')}, {number_of(counted, 'cell')} counted"
    console.print(f"{told} -> {', '.join(map(str, written))}", soft_wrap=True)
    if missing := sum(int((summary.pictures["problem"] != "").sum()) for summary in summaries):
        console.print(f"{number_of(missing, 'picture')} could not be read, so the cells are not shown: see --pictures")
