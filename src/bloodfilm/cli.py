"""The command line: thin, over the public API."""

from __future__ import annotations

import csv
import json
import math
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bloodfilm.weights import DEFAULT_MODEL, MIN_SCORE, available

if TYPE_CHECKING:
    from bloodfilm.cells import Cells, Field
    from bloodfilm.io.lld.report import Report
    from bloodfilm.nets.yolo import Size

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Find white blood cells on blood films, name their type and read their morphology. Not a diagnosis.",
)
console = Console(stderr=True, highlight=False, markup=False)

UNUSABLE, SOME_FAILED = 2, 3
RESULTS = ("cells.json", "cells.csv", "candidates.json", "failed.csv")

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Model = Annotated[str, typer.Option(help="Name of a model (see `bloodfilm models`) or a checkpoint file.")]
MinScore = Annotated[float, typer.Option(min=0, max=1, help="Leave out cells with a lower score.")]
Out = Annotated[Path, typer.Option(help="Folder for the results.")]


def main() -> None:
    """Run the command line; a call that cannot be carried out ends with status 2 and one line that says why."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"
    from bloodfilm.errors import UserError

    try:
        app()
    except UserError as error:
        console.print(f"bloodfilm: {error}", style="red", soft_wrap=True)
        sys.exit(UNUSABLE)


@app.command()
def detect(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Pictures or folders of pictures.")],
    out: Out,
    model: Model = DEFAULT_MODEL,
    format: Annotated[str, typer.Option(help="coco, csv or both with a comma between.")] = "coco,csv",  # noqa: A002
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
    from bloodfilm.io.images import find_images

    formats = _formats(format) | ({"candidates"} if keep_candidates else set())
    pictures = find_images(paths)
    if not pictures:
        raise UserError(f"There is no picture in {', '.join(map(str, paths))}.")
    common = _common_folder(paths)
    _make_folder(out)

    from bloodfilm.detection.batches import detect_files
    from bloodfilm.detection.detector import LOWEST_SCORE, Detector
    from bloodfilm.detection.provenance import provenance

    detector = Detector(model, device)
    console.print(f"{len(pictures)} pictures with {detector.card.name} on {detector.running_on}")
    fields: list[Field] = []
    failures: list[tuple[str, str]] = []
    lowest = LOWEST_SCORE if keep_candidates else min_score
    try:
        with _progress() as progress:
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
            count = _write_results(out, formats, fields, failures, info, lowest)
            console.print(f"{count} cells on {len(fields)} of {len(pictures)} pictures -> {out}")
            _tell_unlike(fields)
    if failures:
        console.print(f"{len(failures)} pictures failed, listed in {out / 'failed.csv'}", style="red")
        console.print("the first: " + ": ".join(failures[0]), style="red", soft_wrap=True)
        raise typer.Exit(SOME_FAILED)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("bloodfilm-demo"),
    gui: Annotated[bool, typer.Option("--gui", help="Open napari with the result.")] = False,
    device: Device = "auto",
) -> None:
    """Find the cells on an embedded synthetic field: table on screen, overlay picture, CSV."""
    from PIL import Image

    from bloodfilm.cells import Field
    from bloodfilm.detection.detector import Detector
    from bloodfilm.io.overlay import draw_overlay
    from bloodfilm.io.table import write_csv
    from bloodfilm.synth import sample_field

    _make_folder(out)
    picture, _ = sample_field()
    detector = Detector(device=device)
    cells = detector.detect(picture)
    Image.fromarray(picture).save(out / "field.png")
    Image.fromarray(draw_overlay(picture, cells)).save(out / "overlay.png")
    height, width = picture.shape[:2]
    write_csv(out / "cells.csv", [Field(out / "field.png", cells, width, height, name="field.png")])
    Console().print(
        _cell_table(cells, f"{len(cells)} white blood cells, {detector.card.name} on {detector.running_on}")
    )
    console.print(
        f"Picture, overlay and table are in {out}. The cells are drawn: the model learned types from real ones, "
        "and at times gives drawn ones another, or none. Research software: not a diagnosis."
    )
    if gui:
        from bloodfilm.napari.demo import show_demo

        show_demo(picture, cells)


@app.command()
def train(
    fields: Annotated[
        list[Path], typer.Argument(metavar="FIELDS...", help="COCO files, pictures beside them or as in LLD.")
    ],
    out: Out,
    method: Annotated[str, typer.Option(help="attridet: trained on full labels.")] = "attridet",
    validation: Annotated[
        Path | None, typer.Option(help="COCO file to select on; by default a tenth of the fields, by their names.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="n, s, m, l or x; by default that of --init, else n.")] = None,
    init: Annotated[str | None, typer.Option(help="Model name or checkpoint to start from.")] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 100,
    image_size: Annotated[int, typer.Option(min=64, help="Pixels a side, a multiple of 32.")] = 640,
    batch: Annotated[int, typer.Option(min=1)] = 16,
    device: Device = "auto",
    seed: int = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT.")] = False,
) -> None:
    """Train a model on annotated fields; write best.safetensors and log.csv to OUT."""
    from bloodfilm.errors import UserError
    from bloodfilm.io.coco import read_coco

    if method != "attridet":
        raise UserError(f"--method {method}: attridet is the only method of this version.")
    if size not in (None, *"nsmlx") or image_size % 32:
        raise UserError("--size is one of n, s, m, l, x, and --image-size a multiple of 32.")
    annotated = [field for path in fields for field in read_coco(path)]
    if in_part := [field.name for field in annotated if field.is_labelled_in_part]:
        raise UserError(f"--method attridet: {len(in_part)} fields are labelled in part only, as is {in_part[0]}.")

    from bloodfilm.detection.devices import describe, fastest_precision, resolve_device
    from bloodfilm.training.split import split_fields
    from bloodfilm.training.supervised import Settings
    from bloodfilm.training.supervised import train as run

    _make_folder(out)
    chosen, held = (annotated, read_coco(validation)) if validation else split_fields(annotated)
    settings = Settings(cast("Size | None", size), init, epochs, image_size, batch, device, seed)
    where = resolve_device(device)
    running_on = describe(where, fastest_precision(where))
    console.print(f"{len(chosen)} fields to train on, {len(held)} to select on, on {running_on}")

    def report(row: dict[str, float]) -> None:
        console.print("  ".join(f"{name} {value:.4g}" for name, value in row.items()))

    console.print(f"Best weights: {run(chosen, held, out, settings, resume, report)}")


@app.command()
def import_weights(
    detector: Annotated[Path, typer.Argument(metavar="DETECTOR.pt", help="What YOLOv5 v6 or v7 trained.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.safetensors", help="The checkpoint to write.")],
    attributes: Annotated[
        Path | None, typer.Option(metavar="HEAD.pth", help="Attribute head that AttriDet's code trained.")
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Round boxes for attributes as AttriDet's code does.")
    ] = False,
) -> None:
    """Turn YOLOv5 weights into a checkpoint; no code in the files is run."""
    from bloodfilm.errors import UserError

    if out.suffix != ".safetensors":
        raise UserError(f"{out}: call the checkpoint to write something.safetensors.")
    if published and attributes is None:
        raise UserError("--published says how attributes are read; it needs --attributes HEAD.pth.")
    from bloodfilm.nets.checkpoint import save
    from bloodfilm.nets.yolov5_import import import_weights as take_over

    network, card = take_over(detector, attributes, published)
    _make_folder(out.parent)
    save(out, network, card)
    read = f"{len(card.attributes)} attributes" if card.attributes else "no attributes"
    console.print(f"size {card.size}, {len(card.classes)} classes, {read}, {card.image_size} px -> {out}")


@app.command()
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


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="LLD's root, a subset, a json file, a folder of text labels, a zip.")],
    dest: Annotated[Path | None, typer.Argument(help="A new .json file, or a folder for a file a split.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing: only tell what is there.")] = False,
    format: Annotated[str, typer.Option(help="coco, lld-json, txt12 or yolo.")] = "coco",  # noqa: A002
    clean: Annotated[bool, typer.Option("--clean", help="Drop boxes that are known to be wrong.")] = False,
    keep_missing: Annotated[
        bool, typer.Option("--keep-missing", help="Keep labels of pictures that are not there.")
    ] = False,
    regions: Annotated[
        str | None, typer.Option(help='How to read labelled regions, such as "xyxy pixels"; by default as fits best.')
    ] = None,
) -> None:
    """Read labels of the Large Leukemia Dataset as they were downloaded; write them as COCO, LLD's json or text."""
    from bloodfilm.errors import UserError
    from bloodfilm.io.lld.convert import losses, write_dataset
    from bloodfilm.io.lld.dataset import read_lld

    if check == (dest is not None):
        raise UserError("Give DEST to write to, or --check to only look.")
    dataset = read_lld(source, clean, keep_missing or check, regions)
    _show_report(dataset.report)
    if dest:
        try:
            written = write_dataset(dest, dataset, format)
        except OSError as error:
            raise UserError(f"{dest}: {error.strerror}.") from None
        for line in losses(dataset.fields, format):
            console.print(line, soft_wrap=True)
        console.print(f"{len(dataset.fields)} fields -> {', '.join(map(str, written))}", soft_wrap=True)


