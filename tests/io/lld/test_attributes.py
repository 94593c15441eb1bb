from __future__ import annotations

from typing import Any

import pytest

from bloodfilm.io.lld.attributes import lld_words
from bloodfilm.vocabulary import LLD, Attribute, Vocabulary

LABELLED = {
    "cell_size": 2,
    "nuclear_chromatin": 0,
    "nuclear_shape": 1,
    "nucleolus": 1,
    "cytoplasm": 0,
    "cytoplasmic_basophilia": 1,
    "cytoplasmic_vacuoles": 0,
}
CODES = [2, 0, 1, 1, 0, 1, 0]


def renamed(old: str, new: str) -> dict[str, Any]:
    return {new if name == old else name: value for name, value in LABELLED.items()}


@pytest.mark.parametrize(
    "values",
    [
        LABELLED,
        renamed("nuclear_chromatin", "nuclear_chromatio"),
        renamed("nuclear_chromatin", "nuclear_chromatins"),
        renamed("nucleolus", "Nucleus"),
        renamed("cell_size", "Cell Size"),
        {name: float(value) for name, value in LABELLED.items()},
        {a.name: a.values[LABELLED[a.name]] for a in LLD.attributes},
        {a.name: a.values[LABELLED[a.name]].upper() for a in LLD.attributes},
        dict(reversed(LABELLED.items())),
    ],
    ids=["plain", "chromatio", "chromatins", "nucleus", "spaced", "floats", "words", "upper case", "reversed"],
)
def test_every_spelling_gives_the_codes(values: dict[str, Any]) -> None:
    assert lld_words(values, LLD) == CODES


@pytest.mark.parametrize("code", [2, 4, -1, float("nan"), None, "coarse/open", True])
def test_a_number_that_is_no_value_is_unknown_and_leaves_the_others(code: Any) -> None:
    assert lld_words(LABELLED | {"nuclear_chromatin": code}, LLD) == [2, -1, 1, 1, 0, 1, 0]


@pytest.mark.parametrize("code", [2, 4])
def test_a_cell_to_which_nothing_applies_has_no_size_either(code: int) -> None:
    assert lld_words(dict.fromkeys(LABELLED, code), LLD) == [-1] * 7


def test_no_attributes_are_all_unknown() -> None:
    assert lld_words({}, LLD) == [-1] * 7


def test_a_size_in_words_counts_on_its_own() -> None:
    assert lld_words({"cell_size": "large"}, LLD) == [2, *[-1] * 6]


def test_numbers_of_other_keys_do_not_touch_a_size_in_words() -> None:
    assert lld_words({"id": 7, "area": 30.5, "cell_size": "large"}, LLD) == [2, *[-1] * 6]


def test_the_only_attribute_of_another_vocabulary_can_be_a_number() -> None:
    assert lld_words({"grade": 1}, Vocabulary(("Blast",), (Attribute("grade", ("low", "high")),))) == [1]
