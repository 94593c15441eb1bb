"""Names of cell types, attributes and attribute values; every checkpoint and file carries one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

UNKNOWN = -1
"""Code of a class or attribute value that is not known, not predicted or not applicable."""

UNKNOWN_CLASS = "unknown type"
NOT_PREDICTED = "not predicted"
NOT_ANNOTATED = "not annotated"

COLUMNS = (
    *("image", "x0", "y0", "x1", "y1", "novelty", "class", "score", "class_score", "diameter_um", "id"),
    *("picture", "cluster", "doubt", "status", "type", "attribute", "value"),
)
"""Columns of tables of cells, and of those that reports make of them, that are no attributes."""

AUXILIARY = ("red blood cell", "platelet")
"""What else lies on a film: found to measure by and to tell apart, never reported as a white cell."""

_CLASS_ALIASES = {"unidentified": "none"}
"""Other names of types."""

_RED_CELL, _PLATELET = AUXILIARY
_AUXILIARY_NAMES = {
    "rbc": _RED_CELL,
    "red cell": _RED_CELL,
    "red blood cell": _RED_CELL,
    "erythrocyte": _RED_CELL,
    "platelet": _PLATELET,
    "thrombocyte": _PLATELET,
}


@lru_cache(1024)
def normalise(name: str) -> str:
    """Return `name` in lower case, its words joined by single spaces."""
    return re.sub(r"[\s_-]+", " ", str(name)).strip().lower()


def number_of(count: int, what: str) -> str:
    """Return "1 cell" or "2 cells"."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def auxiliary_kind(name: str) -> str | None:
    """Return the name in `AUXILIARY` that `name` means, in the singular or plural, or None."""
    return _AUXILIARY_NAMES.get(normalise(name).removesuffix("s"))


@dataclass(frozen=True)
class Attribute:
    """One morphological attribute and the words for its values; the code of a value is its position."""

    name: str
    values: tuple[str, ...]

    def code(self, word: object) -> int:
        """Return the code of `word`, or `UNKNOWN` for anything that is not one of the values."""
        wanted = normalise(str(word))
        return next((i for i, value in enumerate(self.values) if normalise(value) == wanted), UNKNOWN)

    def word(self, code: int, missing: str = NOT_PREDICTED) -> str:
        """Return the word of `code`, or `missing` for `UNKNOWN`."""
        return self.values[code] if code >= 0 else missing


@dataclass(frozen=True)
class Vocabulary:
    """Cell types and attributes; the code of a cell type is its position in `classes`."""

    classes: tuple[str, ...]
    attributes: tuple[Attribute, ...] = ()

    def __post_init__(self) -> None:
        values = ((f"value of {a.name}", a.values) for a in self.attributes)
        for kind, names in (("class", self.classes), ("attribute", self.attribute_names), *values):
            said = {normalise(name) for name in names}
            if len(said) < len(names):
                raise ValueError(f"A vocabulary names a {kind} twice: {', '.join(names)}.")
            if taken := said & {"", UNKNOWN_CLASS, NOT_PREDICTED, NOT_ANNOTATED}:
                raise ValueError(f"A vocabulary calls a {kind} {taken.pop()!r}, which says that nothing is known.")
        columns = [*COLUMNS, *(column for name in self.attribute_names for column in (name, f"{name}_score"))]
        if len(set(columns)) < len(columns):
            told = ", ".join(self.attribute_names)
            raise ValueError(f"An attribute has the name of another column of a table of cells: {told}.")

    @cached_property
    def attribute_names(self) -> tuple[str, ...]:
        return tuple(attribute.name for attribute in self.attributes)

    @property
    def reading_names(self) -> tuple[str, ...]:
        """What is read of a cell: its class, then each attribute."""
        return "class", *self.attribute_names

    @property
    def value_counts(self) -> tuple[int, ...]:
        """Number of values of each attribute."""
        return tuple(len(attribute.values) for attribute in self.attributes)

    @cached_property
    def _class_codes(self) -> dict[str, int]:
        return {normalise(name): code for code, name in enumerate(self.classes)}

    def class_code(self, name: str) -> int:
        """Return the code of the cell type `name` in any letter case, or of one that means the same, or `UNKNOWN`."""
        said = normalise(name)
        return self._class_codes.get(said, self._class_codes.get(_CLASS_ALIASES.get(said, said), UNKNOWN))

    def class_name(self, code: int) -> str:
        """Return the cell type of `code`, or "unknown type" for `UNKNOWN`."""
        return self.classes[code] if code >= 0 else UNKNOWN_CLASS

    def class_names(self, codes: Iterable[int]) -> list[str]:
        return [self.class_name(code) for code in codes]

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and strings, ready for JSON."""
        return {
            "classes": list(self.classes),
            "attributes": [{"name": a.name, "values": list(a.values)} for a in self.attributes],
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Vocabulary:
        """Undo `to_dict`."""
        attributes = (Attribute(a["name"], tuple(a["values"])) for a in content["attributes"])
        return cls(tuple(content["classes"]), tuple(attributes))


LLD = Vocabulary(
    classes=(
        "None",
        "Myeloblast",
        "Lymphoblast",
        "Neutrophil",
        "Atypical lymphocyte",
        "Promonocyte",
        "Monoblast",
        "Lymphocyte",
        "Myelocyte",
        "Abnormal promyelocyte",
        "Monocyte",
        "Metamyelocyte",
        "Eosinophil",
        "Basophil",
    ),
    attributes=(
        Attribute("cell_size", ("small", "medium", "large")),
        Attribute("nuclear_chromatin", ("open", "coarse")),
        Attribute("nuclear_shape", ("regular", "irregular")),
        Attribute("nucleolus", ("inconspicuous", "prominent")),
        Attribute("cytoplasm", ("scanty", "abundant")),
        Attribute("cytoplasmic_basophilia", ("slight", "moderate")),
        Attribute("cytoplasmic_vacuoles", ("absent", "prominent")),
    ),
)
"""The 14 classes and 7 attributes of the Large Leukemia Dataset; class "None" is an artefact."""
