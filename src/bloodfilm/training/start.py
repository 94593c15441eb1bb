"""The network that a run begins with."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bloodfilm.cells import Field
from bloodfilm.errors import UserError
from bloodfilm.nets.attridet import AttriDet, taken_over, with_auxiliary
from bloodfilm.nets.checkpoint import NOT_A_DIAGNOSIS, Card, load
from bloodfilm.vocabulary import AUXILIARY, UNKNOWN

if TYPE_CHECKING:
    from bloodfilm.training.settings import Settings

MOST_NAMED = 20
"""Pictures without a source that a card names one by one."""
FEW_NAMED = 10
"""Cells with a type or attribute below which the old model is trusted more to name them."""


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


def described(card: Card, before: Card | None, name: str, method: str, fields: Sequence[Field]) -> Card:
    """Return `card` with the `name` of a run, how and what it learned, and what the model `before` it had learned."""
    learned = {field.path: field for field in fields}.values()
    cells = sum(len(field.cells) for field in learned)
    sources = sorted({field.source for field in learned} - {""})
    pictures = sorted(field.path.name for field in learned if not field.source)
    if len(pictures) > MOST_NAMED:
        pictures = [f"{len(pictures)} pictures, {pictures[0]} to {pictures[-1]}"]
    told = {
        "name": name,
        "method": method,
        "description": f"Trained from {before.name if before else 'nothing'} on {len(learned)} fields with {cells} "
        "labelled cells.",
        "data": list(dict.fromkeys([*(before.data if before else []), *sources, *pictures])),
        "limits": before.limits if before and before.limits and not _new_names(card, before) else [NOT_A_DIAGNOSIS],
    }
    return card.model_copy(update=told)


def shares_kept(settings: Settings, card: Card, before: Card | None, fields: Sequence[Field]) -> tuple[float, float]:
    """Return which shares of the weights `before` a run are left: in what finds cells, and in what reads them.

    They are those of `settings`. If the second is None, it is three quarters where fewer than `FEW_NAMED` cells have a
    type or attribute, else a quarter: a handful of cells, mostly of one type, would teach that all are of it. Nothing
    is left of an imported model or one without red cells where these are learned, and nothing of what reads where a
    type or attribute is new.
    """
    if before is None or (before.head, before.auxiliary) != ("own", card.auxiliary):
        return 0.0, 0.0
    if _new_names(card, before):
        return settings.kept, 0.0
    if settings.kept_readings is not None:
        return settings.kept, settings.kept_readings
    cells = {field.path: field.cells for field in fields}.values()
    named = sum(int((np.column_stack((c.codes, c.attributes)) != UNKNOWN).any(1).sum()) for c in cells)
    return settings.kept, 0.75 if named < FEW_NAMED else 0.25


def _new_names(card: Card, before: Card) -> set[str]:
    """Return the types and attributes that `before` did not know."""
    return {*card.classes, *card.attributes} - {*before.classes, *before.attributes}
