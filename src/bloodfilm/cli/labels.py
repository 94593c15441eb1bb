"""Commands on labels: convert, synth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from bloodfilm.cli.options import Out, console, make_folder
from bloodfilm.vocabulary import number_of

if TYPE_CHECKING:
    from bloodfilm.cells import Field
    from bloodfilm.io.lld.report import Report


def convert(
    source: Annotated[
        Path, typer.Argument(help="LLD or a part of it; COCO, CSV, GeoJSON or a folder of them; YOLO text.")
    ],
    dest: Annotated[Path | None, typer.Argument(help="A new .json, .csv or .geojson file, or a folder.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing: only tell what is there.")] = False,
    format: Annotated[  # noqa: A002
        str | None,
        typer.Option(help="coco, csv, geojson, lld-json, txt12 or yolo; by default what DEST's suffix says."),
    ] = None,
    clean: Annotated[bool, typer.Option("--clean", help="Drop boxes that are known to be wrong.")] = False,
    keep_missing: Annotated[
        bool, typer.Option("--keep-missing", help="Keep labels of pictures that are not there.")
    ] = False,
    regions: Annotated[
        str | None, typer.Option(help='How to read labelled regions, such as "xyxy pixels"; by default as fits best.')
    ] = None,
) -> None:
    """Read labels, LLD's as they were downloaded or those of another format; write them in any format."""
    from bloodfilm.errors import UserError
    from bloodfilm.io.formats import SUFFIXES, check_ending, losses, place_in, recognise
    from bloodfilm.io.lld.convert import write_dataset
    from bloodfilm.io.lld.dataset import read_lld

    if check == (dest is not None):
        raise UserError("Give DEST to write to, or --check to only look.")
    if dest:
        check_ending(dest, format)
    kind = format or SUFFIXES.get(dest.suffix.lower() if dest else "", "coco")
    own = recognise(source) if source.is_dir() else SUFFIXES.get(source.suffix.lower())
    if own == "txt12" and (clean or keep_missing or regions):
        own = None
    if own not in (None, "coco"):
        if clean or keep_missing or regions:
            raise UserError(f"{source}: --clean, --keep-missing and --regions are for LLD's labels, not for {own}.")
        fields, written = _convert(source, own, dest, kind)
    else:
        dataset = read_lld(source, clean, keep_missing or check, regions)
        _show_report(dataset.report)
        target = place_in(dest, kind, source.stem) if dest and own else dest
        fields, written = dataset.fields, write_dataset(target, dataset, kind, whole=own is not None) if target else []
    if written:
        for line in losses(fields, kind):
            console.print(line, soft_wrap=True)
        console.print(f"{number_of(len(fields), 'field')} -> {', '.join(map(str, written))}", soft_wrap=True)


def _convert(source: Path, own: str, dest: Path | None, kind: str) -> tuple[list[Field], list[Path]]:
    """Convert what is not LLD's; without `dest` only count."""
    from bloodfilm import __version__
    from bloodfilm.io.formats import named, place_in, write_new

    fields = named(own).read(source)
    cells = number_of(sum(len(field.cells) for field in fields), "cell")
    console.print(f"{own}: {cells} on {number_of(len(fields), 'picture')}", soft_wrap=True)
    if dest is None:
        return fields, []
    info = {"bloodfilm": __version__, "source": source.name}
    return fields, write_new({place_in(dest, kind, source.stem): fields}, kind, info)


def synth(
    out: Out,
    fields: Annotated[int, typer.Option(min=1, help="Number of fields; with --lld, of each subset.")] = 10,
    lld: Annotated[
        bool, typer.Option("--lld", help="A whole Large Leukemia Dataset instead, as users found it, faults included.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Draw synthetic blood-film fields with exact labels: pictures and fields.json (COCO), in place of older ones."""
    make_folder(out)
    if lld:
        from bloodfilm.synth.lld import write_lld

        write_lld(out, fields, seed)
        console.print(f"{number_of(fields, 'field')} a subset -> {out}")
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
    console.print(f"{number_of(fields, 'field')} -> {out}")


def _show_report(report: Report) -> None:
    table = Table(*report.rows[0], box=None, padding=(0, 1, 0, 0))
    for row in report.rows:
        table.add_row(*map(str, row.values()))
    Console().print(table)
    typer.echo(str(report))
