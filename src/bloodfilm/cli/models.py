"""Models and what their cards say: models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bloodfilm.cli.options import console
from bloodfilm.weights import available

if TYPE_CHECKING:
    from bloodfilm.nets.checkpoint import Card

SCORES = {"cells": "cells", "ap50": "AP50", "ap": "AP", "recall": "recall", "false_per_field": "false a field"}
"""Columns of the scores in a card, and what they are called."""


def models(
    names: Annotated[list[str] | None, typer.Argument(help="Names or files; by default all that there are.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole cards, as one JSON list.")] = False,
) -> None:
    """Show the models that come with the package and your own, with their cards."""
    from bloodfilm.errors import UserError
    from bloodfilm.nets.checkpoint import read_card

    cards = []
    for name in names or available():
        try:
            cards.append(read_card(name))
        except UserError as error:
            if names:
                raise
            console.print(f"{name}: {error}", soft_wrap=True)
    out = Console(markup=False, highlight=False)
    if as_json:
        out.print_json(data=[card.model_dump(mode="json", exclude={"vocabulary"}) for card in cards])
        return
    for card in cards:
        out.print(_describe(card), "")


def _describe(card: Card) -> Group:
    """Return what a user wants to know of a model, as text that fits the window."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True)
    facts.add_column()
    for label, lines in {
        "network": [f"{card.method}, size {card.size}, pictures of {card.image_size} px"],
        "names": [", ".join(card.classes)],
        "reads": [", ".join(card.attributes)],
        "learned from": card.data,
        "limits": card.limits,
    }.items():
        for number, line in enumerate(filter(None, lines)):
            facts.add_row("" if number else label, line)
    parts: list[RenderableType] = [
        Text(card.name, "bold"),
        Padding(Text(card.description), (0, 2)),
        Padding(facts, (0, 2)),
    ]
    rows = {source: row for source, row in card.scores.items() if isinstance(row, dict)}
    if rows:
        table = Table("scores", box=None, padding=(0, 2, 0, 0))
        for title in SCORES.values():
            table.add_column(title, justify="right")
        for source, row in rows.items():
            values = (row.get(key, "") for key in SCORES)
            table.add_row(source, *(f"{value:.3f}" if isinstance(value, float) else str(value) for value in values))
        parts.append(Padding(table, (1, 2)))
    return Group(*parts)
