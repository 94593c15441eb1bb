"""How large cells are as measured by their boxes, beside the size that was read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from bloodfilm.film.bank import ALL
from bloodfilm.film.count import COUNTED
from bloodfilm.film.evidence import LIMITS
from bloodfilm.vocabulary import number_of

SLACK = 1.1
"""Boxes are looser than cells, and the ruler errs: by this factor a diameter must lie beyond a limit to contradict."""

SIZE_LIMITS = {
    limit.value: (limit.low / SLACK, limit.high * SLACK) for limit in LIMITS if limit.measure == "cell_diameter_um"
}
"""Least and largest diameter in micrometres, by what `cell_size` was read as."""


def contradicted(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Tell of which cells of a `bloodfilm.film.count.cell_table` the measured diameter contradicts ``cell_size``."""
    words = table["cell_size"].astype(str) if "cell_size" in table else pd.Series("", table.index)
    limits = words.map(lambda word: SIZE_LIMITS.get(word, (-np.inf, np.inf)))
    low, high = np.array(limits.tolist(), float).reshape(-1, 2).T
    diameters = table["diameter_um"].to_numpy(float)
    return np.asarray((diameters < low) | (diameters > high))


def measured_sizes(table: pd.DataFrame) -> pd.DataFrame:
    """Return what diameters in micrometres the counted cells have, over all types and for each.

    Returns
    -------
    DataFrame
        Indexed by type: ``median``, ``least``, ``largest``, of how many cells (``of``) the diameter is known, and how
        many of these were read as of another size (``contradicted``). Types without a known diameter are left out.
    """
    counted = table.loc[table["status"] == COUNTED, ["class", "diameter_um"]].astype({"class": str})
    counted["contradicted"] = contradicted(table)[(table["status"] == COUNTED).to_numpy()]
    known = counted[counted["diameter_um"].notna()]
    groups = pd.concat([known.assign(**{"class": ALL}), known]).groupby("class", sort=False)
    return groups.agg(
        median=("diameter_um", "median"),
        least=("diameter_um", "min"),
        largest=("diameter_um", "max"),
        of=("diameter_um", "size"),
        contradicted=("contradicted", "sum"),
    )


def size_sentences(sizes: pd.DataFrame) -> dict[str, str]:
    """Return a sentence on the measured diameters of each type of `measured_sizes`."""
    measured = sizes[["median", "least", "largest", "of"]].itertuples(name=None)
    return {
        str(
            name
        ): f"Measured diameter: {median:.1f} µm, the median of {number_of(of, 'cell')} ({least:.1f} to {largest:.1f})."
        for name, median, least, largest, of in measured
    }


def size_notes(sizes: pd.DataFrame) -> list[str]:
    """Return what to mind where sizes that were read and measured do not go together."""
    if ALL not in sizes.index or not sizes.loc[ALL, "contradicted"]:
        return []
    most, least = SIZE_LIMITS["small"][1], SIZE_LIMITS["large"][0]
    wrong, known = int(sizes.loc[ALL, "contradicted"]), int(sizes.loc[ALL, "of"])
    what = f"Cells read as small that measure over {most:.1f} µm, or as large under {least:.1f} µm: {wrong} of {known}."
    return [f"{what} Size is read from the picture alone: trust the diameter, if the pixel size is right."]
