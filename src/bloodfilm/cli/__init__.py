"""The command line: thin, over the public API."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated

import typer

from bloodfilm import __version__
from bloodfilm.cli.detection import demo, detect
from bloodfilm.cli.evaluation import evaluate
from bloodfilm.cli.film import report
from bloodfilm.cli.labels import convert, synth
from bloodfilm.cli.models import models
from bloodfilm.cli.options import UNUSABLE, console
from bloodfilm.cli.training import import_weights, train

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Find white blood cells on blood films, name their type and read their morphology. Not a diagnosis.",
)
for command in (detect, demo, train, import_weights, evaluate, report, convert, synth, models):
    app.command()(command)


def _tell_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Tell the version and exit.")
    ] = False,
) -> None:
    """Hold what comes before a command."""


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
