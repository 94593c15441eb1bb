"""What is measured of one cell on its picture, beside what was predicted of it; no window needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bloodfilm.cells import Cells, Scale
from bloodfilm.errors import UserError
from bloodfilm.napari import pictures
from bloodfilm.napari.gallery.table import um_per_px
from bloodfilm.napari.layers import layer_vocabulary

if TYPE_CHECKING:
    from napari.layers import Image

    from bloodfilm.napari.gallery.layer_cells import LayerCells

FACTS = {
    "cell_diameter_um": ("diameter", " µm"),
    "nucleus_cytoplasm_ratio": ("N/C ratio", ""),
    "nucleus_solidity": ("nuclear solidity", ""),
    "nucleus_lobes": ("lobes", ""),
    "chromatin_contrast": ("chromatin contrast", ""),
    "cytoplasm_blueness": ("blueness", ""),
    "cytoplasm_vacuoles": ("vacuoles", ""),
}
"""Measures of `bloodfilm.film.measure` that the panel shows, as words and with their units."""


class Measured(NamedTuple):
    """Facts as words, the attributes that they contradict, and why there are none."""

    facts: dict[str, str]
    contradicted: list[str]
    reason: str


def measuring(image: Image, cells: LayerCells, row: int) -> Callable[[], Measured]:
    """Return what measures a cell of `cells` on `image`: slow, for another thread, and independent of the layers.

    Raises
    ------
    UserError
        If the cell has no area, or the picture no place for it.
    """
    layer, corners = cells.layer, cells.corners
    part = pictures.around(image, [corners[row]])
    beside = (corners[:, 0, :-2] == corners[row, 0, :-2]).all(1)
    beside[row] = False
    shift = np.array([part.x, part.y] * 2)
    box, others = (corners[rows][:, :, [-1, -2]].reshape(-1, 4) - shift for rows in ([row], beside))
    box = box.astype(np.float32)
    if not (box[:, :2] < box[:, 2:]).all():
        raise UserError("The cell has no area: draw a box around it.")
    um = um_per_px(layer, corners[[row]])[0]
    scale = None if np.isnan(um).any() else Scale((um[1], um[0]), 0.0, 0, True, (1, 1))
    features = layer.features.iloc[[row]].reset_index(drop=True)
    cell = Cells.from_frame(box, features, layer_vocabulary(layer.metadata))

    def measure_it() -> Measured:
        from bloodfilm.film.evidence import compare
        from bloodfilm.film.measure import REASON, measure

        table = measure(part.load(), replace(cell, scale=scale), others)
        verdicts = compare(table, cell).iloc[0]
        numbers: dict[str, Any] = table.iloc[0].to_dict()
        known = {name: numbers[name] for name in FACTS if np.isfinite(numbers[name])}
        facts = {FACTS[name][0]: f"{value:.3g}{FACTS[name][1]}" for name, value in known.items()}
        against = [str(name) for name in verdicts.index[(~verdicts).fillna(False)]]
        return Measured(facts, against, str(numbers[REASON]))

    return measure_it