@app.command()
def synth(
    out: Out,
    fields: Annotated[int, typer.Option(min=1, help="Number of fields; with --lld, of each subset.")] = 10,
    lld: Annotated[
        bool, typer.Option("--lld", help="A whole Large Leukemia Dataset instead, as users found it, faults included.")
    ] = False,
    seed: int = 0,
) -> None:
    """Draw synthetic blood-film fields with exact labels: pictures and fields.json (COCO)."""
    _make_folder(out)
    if lld:
        from bloodfilm.synth.lld import write_lld

        write_lld(out, fields, seed)
        console.print(f"{fields} fields a subset -> {out}")
        return
    from PIL import Image

    from bloodfilm.cells import Field
    from bloodfilm.io.coco import write_coco
    from bloodfilm.synth import draw_field

    written = []
    (out / "images").mkdir(exist_ok=True)
    for number in range(fields):
        name = f"images/field_{number:04d}.png"
        picture, cells = draw_field(seed=seed + number)
        Image.fromarray(picture).save(out / name)
        written.append(Field(out / name, cells, picture.shape[1], picture.shape[0], name=name))
    write_coco(out / "fields.json", written)
    console.print(f"{fields} fields -> {out}")


@app.command()
def models() -> None:
    """List the models that come with the package, with their cards."""
    from bloodfilm.nets.checkpoint import read_card

    for name in available():
        Console().print_json(read_card(name).model_dump_json(exclude={"vocabulary"}))


