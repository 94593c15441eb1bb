"""What the commands share: options, the console, folders, progress."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from bloodfilm.cells import Field

console = Console(stderr=True, highlight=False, markup=False)

UNUSABLE, SOME_FAILED = 2, 3

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Model = Annotated[str, typer.Option(help="Name of a model (see `bloodfilm models`) or a checkpoint file.")]
MinScore = Annotated[float, typer.Option(min=0, max=1, help="Leave out cells with a lower score.")]
Out = Annotated[Path, typer.Option(help="Folder for the results.")]


def make_folder(out: Path) -> None:
    """Make the folder `out`; raise `UserError` if it cannot be written to."""
    from bloodfilm.errors import UserError

    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise UserError(f"--out {out}: {error.strerror}.") from None


def progress_bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)


def tell_unreviewed(fields: Sequence[Field]) -> None:
    """Say how many cells of `fields`, taken for true, a model found and nobody reviewed."""
    from bloodfilm.review.states import taken_for_true

    if told := taken_for_true(fields):
        console.print(told, soft_wrap=True)
