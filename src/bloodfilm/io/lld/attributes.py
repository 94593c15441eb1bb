"""How the Large Leukemia Dataset writes attributes: by names of many spellings, in words or numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from bloodfilm.vocabulary import LLD, NOT_ANNOTATED, NOT_PREDICTED, UNKNOWN, Attribute, Vocabulary, normalise

ARTEFACT = LLD.class_code("None")
NOT_APPLICABLE_IN_JSON, NOT_APPLICABLE_IN_TEXT = 4, 2
SIZE = LLD.attribute_names.index("cell_size")

NO_NUMBERS = {UNKNOWN, NOT_APPLICABLE_IN_JSON, NOT_APPLICABLE_IN_TEXT}
NO_WORDS = {"", "none", "null", "n/a", "na", "not applicable", "unknown", NOT_PREDICTED, NOT_ANNOTATED}
"""What says that there is no value, as number and as word."""

MISSPELT = {"nuclear chromatio": "nuclear chromatin", "nuclear chromatins": "nuclear chromatin", "nucleus": "nucleolus"}


def lld_words(values: Mapping[str, Any], vocabulary: Vocabulary, class_name: str = "") -> tuple[list[int], list[str]]:
    """Return the codes of one cell's attributes, given by name as words or as LLD's numbers, and what cannot be read.

    LLD spells some names in several ways. A number may be written as text. 2 or 4 that is no value of its attribute
    means "not applicable"; a cell size does too if the class is None or nothing else applies. Anything else that is no
    value is unknown, and told as "name: value".
    """
    own = {normalise(attribute.name): attribute for attribute in vocabulary.attributes}
    said = {normalise(name): value for name, value in values.items()}
    spelt = {name if name in own else MISSPELT.get(name, name): value for name, value in said.items()}
    given = {name: _number(own[name], value) for name, value in spelt.items() if name in own}
    codes = {name: _code(attribute, given.get(name)) for name, attribute in own.items()}
    unread = [f"{own[name].name}: {given[name]}" for name, code in codes.items() if code is None]
    known = {name: UNKNOWN if code is None else code for name, code in codes.items()}
    others = [code for name, code in known.items() if name != "cell size"]
    in_numbers = any(isinstance(value, float) for value in given.values())
    artefact = LLD.class_code(class_name) == ARTEFACT
    if "cell size" in known and in_numbers and others and (artefact or all(code == UNKNOWN for code in others)):
        known["cell size"] = UNKNOWN
    return list(known.values()), unread


def _number(attribute: Attribute, value: Any) -> Any:
    """Return a number, also one written as text, as float; words of the attribute and all else as they are."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number or (isinstance(value, str) and attribute.code(value) == UNKNOWN):
        with suppress(ValueError, OverflowError):
            return float(value)
    return value


def _code(attribute: Attribute, value: Any) -> int | None:
    """Return the code of a word or float, `UNKNOWN` if it says that there is no value, None if it cannot be read."""
    if isinstance(value, float):
        if value in range(len(attribute.values)):
            return int(value)
        return UNKNOWN if math.isnan(value) or value in NO_NUMBERS else None
    code = UNKNOWN if value is None else attribute.code(value)
    return None if code == UNKNOWN and normalise(str(value)) not in NO_WORDS else code


def unread_numbers(values: npt.NDArray[np.float64]) -> int:
    """Return how many of LLD's numbers of attributes (NaN: missing) are neither values nor say that there is none."""
    return int((~np.isnan(values) & ~np.isin(values, (*range(max(LLD.value_counts)), *NO_NUMBERS))).sum())


def lld_numbers(values: npt.NDArray[np.float64], classes: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """Return the codes (N, 7) of the attributes of N cells of `classes`, given as LLD's numbers (NaN: missing).

    The rules are those of `lld_words`.
    """
    codes = np.where(np.isin(values, (0, 1, 2)) & (values < LLD.value_counts), values, UNKNOWN).astype(np.int16)
    nothing = (np.delete(codes, SIZE, axis=1) == UNKNOWN).all(1)
    codes[nothing | (classes == ARTEFACT), SIZE] = UNKNOWN
    return codes
