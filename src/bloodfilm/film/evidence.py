"""What is measured of a cell beside what was predicted: where one contradicts the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bloodfilm.cells import Cells
from bloodfilm.vocabulary import Attribute

MIN_CELLS = 10
"""A film must show so many cells of either value before its colours are compared."""


@dataclass(frozen=True)
class Limit:
    """Between which numbers a measure lies where an attribute has a value."""

    attribute: str
    value: str
    measure: str
    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True)
class Order:
    """Of which value of an attribute a measure is smaller; by how much depends on stain and camera."""

    attribute: str
    measure: str
    smaller: str
    larger: str


LIMITS = (
    Limit("cell_size", "small", "cell_diameter_um", high=14.2),
    Limit("cell_size", "large", "cell_diameter_um", low=11.4),
    Limit("nuclear_shape", "regular", "nucleus_solidity", low=0.90),
    Limit("nuclear_shape", "irregular", "nucleus_roundness", high=0.93),
    Limit("cytoplasm", "scanty", "nucleus_cytoplasm_ratio", low=1.6),
    Limit("cytoplasmic_vacuoles", "absent", "cytoplasm_vacuoles", high=3),
)
"""99 of 100 training cells of WBCAtt that people gave the value lie within (a pixel there has 0.094 micrometres)."""

ORDERS = (
    Order("nuclear_chromatin", "nucleus_density", "open", "coarse"),
    Order("cytoplasmic_basophilia", "cytoplasm_blueness", "slight", "moderate"),
)


def compare(measured: pd.DataFrame, cells: Cells) -> pd.DataFrame:
    """Say where measured numbers contradict the attributes of cells.

    Only clear contradictions count: a number outside of `LIMITS`; or, for colours, which depend on stain and camera,
    one beyond the median of those cells of the same film that have the other value.

    Parameters
    ----------
    measured : DataFrame
        What `bloodfilm.film.measure.measure` returns, one row a cell.
    cells : Cells
        The same cells in the same order. Colours are compared among them: give all of one film.

    Returns
    -------
    DataFrame
        One row a cell, one column for each attribute that can be compared: True where nothing contradicts it, False
        where it is contradicted, NA where it, or the measure, is not known.

    Raises
    ------
    ValueError
        If the numbers of rows differ.
    """
    if len(measured) != len(cells):
        raise ValueError(f"{len(measured)} rows of measures do not belong to {len(cells)} cells.")
    comparable = [limit.attribute for limit in (*LIMITS, *ORDERS)]
    verdicts = {}
    for attribute, codes in zip(cells.vocabulary.attributes, cells.attributes.T, strict=True):
        if attribute.name in comparable:
            words = np.array([attribute.word(code, "") for code in codes], object)
            verdicts[attribute.name] = _agrees(attribute, words, measured)
    return pd.DataFrame(verdicts, index=measured.index, dtype="boolean")


def _agrees(attribute: Attribute, words: np.ndarray, measured: pd.DataFrame) -> pd.array:
    agrees = pd.array([pd.NA] * len(words), dtype="boolean")
    for limit in (limit for limit in LIMITS if limit.attribute == attribute.name):
        numbers = measured[limit.measure].to_numpy(float)
        rows = (words == limit.value) & np.isfinite(numbers)
        agrees[rows] = (numbers[rows] >= limit.low) & (numbers[rows] <= limit.high)
    for order in (order for order in ORDERS if order.attribute == attribute.name):
        numbers = measured[order.measure].to_numpy(float)
        small, large = ((words == word) & np.isfinite(numbers) for word in (order.smaller, order.larger))
        if min(small.sum(), large.sum()) >= MIN_CELLS:
            agrees[small] = numbers[small] <= np.median(numbers[large])
            agrees[large] = numbers[large] >= np.median(numbers[small])
    return agrees
