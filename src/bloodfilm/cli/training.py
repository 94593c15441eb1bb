"""Commands that make models: train, import-weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bloodfilm.cli.options import Device, Out, console, make_folder, tell_unreviewed

if TYPE_CHECKING:
    from bloodfilm.cells import Field
    from bloodfilm.nets.sizes import Size
    from bloodfilm.training.method import Method
    from bloodfilm.training.project import MethodName

METHODS = ("attridet", "sladet", "sladet-pseudo", "sladet-published", "adapt")


def train(
    context: typer.Context,
    fields: Annotated[
        list[Path],
        typer.Argument(
            metavar="FIELDS...",
            help="COCO files, pictures beside them or as in LLD; LLD or parts of it, of several splits without test. "
            "Or project.json of a training in napari: all but OUT is as it says.",
        ),
    ],
    out: Out,
    method: Annotated[
        str,
        typer.Option(
            help="attridet: on full labels. sladet: on fields labelled in part. sladet-pseudo: with pseudo-labels, "
            "too. sladet-published: by its authors' recipe, for comparison only. adapt: from FIELDS to the pictures of "
            "--target."
        ),
    ] = "attridet",
    target: Annotated[
        list[Path], typer.Option(help="For adapt: pictures, folders or COCO files; labels are not read.")
    ] = [],  # noqa: B006  typer copies it
    by: Annotated[
        str, typer.Option(help="For adapt: reinhard or macenko, statistics, teacher, mixing, with commas between.")
    ] = "",
    validation: Annotated[
        Path | None, typer.Option(help="Fields to select on; by default a tenth of the fields, by their names.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="n, s, m, l or x; by default that of --init, else n.")] = None,
    init: Annotated[str | None, typer.Option(help="Model name or checkpoint to start from.")] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 100,
    image_size: Annotated[int, typer.Option(min=64, help="Pixels a side, a multiple of 32.")] = 640,
    batch: Annotated[int, typer.Option(min=1)] = 16,
    device: Device = "auto",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT.")] = False,
) -> None:
    """Train a model on annotated fields; write best.safetensors and log.csv to OUT."""
    from bloodfilm.errors import UserError
    from bloodfilm.training.project import PROJECT

    if [path.name for path in fields] == [PROJECT]:
        _train_project(fields[0].parent, out, resume, context)
        return
    if method not in METHODS:
        raise UserError(f"--method {method}: give one of {', '.join(METHODS)}.")
    if (method == "adapt") != bool(target):
        raise UserError("--method adapt needs --target, and no other method takes it.")
    if method == "adapt" and (init is None or _given(context) & {"size", "image_size"}):
        raise UserError("--method adapt needs --init, a model that learned from FIELDS, whose sizes it keeps.")
    if by and method != "adapt":
        raise UserError(f"--by says how to adapt; --method {method} does not.")
    if size not in (None, *"nsmlx") or image_size % 32:
        raise UserError("--size is one of n, s, m, l, x, and --image-size a multiple of 32.")
    if method == "adapt":
        from bloodfilm.training.adaptation import adapt, unlabelled, ways_of

        ways = ways_of(by)
    annotated = _read_annotated(fields, method)

    from bloodfilm.detection.devices import describe, fastest_precision, resolve_device
    from bloodfilm.io.annotated import read_annotated
    from bloodfilm.training.loop import train as run
    from bloodfilm.training.settings import Settings
    from bloodfilm.training.split import split_fields

    make_folder(out)

    chosen, held = (annotated, read_annotated(validation)) if validation else split_fields(annotated)
    tell_unreviewed((*chosen, *held))
    settings = Settings(cast("Size | None", size), init, epochs, image_size, batch, device, seed)
    where = resolve_device(device)
    running_on = describe(where, fastest_precision(where))
    console.print(f"{len(chosen)} fields to train on, {len(held)} to select on, on {running_on}")
    if method == "adapt":
        pictures = unlabelled(target)
        console.print(f"{len(pictures)} pictures to adapt to")
        weights = adapt(str(init), chosen, held, pictures, out, settings, ways, resume, _report)
        console.print(f"Adapted weights: {weights}")
        return
    best = run(chosen, held, out, settings, resume, _report, method=_method(method, init))
    console.print(f"Best weights: {best}")


def _train_project(folder: Path, out: Path, resume: bool, context: typer.Context) -> None:
    """Train as the project in `folder` says."""
    from bloodfilm.errors import UserError
    from bloodfilm.training.fine_tune import compare, fine_tune
    from bloodfilm.training.loop import STATE

    if other := _given(context) - {"fields", "out", "resume"}:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(other))
        raise UserError(f"{folder / 'project.json'} says how to train: leave out {named}, or change it there.")
    make_folder(out)
    if (out / STATE).exists() != resume:
        raise UserError(f"{out} holds {'a run already: give --resume' if not resume else 'no run to resume'}.")
    best = fine_tune(folder, out, _report)
    if not best.exists():
        raise UserError(f"{folder / 'project.json'}: its minutes were over before the first round; give it more.")
    for when, scores in compare(folder, out).items():
        console.print(f"{when}: AP50 {scores['ap50']:.3f}, AP {scores['ap']:.3f}")
    console.print(f"Best weights: {best}")


def _given(context: typer.Context) -> set[str]:
    """Return the names of what the user gave."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def _report(row: dict[str, float]) -> None:
    console.print("  ".join(f"{name} {value:.4g}" for name, value in row.items() if not math.isnan(value)))


def _read_annotated(paths: list[Path], method: str) -> list[Field]:
    """Return the fields in `paths` as `method` learns from them; refuse those that it cannot learn from."""
    from bloodfilm.errors import UserError
    from bloodfilm.io.annotated import read_annotated

    if method not in ("attridet", "adapt"):
        return [field for path in paths for field in _read_sparse(path)]
    annotated = [field for path in paths for field in read_annotated(path)]
    if in_part := [field.name for field in annotated if field.is_labelled_in_part]:
        raise UserError(
            f"--method {method}: {len(in_part)} fields are labelled in part only, as is {in_part[0]}; see sladet."
        )
    return annotated


def _read_sparse(path: Path) -> list[Field]:
    from bloodfilm.io.sparse import read_sparse

    fields, notes = read_sparse(path)
    for line in notes:
        console.print(line, soft_wrap=True)
    return fields


def _method(name: str, init: str | None) -> Method:
    from bloodfilm.training.fine_tune import usual_method
    from bloodfilm.training.published import Published
    from bloodfilm.training.settings import SparseSettings
    from bloodfilm.training.sparse import Sparse

    if name == "sladet-pseudo":
        return Sparse(SparseSettings(pseudo=True))
    return Published() if name == "sladet-published" else usual_method(cast("MethodName", name), init)


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
    if out.exists():
        raise UserError(f"{out}: there already; move it away or give another name.")
    if published and attributes is None:
        raise UserError("--published says how attributes are read; it needs --attributes HEAD.pth.")
    from bloodfilm.nets.checkpoint import save
    from bloodfilm.nets.yolov5_import import import_weights as take_over

    network, card = take_over(detector, attributes, published)
    make_folder(out.parent)
    save(out, network, card)
    read = f"{len(card.attributes)} attributes" if card.attributes else "no attributes"
    console.print(f"size {card.size}, {len(card.classes)} classes, {read}, {card.image_size} px -> {out}")
