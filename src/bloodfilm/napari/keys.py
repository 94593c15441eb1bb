"""The keys of the review: left hand with shift for types, right hand with shift for attributes, without it the rest.

None of them is a key of napari's own for Shapes layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from napari.utils.key_bindings import coerce_keybinding

from bloodfilm.vocabulary import Vocabulary

if TYPE_CHECKING:
    from napari.layers import Shapes

TYPES = dict(
    zip(
        "QWERTASDFGZXCB",
        (
            *("Myeloblast", "Lymphoblast", "Monoblast", "Promonocyte", "Abnormal promyelocyte"),
            *("Neutrophil", "Lymphocyte", "Monocyte", "Eosinophil", "Basophil"),
            *("Myelocyte", "Metamyelocyte", "Atypical lymphocyte", "None"),
        ),
        strict=True,
    )
)
"""Blasts in the upper row, the differential of healthy blood in the middle one, the rest below."""

FURTHER_TYPES = "ASDFGQWERTZXCB"
ATTRIBUTES = "YUIOHJKNM"

CELLS, TYPE, ATTRIBUTE, EDITS = GROUPS = ("cells", "type", "attribute: its next value", "edits")


class Reviewing(Protocol):
    """What the keys act on: a `bloodfilm.napari.review.Review`, which knows them in turn."""

    vocabulary: Vocabulary

    @property
    def layer(self) -> Shapes: ...
    def decide(self, decision: Callable[[list[str]], None]) -> None: ...
    def accept(self, ids: Iterable[str]) -> None: ...
    def reject(self, ids: Iterable[str]) -> None: ...
    def set_class(self, ids: Iterable[str], name: str) -> None: ...
    def turn(self, attribute: str) -> None: ...
    def go_on(self) -> None: ...
    def go_to_doubt(self) -> None: ...
    def want_reading(self) -> None: ...
    def undo(self) -> None: ...
    def redo(self) -> None: ...


@dataclass(frozen=True)
class Key:
    """A key as Qt and napari name it, what it does, in words, and the group that it belongs to."""

    key: str
    what: str
    group: str
    act: Callable[[Reviewing], None]


def keys(vocabulary: Vocabulary) -> list[Key]:
    """Return all keys of the review of cells of a vocabulary; they act on the cells that are selected."""
    return [
        Key("Y", "accept (yes)", CELLS, lambda review: review.decide(review.accept)),
        Key("J", "reject (junk)", CELLS, lambda review: review.decide(review.reject)),
        Key("N", "next that nobody reviewed", CELLS, lambda review: review.go_on()),
        Key("U", "next of the most doubtful (unsure)", CELLS, lambda review: review.go_to_doubt()),
        Key("M", "what the model reads", CELLS, lambda review: review.want_reading()),
        *(
            Key(f"Shift+{letter}", name, TYPE, _typed(name))
            for letter, name in sorted(type_keys(vocabulary).items(), key=lambda item: [*TYPES].index(item[0]))
        ),
        *(
            Key(f"Shift+{letter}", attribute.name.replace("_", " "), ATTRIBUTE, _turned(attribute.name))
            for letter, attribute in zip(ATTRIBUTES, vocabulary.attributes, strict=False)
        ),
        Key("Ctrl+Z", "undo", EDITS, lambda review: review.undo()),
        Key("Ctrl+Shift+Z", "redo", EDITS, lambda review: review.redo()),
    ]


def type_keys(vocabulary: Vocabulary) -> dict[str, str]:
    """Return the type of each letter: those that LLD has too are where they are for it, at most 14 in all."""
    known = {letter: name for letter, name in TYPES.items() if name in vocabulary.classes}
    free = [letter for letter in FURTHER_TYPES if letter not in known]
    further = [name for name in vocabulary.classes if name not in known.values()]
    return known | dict(zip(free, further, strict=False))


def _typed(name: str) -> Callable[[Reviewing], None]:
    return lambda review: review.decide(lambda ids: review.set_class(ids, name))


def _turned(attribute: str) -> Callable[[Reviewing], None]:
    return lambda review: review.turn(attribute)


def bind(review: Reviewing) -> None:
    """Make the keys work while the layer of `review` is active and the canvas has the keyboard."""
    for key in keys(review.vocabulary):
        review.layer.bind_key(coerce_keybinding(key.key), _bound(review, key), overwrite=True)


def _bound(review: Reviewing, key: Key) -> Callable[[object], None]:
    def press(layer: object) -> None:
        key.act(review)

    press.__doc__ = f"{key.what} ({key.group})"
    return press
