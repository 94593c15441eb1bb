"""Commands on labels: convert, synth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from bloodfilm.cli.options import Out, console, make_folder

if TYPE_CHECKING:
    from bloodfilm.io.lld.report import Report


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


def synth(
    out: Out,
    fields: Annotated[int, typer.Option(min=1, help="Number of fields; with --lld, of each subset.")] = 10,
    lld: Annotated[
        bool, typer.Option("--lld", help="A whole Large Leukemia Dataset instead, as users found it, faults included.")
    ] = False,
    seed: int = 0,
) -> None:
    """Draw synthetic blood-film fields with exact labels: pictures and fields.json (COCO)."""
    make_folder(out)
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


def _show_report(report: Report) -> None:
    table = Table(*report.rows[0], box=None, padding=(0, 1, 0, 0))
    for row in report.rows:
        table.add_row(*map(str, row.values()))
    Console().print(table)
    typer.echo(str(report))
