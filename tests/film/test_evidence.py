"""Comparing: only what is clearly contradicted is, and nothing is said of what is not known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bloodfilm.cells import Cells
from bloodfilm.film.evidence import LIMITS, ORDERS, compare
from bloodfilm.film.measure import MEASURES
from bloodfilm.vocabulary import LLD, Attribute, Vocabulary


def cells_that_are(name, words):
    """Return cells whose attribute `name` has the `words`; an empty one is unknown."""
    codes = np.full((len(words), len(LLD.attributes)), -1)
    column = LLD.attribute_names.index(name)
    codes[:, column] = [LLD.attributes[column].code(word) for word in words]
    return Cells([[0, 0, 10, 10]] * len(words), attributes=codes)


def table(name, numbers):
    return pd.DataFrame(dict.fromkeys(MEASURES, np.nan) | {name: numbers}, index=range(len(numbers)))


@pytest.mark.parametrize(
    ("attribute", "word", "measure", "fits", "contradicts"),
    [
        ("cell_size", "small", "cell_diameter_um", 10, 18),
        ("cell_size", "large", "cell_diameter_um", 18, 9),
        ("nuclear_shape", "regular", "nucleus_solidity", 0.97, 0.7),
        ("nuclear_shape", "irregular", "nucleus_roundness", 0.6, 0.96),
        ("cytoplasm", "scanty", "nucleus_cytoplasm_ratio", 4, 0.5),
        ("cytoplasmic_vacuoles", "absent", "cytoplasm_vacuoles", 0, 9),
    ],
)
def test_limits(attribute, word, measure, fits, contradicts):
    verdict = compare(table(measure, [fits, contradicts, np.nan]), cells_that_are(attribute, [word] * 3))[attribute]
    assert verdict.tolist()[:2] == [True, False]
    assert verdict.isna().tolist() == [False, False, True]


def test_limits_and_orders_name_what_exists():
    for limit in LIMITS:
        assert limit.measure in MEASURES
        assert limit.value in LLD.attributes[LLD.attribute_names.index(limit.attribute)].values
    for order in ORDERS:
        assert order.measure in MEASURES
        assert {order.smaller, order.larger} <= set(LLD.attributes[LLD.attribute_names.index(order.attribute)].values)


def test_values_without_a_limit_and_unknown_ones_are_not_judged():
    verdict = compare(table("cell_diameter_um", [30.0, 30.0]), cells_that_are("cell_size", ["medium", ""]))
    assert verdict["cell_size"].isna().all()


def test_colours_are_compared_within_the_film():
    words = ["slight"] * 12 + ["moderate"] * 12
    numbers = np.concatenate([np.linspace(1, 2, 12), np.linspace(3, 4, 12)])
    numbers[0], numbers[-1] = 3.9, 1.1
    for stain in (1, 0.4):
        verdict = compare(table("cytoplasm_blueness", stain * numbers), cells_that_are("cytoplasmic_basophilia", words))
        contradicted = ~verdict["cytoplasmic_basophilia"]
        assert np.flatnonzero(contradicted).tolist() == [0, 23]


def test_colours_of_few_cells_are_not_compared():
    words = ["open"] * 12 + ["coarse"] * 3
    verdict = compare(table("nucleus_density", np.arange(15.0)), cells_that_are("nuclear_chromatin", words))
    assert verdict["nuclear_chromatin"].isna().all()


def test_only_attributes_that_can_be_compared_have_a_column():
    vocabulary = Vocabulary(("cell",), (Attribute("cell_size", ("small", "large")), Attribute("mood", ("good", "bad"))))
    cells = Cells([[0, 0, 10, 10]], attributes=[[0, 1]], vocabulary=vocabulary)
    assert list(compare(table("cell_diameter_um", [9.0]), cells)) == ["cell_size"]
    assert "nucleolus" not in compare(table("cell_diameter_um", [9.0]), cells_that_are("cell_size", ["small"]))


def test_tables_of_different_length_are_refused():
    with pytest.raises(ValueError, match="2 rows of measures do not belong to 1 cells"):
        compare(table("cell_diameter_um", [9.0, 10.0]), cells_that_are("cell_size", ["small"]))


def test_no_cells():
    assert len(compare(table("cell_diameter_um", []), Cells.empty())) == 0
