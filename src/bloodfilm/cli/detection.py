"""Commands that find cells: detect, demo."""

from __future__ import annotations

import csv
import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bloodfilm.cli.earlier import FILES, RESULTS, check_earlier
from bloodfilm.cli.options import SOME_FAILED, Device, MinScore, Model, Out, console, make_folder, progress_bar
from bloodfilm.vocabulary import number_of
from bloodfilm.weights import DEFAULT_MODEL, MIN_SCORE

if TYPE_CHECKING:
    from bloodfilm.cells import Cells, Field


def detect(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Pictures or folders of pictures.")],
    out: Out,
    model: Model = DEFAULT_MODEL,
    format: Annotated[  # noqa: A002
        str, typer.Option(help="One or more of coco, csv, geojson and yolo with commas between.")
    ] = "coco,csv",
    min_score: MinScore = MIN_SCORE,
    device: Device = "auto",
    tile: Annotated[int | None, typer.Option(min=64, help="Search in tiles of this many pixels a side.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures or tiles in one pass.")] = 8,
    region: Annotated[
        tuple[int, int, int, int] | None, typer.Option(metavar="X0 Y0 X1 Y1", help="Search this part, in pixels.")
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option(min=0.001, help="Micrometres per pixel, where the red cells do not tell.")
    ] = None,
    keep_candidates: Annotated[
        bool, typer.Option("--keep-candidates", help="Also write candidates.json, with scores down to 0.001.")
    ] = False,
) -> None:
    """Find the white blood cells on pictures; write cells.json (COCO) and cells.csv to OUT."""
    from bloodfilm.errors import UserError
    from bloodfilm.io.files import way_to
    from bloodfilm.io.formats import check_names
    from bloodfilm.io.images import find_images

    formats = _formats(format)
    pictures = find_images(paths)
    if not pictures:
        raise UserError(f"There is no picture in {', '.join(map(str, paths))}.")
    common = _common_folder(paths)
    for kind in formats:
        check_names(kind, [_name(picture, common) for picture in pictures])
    check_earlier(out, formats)
    formats |= {"candidates"} if keep_candidates else set()
    make_folder(out)

    from bloodfilm.detection.batches import detect_files
    from bloodfilm.detection.detector import LOWEST_SCORE, Detector
    from bloodfilm.detection.provenance import provenance

    detector = Detector(model, device)
    console.print(f"{number_of(len(pictures), 'picture')} with {detector.card.name} on {detector.running_on}")
    fields: list[Field] = []
    failures: list[tuple[str, str]] = []
    lowest = LOWEST_SCORE if keep_candidates else min_score
    try:
        with progress_bar() as progress:
            task = progress.add_task("Detecting", total=len(pictures))

            def failed(path: Path, reason: str) -> None:
                failures.append((str(path), reason))
                progress.advance(task)

            for field in detect_files(detector, pictures, lowest, tile, batch, region, failed, pixel_size):
                fields.append(_named(field, common))
                progress.advance(task)
    finally:
        if fields or failures:
            info = provenance(detector, min_score=min_score, tile=tile, region=region, pixel_size=pixel_size)
            info["pictures"] = way_to(common, out) if common else ""
            count = _write_results(out, formats, fields, failures, info, lowest)
            console.print(
                f"{number_of(count, 'cell')} on {len(fields)} of {number_of(len(pictures), 'picture')} -> {out}"
            )
            _tell_unlike(fields)
    if failures:
        console.print(f"{number_of(len(failures), 'picture')} failed, listed in {out / 'failed.csv'}", style="red")
        console.print("the first: " + ": ".join(failures[0]), style="red", soft_wrap=True)
        raise typer.Exit(SOME_FAILED)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("bloodfilm-demo"),
    gui: Annotated[bool, typer.Option("--gui", help="Open napari with the result.")] = False,
    device: Device = "auto",
) -> None:
    """Find the cells on an embedded synthetic field: table on screen, overlay picture, CSV."""
    from PIL import Image

    from bloodfilm.cells import Field
    from bloodfilm.detection.process import DetectionProcess
    from bloodfilm.io.overlay import draw_overlay
    from bloodfilm.io.table import write_csv
    from bloodfilm.synth import sample_field

    make_folder(out)
    picture, _ = sample_field()
    with closing(DetectionProcess()) as process:  # napari is not to be opened where torch is loaded
        outcome = process.detect(picture, DEFAULT_MODEL, device, MIN_SCORE)
    assert outcome is not None
    cells, model = outcome.cells, outcome.provenance["model"]
    Image.fromarray(picture).save(out / "field.png")
    Image.fromarray(draw_overlay(picture, cells)).save(out / "overlay.png")
    height, width = picture.shape[:2]
    write_csv(out / "cells.csv", [Field(out / "field.png", cells, width, height, name="field.png")])
    Console().print(_cell_table(cells, f"{len(cells)} white blood cells, {model} on {outcome.running_on}"))
    console.print(
        f"Picture, overlay and table are in {out}. The cells are drawn: the model learned types from real ones, "
        "and at times gives drawn ones another, or none. Research software: not a diagnosis."
    )
    if gui:
        from bloodfilm.napari.demo import show_demo

        show_demo(picture, cells)


