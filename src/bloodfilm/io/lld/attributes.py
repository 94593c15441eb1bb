"""How the Large Leukemia Dataset writes attributes: by names of many spellings, in words or numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bloodfilm.vocabulary import LLD, UNKNOWN, Vocabulary, normalise

ARTEFACT = LLD.class_code("None")
NOT_APPLICABLE_IN_JSON, NOT_APPLICABLE_IN_TEXT = 4, 2
SIZE = LLD.attribute_names.index("cell_size")

MISSPELT = {"nuclear chromatio": "nuclear chromatin", "nuclear chromatins": "nuclear chromatin", "nucleus": "nucleolus"}


def lld_words(values: Mapping[str, Any], vocabulary: Vocabulary, class_name: str = "") -> list[int]:
    """Return the codes of one cell's attributes, given by name as words or as LLD's numbers.

    LLD spells some names in several ways. A number that is no value of its attribute (2 or 4 of a binary
    one) means "not applicable"; a cell size does too if the class is None or nothing else applies.
    """
    names = [normalise(name) for name in vocabulary.attribute_names]
    said = {normalise(name): value for name, value in values.items()}
    spelt = {name if name in names else MISSPELT.get(name, name): value for name, value in said.items()}
    given = {name: value for name, value in spelt.items() if name in names}
    codes = []
    for attribute in vocabulary.attributes:
        value = given.get(normalise(attribute.name))
        if isinstance(value, int | float) and not isinstance(value, bool):
            codes.append(int(value) if 0 <= value < len(attribute.values) else UNKNOWN)
        else:
            codes.append(attribute.code(value))
    others = [code for name, code in zip(names, codes, strict=True) if name != "cell size"]
    in_numbers = any(isinstance(value, int | float) for value in given.values())
    artefact = LLD.class_code(class_name) == ARTEFACT
    if in_numbers and others and (artefact or all(code == UNKNOWN for code in others)):
        return [UNKNOWN if name == "cell size" else code for name, code in zip(names, codes, strict=True)]
    return codes


def lld_numbers(values: npt.NDArray[np.float64], classes: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """Return the codes (N, 7) of the attributes of N cells of `classes`, given as LLD's numbers (NaN: missing).

    The rules are those of `lld_words`.
    """
    codes = np.where(np.isin(values, (0, 1, 2)) & (values < LLD.value_counts), values, UNKNOWN).astype(np.int16)
    nothing = (np.delete(codes, SIZE, axis=1) == UNKNOWN).all(1)
    codes[nothing | (classes == ARTEFACT), SIZE] = UNKNOWN
    return codes
