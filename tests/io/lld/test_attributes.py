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


def codes_of(values: dict[str, Any], vocabulary: Vocabulary = LLD) -> list[int]:
    """Return the codes of `values`, of which none may be unreadable."""
    codes, unread = lld_words(values, vocabulary)
    assert unread == []
    return codes


@pytest.mark.parametrize(
    "values",
    [
        LABELLED,
        renamed("nuclear_chromatin", "nuclear_chromatio"),
        renamed("nuclear_chromatin", "nuclear_chromatins"),
        renamed("nucleolus", "Nucleus"),
        renamed("cell_size", "Cell Size"),
        {name: float(value) for name, value in LABELLED.items()},
        {name: f" {value}" for name, value in LABELLED.items()},
        {a.name: a.values[LABELLED[a.name]] for a in LLD.attributes},
        {a.name: a.values[LABELLED[a.name]].upper() for a in LLD.attributes},
        dict(reversed(LABELLED.items())),
    ],
    ids=["plain", "chromatio", "chromatins", "nucleus", "spaced", "floats", "text", "words", "upper case", "reversed"],
)
def test_every_spelling_gives_the_codes(values: dict[str, Any]) -> None:
    assert codes_of(values, LLD) == CODES


@pytest.mark.parametrize("value", ["3", 3, 0.5, True, "1.5", "coarse/open", [1], float("inf")])
def test_a_value_that_means_nothing_is_told(value: Any) -> None:
    codes, unread = lld_words(LABELLED | {"nuclear_chromatin": value}, LLD)
    assert codes == [2, -1, 1, 1, 0, 1, 0]
    assert len(unread) == 1
    assert unread[0].startswith("nuclear_chromatin: ")


def test_what_is_missing_is_not_the_word_none() -> None:
    held = Vocabulary(("Blast",), (Attribute("granules", ("none", "many")),))
    assert (codes_of({}, held), codes_of({"granules": "none"}, held)) == ([-1], [0])


def test_a_number_that_is_a_word_is_the_word() -> None:
    graded = Vocabulary(("Blast",), (Attribute("grade", ("1", "2", "3")),))
    assert codes_of({"grade": "1"}, graded) == [0]


@pytest.mark.parametrize("code", [2, 4, "4", -1, float("nan"), None, "", "n/a", "not annotated"])
def test_a_number_that_is_no_value_is_unknown_and_leaves_the_others(code: Any) -> None:
    assert codes_of(LABELLED | {"nuclear_chromatin": code}, LLD) == [2, -1, 1, 1, 0, 1, 0]


@pytest.mark.parametrize("code", [2, 4])
def test_a_cell_to_which_nothing_applies_has_no_size_either(code: int) -> None:
    assert codes_of(dict.fromkeys(LABELLED, code), LLD) == [-1] * 7


def test_no_attributes_are_all_unknown() -> None:
    assert codes_of({}, LLD) == [-1] * 7


def test_a_size_in_words_counts_on_its_own() -> None:
    assert codes_of({"cell_size": "large"}, LLD) == [2, *[-1] * 6]


def test_numbers_of_other_keys_do_not_touch_a_size_in_words() -> None:
    assert codes_of({"id": 7, "area": 30.5, "cell_size": "large"}, LLD) == [2, *[-1] * 6]


def test_the_only_attribute_of_another_vocabulary_can_be_a_number() -> None:
    assert codes_of({"grade": 1}, Vocabulary(("Blast",), (Attribute("grade", ("low", "high")),))) == [1]
