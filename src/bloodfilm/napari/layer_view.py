"""A Shapes layer and the table of a session, each following the other."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from bloodfilm.errors import UserError
from bloodfilm.napari.layers import new_ids
from bloodfilm.napari.shapes import fill, frame_of, recolour, set_features
from bloodfilm.review.edits import ID, SHAPE, VERTICES, Edit, add, change, delete, with_columns
from bloodfilm.review.rules import consequences, differences, differing, drawn
from bloodfilm.review.session import Session
from bloodfilm.review.states import reviewed
from bloodfilm.vocabulary import Vocabulary

if TYPE_CHECKING:
    from napari.layers import Shapes

Colours = Callable[[pd.DataFrame], npt.NDArray[np.float32]]


class LayerView:
    """What a layer shows of the table of a session: the cells of `min_score`, and those that somebody reviewed.

    Parameters
    ----------
    layer : Shapes
        It shows all of the table, in its order.
    session : Session
    vocabulary : Vocabulary
    colours : callable
        Returns the colours (N, 4) of the boxes of any rows of features.
    """

    def __init__(self, layer: Shapes, session: Session, vocabulary: Vocabulary, colours: Colours) -> None:
        self._layer = weakref.ref(layer)
        self.session, self.vocabulary, self.colours = session, vocabulary, colours
        self.min_score = 0.0
        self.ids = session.table.index
        self.moved = False
        self.busy = False
        self.update(self.ids)

    @property
    def layer(self) -> Shapes:
        layer = self._layer()
        if layer is None:
            raise RuntimeError("The layer of this review is gone.")
        return layer

    @property
    def rows(self) -> pd.DataFrame:
        """The rows of the table that the layer shows, in its order."""
        table = self.session.table
        return table if self.ids.equals(table.index) else table.loc[self.ids]

    @property
    def selected(self) -> list[str]:
        return [self.ids[row] for row in sorted(self.layer.selected_data) if row < len(self.ids)]

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Take nothing of what happens to the layer for an edit."""
        busy, self.busy = self.busy, True
        try:
            yield
        finally:
            self.busy = busy

    def show(self, edit: Edit) -> None:
        """Show what `edit` changed in the table."""
        if edit.after is None:
            self._remove(edit.ids)
        elif edit.reshapes or self._wanted().sum() != len(self.ids):
            self.refill()
        else:
            self.update(edit.ids, edit.after.columns)

    def refill(self) -> None:
        """Show the table anew; what was selected stays so."""
        selected = self.selected
        self.ids = self.session.table.index[self._wanted()]
        features = self._features()
        with self.writing():
            fill(self.layer, self.rows[list(SHAPE)], features, self.colours(features))
            self.layer.selected_data = set(np.flatnonzero(self.ids.isin(selected)).tolist())

    def update(self, ids: Iterable[str], columns: Iterable[str] | None = None) -> None:
        """Show the features of the table, or those of `columns`, and the colours of `ids`; shapes stay as they are."""
        features = self._features()
        rows = np.flatnonzero(self.ids.isin(list(ids)))
        with self.writing():
            set_features(self.layer, features, columns)
            if len(rows):
                recolour(self.layer, rows, self.colours(features.iloc[rows]))

    def recolour(self) -> None:
        recolour(self.layer, range(len(self.ids)), self.colours(self._features()))

    def _remove(self, ids: list[str]) -> None:
        rows = np.flatnonzero(self.ids.isin(ids)).tolist()
        self.ids = self.ids.delete(rows)
        with self.writing():
            self.layer.remove(rows)
        self.update([])

    def _wanted(self) -> npt.NDArray[np.bool_]:
        """Tell which cells of the table are to be shown."""
        table = self.session.table
        return np.asarray(table["score"] >= self.min_score) | reviewed(table)

    def _features(self) -> pd.DataFrame:
        return self.rows.drop(columns=list(SHAPE)).reset_index(names=ID)

    def take_over(self) -> list[str]:
        """Make edits of what the user did in the layer since the last time; return the ids concerned.

        Raises
        ------
        UserError
            If a score is none, or an edit cannot be kept.
        """
        layer = self.layer
        if self.busy or len(layer.features) != layer.nshapes:
            return []
        rows = frame_of(layer, self.moved or layer.nshapes != len(self.ids))
        self.moved = False
        with self.writing():
            touched = self._take_over(rows.set_axis(self._ids_of(rows)))
            if touched:
                self.update(touched)
        return touched

    def _take_over(self, rows: pd.DataFrame) -> list[str]:
        session = self.session
        gone = list(self.ids.difference(rows.index, sort=False))
        new = ~rows.index.isin(self.ids) | rows.index.duplicated()
        changed = self._changes(rows[~new])
        self._refuse_scores(changed)
        if gone:
            session.do(delete(session.table, gone))
        if len(changed):
            what = "move" if VERTICES in changed else changed.columns[0] if len(changed.columns) == 1 else "edit"
            after = consequences(session.table, changed, self.vocabulary, session.reviewer)
            session.do(change(session.table, what, after))
        names = rows.index.to_numpy(object, copy=True)
        if new.any():
            names[new] = new_ids(int(new.sum()))
            session.do(add(drawn(session.table, rows[new].set_axis(names[new])), len(session.table)))
        self.ids = pd.Index(names, name=ID, dtype=object)
        return [*gone, *changed.index, *names[new]]

    def _refuse_scores(self, changed: pd.DataFrame) -> None:
        """Raise a UserError if a score among what `changed` is no number from 0 to 1; it may be missing."""
        scores = ["score", *(f"{reading}_score" for reading in self.vocabulary.reading_names)]
        for name, given in changed[changed.columns.intersection(scores)].items():
            wrong = given[given.notna() & ~pd.to_numeric(given, errors="coerce").between(0, 1)]
            if len(wrong):
                cell, row = wrong.index[0], self.ids.get_loc(wrong.index[0])
                raise UserError(
                    f"Cell {cell} in row {row}: {name} cannot be {wrong.iloc[0]}; type a score from 0 to 1."
                )

    def _ids_of(self, rows: pd.DataFrame) -> pd.Index:
        """Return the ids of `rows`: where somebody changed ids and no shape, those of the table."""
        if len(rows) != len(self.ids) or rows.index.equals(self.ids):
            return rows.index
        moved = VERTICES in rows and differing(self.rows[VERTICES], rows[VERTICES]).any()
        return rows.index if moved else self.ids

    def _changes(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return of `rows` what is different from the table; columns that it has not are taken over at once."""
        history = self.session.history
        further = rows.columns.difference(history.table.columns)
        if len(further):
            history.table = with_columns(history.table, rows[further])
        known = history.table if rows.index.equals(history.table.index) else history.table.loc[rows.index]
        return differences(known, rows)
