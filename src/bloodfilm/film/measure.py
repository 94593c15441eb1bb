"""White cells measured: size, nucleus, chromatin, cytoplasm and vacuoles, as numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage
from skimage.measure import regionprops

from bloodfilm.cells import Cells, Field
from bloodfilm.film.segment import Floats, Mask, Masks, Patch, cut_out, empty_film, segment, surroundings
from bloodfilm.io.images import as_rgb, read_image

__all__ = ["MEASURES", "REASON", "Masks", "measure", "measure_field", "segment"]

MEASURES = {
    "cell_area_px": "area of the cell, in pixels of the picture",
    "nucleus_area_px": "area of the nucleus, in pixels of the picture",
    "cell_area_um2": "area of the cell in square micrometres",
    "nucleus_area_um2": "area of the nucleus in square micrometres",
    "cell_diameter_um": "diameter of a circle of the cell's area in micrometres",
    "nucleus_cytoplasm_ratio": "area of the nucleus over that of the cytoplasm",
    "nucleus_solidity": "area of the nucleus over that of its convex hull; 1 without a notch",
    "nucleus_roundness": "largest circle inside the nucleus over one of its area, as diameters; 1 for a circle",
    "nucleus_lobes": "number of thick parts of the nucleus between thinner ones",
    "nucleus_density": "mean optical density of the nucleus",
    "chromatin_contrast": "deviation of the optical density inside the nucleus over its mean",
    "cytoplasm_blueness": "optical density of the cytoplasm in red over that in blue; eosin lets red pass",
    "cytoplasm_vacuoles": "number of colourless round spots in the cell",
}
"""Columns of `measure`, each with its meaning and unit; ratios and counts have none."""

REASON = "not_measured"
"""Column that says why a cell has no numbers; empty where it has."""

CUT = "cut by the picture's edge"
TOO_SMALL = "too few pixels"

LOBE_DEPTH = 0.02
"""How much thicker than the neck beside it a lobe is, in diameters of the cell."""

VACUOLE_LIGHT, VACUOLE_CONTRAST = 0.5, 0.05
"""A vacuole is lighter than half way from the cytoplasm to the empty film, and than its surroundings by so much."""


def measure(image: npt.ArrayLike, cells: Cells, neighbours: npt.ArrayLike = ()) -> pd.DataFrame:
    """Measure the cells of a picture.

    Parameters
    ----------
    image : array
        Grey, RGB or RGBA; `bloodfilm.io.images` says what becomes of each kind.
    cells : Cells
        Their boxes say where to look, and which pixels belong to a neighbour. Micrometres, and squeezed pixels made
        square, come from their scale where it is sure.
    neighbours : (M, 4), optional
        Boxes of further cells, which keep their pixels and are not measured.

    Returns
    -------
    DataFrame
        One row a cell with the columns of `MEASURES`, NaN where there is no number, and `REASON`. Lengths and areas
        in micrometres are NaN where the scale is not sure.

    Raises
    ------
    PictureError
        If the array is no picture.
    """
    picture = as_rgb(image)
    unit = cells.scale.um_per_px if cells.scale and cells.scale.sure else None
    light = empty_film(picture)
    further = np.asarray(neighbours, np.float32).reshape(-1, 4)
    rows: list[dict[str, float | str]] = []
    for number, box in enumerate(cells.boxes):
        bounds = surroundings(box, picture.shape)
        if bounds is None:
            rows.append({REASON: TOO_SMALL})
        elif (box[:2] <= 1).any() or (box[2:] >= np.array(picture.shape[1::-1]) - 1).any():
            rows.append({REASON: CUT})
        else:
            others = np.concatenate((np.delete(cells.boxes, number, 0), further))
            patch = cut_out(picture, box, others, unit or (1, 1), light)
            rows.append({REASON: patch.failure} if patch.failure else {**_numbers(patch, unit), REASON: ""})
    frame = pd.DataFrame(rows, columns=[*MEASURES, REASON])
    return frame.astype({**dict.fromkeys(MEASURES, np.float64), REASON: str})


def measure_field(field: Field) -> pd.DataFrame:
    """Measure the cells of a field; see `measure`.

    Raises
    ------
    PictureError
        If its picture cannot be read.
    """
    return measure(read_image(field.path), field.cells)


def _numbers(patch: Patch, unit: tuple[float, float] | None) -> dict[str, float | str]:
    pixel = patch.pixel[0] * patch.pixel[1]
    um2 = pixel * unit[0] * unit[1] if unit else np.nan
    cell, nucleus = int(patch.cell.sum()), int(patch.nucleus.sum())
    thickness = ndimage.distance_transform_edt(np.pad(patch.nucleus, 1))[1:-1, 1:-1]
    diameter = np.sqrt(4 * cell / np.pi)
    inner = patch.nucleus & (thickness > 2)
    chromatin = patch.density.mean(2)[inner if inner.sum() > 0.2 * nucleus else patch.nucleus]
    return {
        "cell_area_px": cell * pixel,
        "nucleus_area_px": nucleus * pixel,
        "cell_area_um2": cell * um2,
        "nucleus_area_um2": nucleus * um2,
        "cell_diameter_um": diameter * np.sqrt(um2),
        "nucleus_cytoplasm_ratio": nucleus / (cell - nucleus) if cell > nucleus else np.nan,
        "nucleus_solidity": float(regionprops(patch.nucleus.astype(np.uint8))[0].solidity),
        "nucleus_roundness": min(1.0, float(thickness.max() / np.sqrt(nucleus / np.pi))),
        "nucleus_lobes": _lobes(thickness, LOBE_DEPTH * diameter),
        "nucleus_density": float(chromatin.mean()),
        "chromatin_contrast": float(chromatin.std() / chromatin.mean()),
        **_cytoplasm(patch),
    }


def _lobes(thickness: Floats, depth: float) -> int:
    """Return the largest number of parts that stand `depth` above any one level of `thickness` (H, W)."""
    smooth = ndimage.gaussian_filter(thickness, 1)
    most = 1
    for level in np.arange(0.5, smooth.max(), 0.5):
        labels, _ = ndimage.label(smooth > level)
        most = max(most, len(np.unique(labels[smooth > level + depth])))
    return most


def _cytoplasm(patch: Patch) -> dict[str, float]:
    wide, narrow = (
        ndimage.binary_erosion(patch.cell, iterations=2 * gap) & ~ndimage.binary_dilation(patch.nucleus, iterations=gap)
        for gap in (2, 1)
    )
    least = 0.01 * patch.cell.sum()
    cytoplasm = wide if wide.sum() >= least else narrow
    if cytoplasm.sum() < least:
        return {}
    red, _, blue = np.median(patch.density[cytoplasm], axis=0)
    light = np.exp(-patch.density.max(2))
    deep = ndimage.binary_erosion(patch.cell, iterations=4)
    return {
        "cytoplasm_blueness": float(red / blue) if blue > 0 else np.nan,
        "cytoplasm_vacuoles": _vacuoles(light, deep, float(np.median(light[cytoplasm]))),
    }


def _vacuoles(light: Floats, deep: Mask, cytoplasm: float) -> int:
    smooth = ndimage.gaussian_filter(light, 1)
    contrast = smooth - ndimage.gaussian_filter(light, 2.5)
    peak = contrast == ndimage.maximum_filter(contrast, 5)
    spot = (smooth > cytoplasm + VACUOLE_LIGHT * (1 - cytoplasm)) & (contrast > VACUOLE_CONTRAST)
    return int((peak & spot & deep).sum())
