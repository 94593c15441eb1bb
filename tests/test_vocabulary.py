from __future__ import annotations

import json

import pytest

from bloodfilm.palette import UNKNOWN_COLOUR, colour, colours
from bloodfilm.vocabulary import LLD, UNKNOWN, UNKNOWN_CLASS, Attribute, Vocabulary, normalise


@pytest.mark.parametrize("written", ["Atypical lymphocyte", "atypical_lymphocyte", "  ATYPICAL-  Lymphocyte "])
def test_names_match_in_any_case_and_with_any_separator(written: str) -> None:
    assert normalise(written) == "atypical lymphocyte"
    assert LLD.class_name(LLD.class_code(written)) == "Atypical lymphocyte"


def test_lld_has_the_published_order_of_classes_and_attributes() -> None:
    codes = {"None": 0, "Myeloblast": 1, "Neutrophil": 3, "Lymphocyte": 7, "Monocyte": 10, "Basophil": 13}
    assert {name: LLD.class_code(name) for name in codes} == codes
    assert LLD.value_counts == (3, 2, 2, 2, 2, 2, 2)
    assert LLD.attribute_names[0] == "cell_size"
    assert LLD.attribute_names[3] == "nucleolus"


def test_an_unidentified_cell_is_none_unless_the_vocabulary_has_that_name() -> None:
    assert LLD.class_name(LLD.class_code("Unidentified")) == "None"
    assert Vocabulary(("None", "unidentified")).class_code("Unidentified") == 1
    assert Vocabulary(("Blast",)).class_code("Unidentified") == UNKNOWN


def test_a_name_outside_the_vocabulary_is_unknown() -> None:
    assert LLD.class_code("plasma cell") == UNKNOWN
    assert LLD.class_name(UNKNOWN) == UNKNOWN_CLASS


@pytest.mark.parametrize(
    ("word", "code"), [("Large", 2), (" small ", 0), ("huge", UNKNOWN), (None, UNKNOWN), (1, UNKNOWN)]
)
def test_an_attribute_knows_only_its_own_words(word: object, code: int) -> None:
    assert LLD.attributes[0].code(word) == code


def test_a_missing_value_reads_as_the_caller_says() -> None:
    assert LLD.attributes[0].word(UNKNOWN, "not annotated") == "not annotated"


@pytest.mark.parametrize(
    ("classes", "attributes"),
    [(("Blast", "blast "), ()), (("Blast",), (Attribute("cell size", ("a",)), Attribute("cell_size", ("b",))))],
)
def test_a_name_given_twice_is_refused(classes: tuple[str, ...], attributes: tuple[Attribute, ...]) -> None:
    with pytest.raises(ValueError, match="twice"):
        Vocabulary(classes, attributes)


@pytest.mark.parametrize(
    ("classes", "attributes"),
    [
        (("Unknown type",), ()),
        ((" ",), ()),
        ((), (Attribute("a", ("Not predicted",)),)),
        ((), (Attribute("a", ("b", "B")),)),
        ((), (Attribute("score", ("b",)),)),
        ((), (Attribute("a", ("b",)), Attribute("a_score", ("b",)))),
    ],
)
def test_names_that_tables_could_not_tell_apart_are_refused(
    classes: tuple[str, ...], attributes: tuple[Attribute, ...]
) -> None:
    with pytest.raises(ValueError, match=r"nothing is known|twice|another column"):
        Vocabulary(classes, attributes)


def test_a_vocabulary_survives_json() -> None:
    assert Vocabulary.from_dict(json.loads(json.dumps(LLD.to_dict()))) == LLD


def test_every_type_has_a_colour_of_its_own() -> None:
    shades = colours(LLD.classes)
    assert len(set(shades.values())) == len(LLD.classes)
    assert UNKNOWN_COLOUR not in shades.values()


def test_mature_types_keep_their_colour_in_any_vocabulary() -> None:
    assert colour("neutrophil", ("Blast", "neutrophil")) == colour("Neutrophil", LLD.classes)


def test_unknown_types_are_white() -> None:
    assert colour(UNKNOWN_CLASS, LLD.classes) == UNKNOWN_COLOUR