def _show_report(report: Report) -> None:
    table = Table(*report.rows[0], box=None, padding=(0, 1, 0, 0))
    for row in report.rows:
        table.add_row(*map(str, row.values()))
    Console().print(table)
    typer.echo(str(report))


def _formats(text: str) -> set[str]:
    from bloodfilm.errors import UserError

    formats = set(text.split(","))
    if unknown := formats - {"coco", "csv"}:
        raise UserError(f"--format {', '.join(sorted(unknown))}: give coco, csv or coco,csv.")
    return formats


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)


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


def _make_folder(out: Path) -> None:
    """Make the folder `out`; raise `UserError` if it cannot be written to."""
    from bloodfilm.errors import UserError

    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise UserError(f"--out {out}: {error.strerror}.") from None


def _named(field: Field, common: str) -> Field:
    """Name the picture by its path relative to the folder `common`, by its whole path without one."""
    from dataclasses import replace

    name = os.path.relpath(field.path, common) if common else os.path.abspath(field.path)
    return replace(field, name=Path(name).as_posix())


def _write_results(
    out: Path,
    formats: set[str],
    fields: list[Field],
    failures: list[tuple[str, str]],
    info: dict[str, Any],
    lowest: float,
) -> int:
    """Write what was found in place of all results of an earlier run; return the number of cells."""
    from bloodfilm.io.coco import write_coco
    from bloodfilm.io.table import write_csv

    for name in RESULTS:
        (out / name).unlink(missing_ok=True)
    if "candidates" in formats:
        write_coco(out / "candidates.json", fields, info | {"min_score": lowest})
        fields = [_above(field, info["min_score"]) for field in fields]
    if "coco" in formats:
        write_coco(out / "cells.json", fields, info)
    if "csv" in formats:
        write_csv(out / "cells.csv", fields)
    if failures:
        _write_failures(out / "failed.csv", failures)
    return sum(len(field.cells) for field in fields)


def _tell_unlike(fields: list[Field]) -> None:
    if new := sum((field.cells.novelty or 0) > 1 for field in fields):
        console.print(f"{new} unlike the pictures that the model learned from (novelty above 1): check them")


def _above(field: Field, min_score: float) -> Field:
    from dataclasses import replace

    return replace(field, cells=field.cells[field.cells.scores >= min_score])


def _without_nan(value: Any) -> Any:
    """Return `value` with None, which JSON can say, for NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _write_failures(path: Path, failures: list[tuple[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "reason"), *failures])
