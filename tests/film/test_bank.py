from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bloodfilm.cells import Cells, Field
from bloodfilm.film.bank import ALL, dominant_types, majority, masked_text, morphology_bank
from bloodfilm.film.count import cell_table, clusters, differential
from bloodfilm.film.film import Film
from bloodfilm.vocabulary import LLD, Attribute, Vocabulary


def summed_up(cells: Cells) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Return the text, and the word of each attribute by type, of a film of one field."""
    film = Film("film", (Field(Path("a.png"), cells, 500, 100, name="a.png"),))
    table = cell_table(film)
    words = majority(morphology_bank(table, cells.vocabulary))
    counts = differential(table, clusters(film.fields))
    return masked_text(counts, words, 1), words.to_dict("index")


def boxes(number: int) -> np.ndarray:
    return np.array([[10 * row, 0, 10 * row + 9, 9] for row in range(number)])


def test_the_text_tells_dominant_type_and_its_morphology() -> None:
    neutrophil, myeloblast, artefact = (LLD.class_code(name) for name in ("Neutrophil", "Myeloblast", "None"))
    blast, mature = [2, 0, 0, 1, 0, 1, 0], [1, 1, 1, 0, 1, 0, 0]
    codes = [*[myeloblast] * 14, *[neutrophil] * 7, *[artefact] * 5]
    text, _ = summed_up(Cells(boxes(26), codes=codes, attributes=[*[blast] * 14, *[mature] * 7, *[[0] * 7] * 5]))
    assert text[0] == (
        "21 white cells were counted on 1 field; the predominant type is myeloblast (67% of 21 cells with a known "
        "type, 95% interval 45% to 83%), followed by neutrophil (33%)."
    )
    assert text[1] == (
        "Myeloblast: Cell size is large. The nuclear chromatin is open and the nuclear shape regular. Nucleoli are "
        "prominent, the cytoplasm is scanty and its basophilia moderate. Vacuoles are absent."
    )


@pytest.mark.parametrize(
    ("open_cells", "coarse", "unread", "word"),
    [(11, 9, 0, "mixed"), (12, 8, 0, "open"), (1, 0, 9, "open"), (0, 0, 5, "not assessed")],
)
def test_a_narrow_majority_is_mixed(open_cells: int, coarse: int, unread: int, word: str) -> None:
    number = open_cells + coarse + unread
    attributes = np.full((number, 7), -1)
    attributes[:, 1] = [0] * open_cells + [1] * coarse + [-1] * unread
    _, words = summed_up(Cells(boxes(number), codes=np.full(number, 3), attributes=attributes))
    assert words[ALL]["nuclear_chromatin"] == words["Neutrophil"]["nuclear_chromatin"] == word


def test_shares_are_of_the_cells_that_were_read(film: Film) -> None:
    bank = morphology_bank(cell_table(film), LLD)
    groups = bank.groupby(["type", "attribute"])
    np.testing.assert_array_equal(groups["count"].sum(), groups["of"].first())
    np.testing.assert_allclose(groups["share"].sum()[groups["of"].first() > 0], 1)
    assert bank.loc[bank["of"] == 0, "share"].isna().all()


def test_types_that_are_as_frequent_are_all_dominant() -> None:
    text, _ = summed_up(Cells(boxes(20), codes=[3, 7] * 10))
    assert "the predominant types are lymphocyte and neutrophil (50% each of 20 cells" in text[0]
    assert text[1:3] == [f"{name}: morphology was not assessed." for name in ("Lymphocyte", "Neutrophil")]


def test_films_without_cells_types_or_attributes_have_a_text() -> None:
    assert summed_up(Cells.empty())[0] == ["No white cell was counted on 1 field."]
    assert summed_up(Cells(boxes(1)))[0][0] == "1 white cell was counted on 1 field, none with a known type."
    plain = Cells(boxes(20), codes=[0] * 20, vocabulary=Vocabulary(("a",)))
    (text,) = summed_up(plain)[0]
    assert text.endswith("the predominant type is a (100% of 20 cells with a known type, 95% interval 84% to 100%).")


def test_no_type_is_called_predominant_from_few_cells() -> None:
    first, missing = summed_up(Cells(boxes(20), codes=[3] * 15 + [7] * 4 + [-1]))[0]
    assert first == "20 white cells were counted on 1 field: neutrophil 15, lymphocyte 4, unknown type 1."
    assert missing.endswith("It takes 1 cell more with a known type, 20 in all.")


def test_attributes_of_another_vocabulary_are_listed() -> None:
    own = Vocabulary(("blob",), (Attribute("inner_glow", ("dim", "bright")),))
    text, _ = summed_up(Cells(boxes(20), codes=[0] * 20, attributes=[[1]] * 20, vocabulary=own))
    assert text[1] == "Blob: inner glow bright."


def test_no_type_is_dominant_without_cells() -> None:
    film = Film("film", (Field(Path("a.png"), Cells.empty(), 9, 9, name="a.png"),))
    assert dominant_types(differential(cell_table(film), clusters(film.fields))) == []
