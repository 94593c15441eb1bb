"""The network that a run begins with."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bloodfilm.cells import Field
from bloodfilm.errors import UserError
from bloodfilm.nets.attridet import AttriDet, taken_over, with_auxiliary
from bloodfilm.nets.checkpoint import NOT_A_DIAGNOSIS, Card, load
from bloodfilm.vocabulary import AUXILIARY, UNKNOWN

if TYPE_CHECKING:
    from bloodfilm.training.settings import Settings

MOST_NAMED = 20
"""Sources, or pictures without one, that a card names one by one."""


def begin(settings: Settings, fields: Sequence[Field]) -> tuple[AttriDet, Card]:
    """Return the network to begin with, and a card that says what `fields` can teach it."""
    vocabulary = fields[0].cells.vocabulary
    labelled = list(AUXILIARY) if any(field.auxiliary for field in fields) else []
    if settings.init:
        network, card = load(settings.init)
        if card.stain:
            raise UserError(
                f"{settings.init} sees pictures in other colours: start from the model that it was adapted from."
            )
        if settings.size not in (None, card.size):
            raise UserError(f"{settings.init} has the size {card.size}; it cannot be trained as size {settings.size}.")
        if card.head != "own":
            network, taken, known = taken_over(network, vocabulary)
            warnings.warn(f"{settings.init}: {taken} of {known} tensors fit and are taken over.", stacklevel=2)
            card = Card(name=card.name, size=card.size, vocabulary=vocabulary)
        if card.vocabulary != vocabulary:
            raise UserError(f"{settings.init} has another vocabulary than the labels; convert the labels first.")
        network.novelty.limit.zero_()
        size, classes, attributes, auxiliary = card.size, set(card.classes), set(card.attributes), card.auxiliary
        if labelled and not auxiliary:
            network, auxiliary = with_auxiliary(network, len(labelled)), labelled
    else:
        size, classes, attributes, auxiliary = settings.size or "n", set(), set(), labelled
        network = AttriDet(size, vocabulary, len(auxiliary))
    codes = {int(code) for field in fields for code in field.cells.codes}
    classes |= {name for code, name in enumerate(vocabulary.classes) if code in codes}
    for column, name in enumerate(vocabulary.attribute_names):
        if any((field.cells.attributes[:, column] != UNKNOWN).any() for field in fields):
            attributes.add(name)
    return network, Card(
        name="trained",
        size=size,
        image_size=settings.image_size,
        vocabulary=vocabulary,
        classes=[name for name in vocabulary.classes if name in classes],
        auxiliary=auxiliary,
        attributes=[name for name in vocabulary.attribute_names if name in attributes],
        red_cells=settings.red_cells or (card.red_cells if settings.init else None) if auxiliary else None,
        patients=card.patients if settings.init else [],
    )


def described(card: Card, name: str, method: str, init: str | None, fields: Sequence[Field]) -> Card:
    """Return `card` with the `name` of a run, what it learned from and how."""
    learned = {field.path: field for field in fields}.values()
    cells = sum(len(field.cells) for field in learned)
    data = sorted({field.source or field.path.name for field in learned})
    told = {
        "name": name,
        "method": method,
        "description": f"Trained from {Path(init).name if init else 'nothing'} on {len(learned)} fields with {cells} "
        "labelled cells.",
        "data": data if len(data) <= MOST_NAMED else [f"{len(data)} pictures, {data[0]} to {data[-1]}"],
        "limits": [NOT_A_DIAGNOSIS],
    }
    return card.model_copy(update=told)
