from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bloodfilm.cells import Origin
from bloodfilm.film.count import cell_table, clusters, differential, shares
from bloodfilm.film.film import Film

MakeFilm = Callable[..., Film]


def test_artefacts_rejected_and_improbable_cells_are_not_counted(film_of: MakeFilm) -> None:
    review = ["", "rejected", "accepted", ""]
    film = film_of(("None", "Neutrophil", "Basophil", "Monocyte"), scores=0.4, review=review)
    assert cell_table(film, 0.5)["status"].tolist() == ["artefact", "rejected", "counted", "below the lowest score"]
    assert cell_table(film, 0.3)["status"].tolist() == ["artefact", "rejected", "counted", "counted"]


def test_shares_are_of_cells_with_a_type(film_of: MakeFilm) -> None:
    film = film_of(("Neutrophil", "Neutrophil", "what is it", "None"), ("Lymphoblast", "Promonocyte"), ())
    counts = differential(cell_table(film), clusters(film.fields))
    assert (counts.total, counts.unknown) == (4, 1)
    assert counts.types["share"].to_dict() == {"Neutrophil": 0.5, "Lymphoblast": 0.25, "Promonocyte": 0.25}
    assert counts.blasts[["count", "share"]].tolist() == [2, 0.5]


def test_no_cell_gives_no_share(film_of: MakeFilm) -> None:
    film = film_of((), ("None",))
    counts = differential(cell_table(film), clusters(film.fields))
    assert counts.types.empty
    assert counts.blasts["count"] == 0
    assert counts.blasts[["share", "low", "high"]].isna().all()


def test_a_type_that_was_not_seen_may_still_be_there() -> None:
    row = shares(pd.DataFrame({"blasts": [0] * 10}), pd.Series([5] * 10)).loc["blasts"]
    assert row["low"] == 0
    assert row["high"] == pytest.approx(0.071, abs=0.002)  # Wilson's for 0 of 50


def test_intervals_are_wider_where_fields_differ() -> None:
    totals = pd.Series([10] * 20)
    even, patchy = (shares(pd.DataFrame({"t": hits}), totals).loc["t"] for hits in ([5] * 20, [10, 0] * 10))
    assert even["share"] == patchy["share"] == 0.5
    assert patchy["high"] - patchy["low"] > 2 * (even["high"] - even["low"])


def test_a_single_field_has_an_interval() -> None:
    row = shares(pd.DataFrame({"t": [3]}), pd.Series([10])).loc["t"]
    assert row["low"] < 0.15
    assert row["high"] > 0.55


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for seed in range(100):
        own = rng.beta(2, 8, 12)
        hits, totals = rng.binomial(8, own), np.full(12, 8)
        row = shares(pd.DataFrame({"t": hits}), pd.Series(totals), seed).loc["t"]
        held += row["low"] <= 0.2 <= row["high"]
    assert held >= 90


def test_the_same_seed_gives_the_same_interval(film: Film) -> None:
    table, drawn = cell_table(film), clusters(film.fields)
    first, same, other = (differential(table, drawn, seed).types for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(first, same)
    assert not first.equals(other)


def test_views_of_one_field_are_drawn_together(film_of: MakeFilm) -> None:
    fields = film_of((), (), ()).fields
    views = tuple(replace(f, origin=Origin("4", 8, view, 400, "ALL")) for view, f in enumerate(fields[:2]))
    assert clusters((*views, fields[2])) == ["4 8", "4 8", "2.png"]
