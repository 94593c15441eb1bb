"""Everything that a report says of one film, as numbers and words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bloodfilm.errors import PictureError
from bloodfilm.film.bank import majority, masked_text, morphology_bank
from bloodfilm.film.count import (
    ARTEFACTS,
    BELOW,
    COUNTED,
    Differential,
    cell_table,
    clusters,
    differential,
)
from bloodfilm.film.crops import crop_cell, data_uri, thumbnail
from bloodfilm.film.film import Film
from bloodfilm.film.notes import film_notes, picture_remarks
from bloodfilm.film.quality import NOT_MEASURED, measure_quality
from bloodfilm.film.sizes import contradicted, measured_sizes, size_notes, size_sentences
from bloodfilm.io.images import read_image
from bloodfilm.io.table import CORNERS
from bloodfilm.review.states import REJECTED, STATES, reviewed
from bloodfilm.vocabulary import UNKNOWN_CLASS
from bloodfilm.weights import MIN_SCORE

DOUBTFUL = 0.5
"""From this doubt on a cell is listed: what is said of it is as likely wrong as right."""

TYPICAL_PER_TYPE = 8
MOST_DOUBTFUL = 48
MOST_THUMBNAILS = 60


@dataclass(frozen=True, eq=False)
class Summary:
    """One film, summed up.

    Parameters
    ----------
    film : Film
    cells : DataFrame
        `bloodfilm.film.count.cell_table`.
    counts : Differential
    bank : DataFrame
        `bloodfilm.film.bank.morphology_bank`.
    words : DataFrame
        `bloodfilm.film.bank.majority`.
    sizes : DataFrame
        `bloodfilm.film.sizes.measured_sizes`.
    text : list of str
        Paragraphs that sum it up.
    pictures : DataFrame
        One row a picture: cells in it, what was reviewed, quality, remarks.
    typical, doubtful, missized : DataFrame
        Rows of `cells` that are shown; of the last the measured size contradicts the one that was read.
    images : dict
        Crops of shown cells by their row in `cells`, as JPEG in text.
    thumbnails : dict
        Small pictures by their row in `pictures`.
    notes : list of str
        What to mind when reading the numbers.
    min_score : float
    seed : int
    """

    film: Film
    cells: pd.DataFrame
    counts: Differential
    bank: pd.DataFrame
    words: pd.DataFrame
    sizes: pd.DataFrame
    text: list[str]
    pictures: pd.DataFrame
    typical: pd.DataFrame
    doubtful: pd.DataFrame
    missized: pd.DataFrame
    images: dict[int, str]
    thumbnails: dict[int, str]
    notes: list[str]
    min_score: float
    seed: int


def summarise(
    film: Film, min_score: float = MIN_SCORE, seed: int = 0, progress: Callable[[], None] | None = None
) -> Summary:
    """Count a film's cells, read its morphology and look at its pictures, which may be missing.

    Parameters
    ----------
    film : Film
    min_score : float
        Cells with a lower score are not counted unless they were reviewed.
    seed : int
        Of the bootstrap.
    progress : callable, optional
        Called after each picture.
    """
    vocabulary = film.fields[0].cells.vocabulary
    cells = cell_table(film, min_score)
    counts = differential(cells, clusters(film.fields), seed)
    bank = morphology_bank(cells, vocabulary)
    words = majority(bank)
    typical, doubtful = typical_cells(cells, words), doubtful_cells(cells)
    missized = cells[(cells["status"] == COUNTED) & contradicted(cells)]
    shown = pd.concat([typical, doubtful.head(MOST_DOUBTFUL), missized.head(MOST_DOUBTFUL)])
    pictures, images, thumbnails = _look(film, cells, shown[~shown.index.duplicated()], progress)
    sizes = measured_sizes(cells)
    text = masked_text(counts, words, len(film.fields), size_sentences(sizes))
    notes = film_notes(film, counts, pictures) + size_notes(sizes)
    return Summary(
        film,
        cells,
        counts,
        bank,
        words,
        sizes,
        text,
        pictures,
        typical,
        doubtful,
        missized,
        images,
        thumbnails,
        notes,
        min_score,
        seed,
    )


def typical_cells(cells: pd.DataFrame, words: pd.DataFrame) -> pd.DataFrame:
    """Return up to eight counted cells of each known type: those most like its majority, then the least doubtful.

    Cells whose measured size contradicts the one that was read are none.
    """
    sound = (cells["doubt"] < DOUBTFUL) & ~contradicted(cells)
    counted = cells[(cells["status"] == COUNTED) & (cells["class"] != UNKNOWN_CLASS) & sound]
    usual = words.reindex(counted["class"].astype(str))
    agreeing = sum((counted[name].astype(str).to_numpy() == usual[name].to_numpy() for name in words), 0)
    ranked = counted.assign(agreeing=agreeing).sort_values(["agreeing", "doubt"], ascending=[False, True])
    return ranked.groupby("class", observed=True).head(TYPICAL_PER_TYPE).drop(columns="agreeing")


def doubtful_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the counted cells from `DOUBTFUL` on, the most doubtful first."""
    counted = cells[(cells["status"] == COUNTED) & (cells["doubt"] >= DOUBTFUL)]
    return counted.sort_values("doubt", ascending=False, kind="stable")


def review_states(cells: pd.DataFrame) -> dict[str, int]:
    """Return how many of the cells, but for those below the lowest score, are in each state of review."""
    states = cells.loc[cells["status"] != BELOW, "review"]
    return {state or "not reviewed": int((states == state).sum()) for state in STATES}


def _look(
    film: Film, cells: pd.DataFrame, shown: pd.DataFrame, progress: Callable[[], None] | None
) -> tuple[pd.DataFrame, dict[int, str], dict[int, str]]:
    """Return one row a picture, the crops of the cells that are `shown`, and thumbnails of the first pictures."""
    images: dict[int, str] = {}
    thumbnails: dict[int, str] = {}
    rows = []
    for number, field in enumerate(film.fields):
        own = cells[cells["picture"] == number]
        quality, problem = NOT_MEASURED, ""
        try:
            picture = read_image(field.path)
        except PictureError as error:
            problem = error.reason
        else:
            quality = measure_quality(picture, field.cells.boxes[(own["status"] == COUNTED).to_numpy()])
            scale = field.cells.scale
            um_per_px = scale.um_per_px if scale and scale.sure else (1.0, 1.0)
            for row, *box in shown.loc[shown["picture"] == number, CORNERS].itertuples():
                images[row] = data_uri(crop_cell(picture, np.array(box, np.float32), um_per_px))
            if number < MOST_THUMBNAILS:
                thumbnails[number] = data_uri(thumbnail(picture))
        others = {"novelty": field.cells.novelty, "problem": problem}
        rows.append(_picture_row(field.name, own) | quality._asdict() | others)
        if progress:
            progress()
    pictures = pd.DataFrame(rows).astype({"novelty": float})
    return pictures.assign(remarks=picture_remarks(film, pictures)), images, thumbnails


def _picture_row(name: str, cells: pd.DataFrame) -> dict[str, object]:
    status, counted = cells["status"], cells[cells["status"] == COUNTED]
    return {
        "image": name,
        "counted": len(counted),
        "unknown_type": int((counted["class"] == UNKNOWN_CLASS).sum()),
        "doubtful": int((counted["doubt"] >= DOUBTFUL).sum()),
        "artefacts": int((status == ARTEFACTS).sum()),
        "rejected": int((status == REJECTED).sum()),
        "below_min_score": int((status == BELOW).sum()),
        "reviewed": int(reviewed(cells).sum()),
        "reviewable": int((status != BELOW).sum()),
    }