def _formats(text: str) -> set[str]:
    from bloodfilm.errors import UserError

    formats = set(text.split(","))
    if unknown := formats - set(RESULTS):
        raise UserError(f"--format {', '.join(sorted(unknown))}: give one or more of {','.join(RESULTS)}.")
    return formats


def _cell_table(cells: Cells, title: str) -> Table:
    """Show cells in 80 columns: attributes by the last word of their name, those that nobody predicted below."""
    frame = cells.to_frame()
    names = cells.vocabulary.attribute_names
    read = [name for name, codes in zip(names, cells.attributes.T, strict=True) if (codes >= 0).any()]
    silent = [name.replace("_", " ") for name in names if name not in read]
    shown = ["class", "score", *read]
    caption = f"Not predicted: {', '.join(silent)}." if silent else None
    headers = [name.split("_")[-1] for name in shown]
    table = Table(*headers, title=title, caption=caption, box=None, padding=(0, 1, 0, 0))
    for row in frame[shown].itertuples(index=False):
        table.add_row(*(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row))
    return table


def _common_folder(paths: list[Path]) -> str:
    """Return the folder that all given paths have in common, "" if they are on several drives."""
    folders = [os.path.abspath(path if path.is_dir() else path.parent) for path in paths]
    try:
        return os.path.commonpath(folders)
    except ValueError:
        return ""


def _name(picture: Path, common: str) -> str:
    """Name a picture by its path relative to the folder `common`, by its whole path without one."""
    from bloodfilm.io.files import way_to

    return way_to(picture, common) if common else Path(os.path.abspath(picture)).as_posix()


def _named(field: Field, common: str) -> Field:
    from dataclasses import replace

    return replace(field, name=_name(field.path, common))


def _write_results(
    out: Path,
    formats: set[str],
    fields: list[Field],
    failures: list[tuple[str, str]],
    info: dict[str, Any],
    lowest: float,
) -> int:
    """Write what was found in place of all files of an earlier run; return the number of cells."""
    from bloodfilm.errors import UserError
    from bloodfilm.io.formats import write_fields

    old = {out / name for name in FILES}
    if "candidates" in formats:
        old.remove(out / "candidates.json")
        write_fields(out / "candidates.json", fields, info=info | {"min_score": lowest})
        fields = [_above(field, info["min_score"]) for field in fields]
    for kind, name in RESULTS.items():
        if kind in formats:
            old.discard(out / name)
            write_fields(out / name, fields, kind, info)
    if failures:
        old.remove(out / "failed.csv")
        _write_failures(out / "failed.csv", failures)
    try:
        for path in old:
            if not path.is_dir():
                path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}.") from None
    return sum(len(field.cells) for field in fields)


def _tell_unlike(fields: list[Field]) -> None:
    known = [field.cells.novelty for field in fields if field.cells.novelty is not None]
    if new := [novelty for novelty in known if novelty > 1]:
        how_far = f"novelty {min(new):.1f} to {max(new):.1f}, usual is at most 1"
        console.print(
            f"{len(new)} of {len(fields)} unlike the pictures that the model learned from ({how_far}): check them"
        )


def _above(field: Field, min_score: float) -> Field:
    from dataclasses import replace

    return replace(field, cells=field.cells[field.cells.scores >= min_score])


def _write_failures(path: Path, failures: list[tuple[str, str]]) -> None:
    from bloodfilm.errors import UserError
    from bloodfilm.io.files import replacing

    try:
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("path", "reason"), *failures])
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from None
