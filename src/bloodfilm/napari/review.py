"""The review of a Shapes layer of cells: edits by key, click, tool or table, all undone, redone and journaled."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from napari.utils.colormaps.standardize_color import transform_color
from psygnal import Signal

from bloodfilm.errors import UserError
from bloodfilm.napari.layers import METADATA_KEY, drawn_features, layer_vocabulary, new_ids
from bloodfilm.napari.shapes import areas, centre_on, differing, fill, frame_of
from bloodfilm.palette import colour
from bloodfilm.review.edits import ID, SHAPE, VERTICES, Edit, History, add, change, delete, with_columns
from bloodfilm.review.session import Session
from bloodfilm.review.states import (
    ACCEPTED,
    CHANGED,
    REJECTED,
    REVIEW,
    REVIEWED_AT,
    REVIEWER,
    UNREVIEWED,
    doubt_of,
    reviewed,
    stamp,
    with_review,
)
from bloodfilm.vocabulary import UNKNOWN_CLASS

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Shapes

FADED = 0.3
"""Opacity of the boxes of rejected cells."""

DIAMETER = "diameter_um"


class Review:
    """All cells of a Shapes layer, of which it shows those that are sure enough, and what is done to them.

    What the user does with napari's own tools and in its table becomes an edit, too: a box drawn, pasted, moved
    or deleted, a word changed. Cells go by their ids throughout.

    Attributes
    ----------
    changed : Signal(list of str)
        The ids of cells that came, went or changed; empty if others are shown than before.
    told : Signal(str)
        Why an edit was not made.
    colours : callable
        Returns the colours (N, 4) of the boxes of a frame of features; set it and call `recolour`.
    """

    changed = Signal(list)
    told = Signal(str)
    _of: ClassVar[weakref.WeakKeyDictionary[Shapes, Review]] = weakref.WeakKeyDictionary()

    def __init__(self, layer: Shapes, session: Session | None = None) -> None:
        if "class" not in layer.features or METADATA_KEY not in layer.metadata:
            raise UserError(f"{layer.name} does not show cells that bloodfilm found or read: choose a layer that does.")
        self._layer = weakref.ref(layer)
        self._viewer: Callable[[], ViewerModel | None] = lambda: None
        self.vocabulary = layer_vocabulary(layer.metadata)
        self.colours = self.type_colours
        self.min_score = 0.0
        self._busy = False
        self.session = session or Session(History(_named(with_review(frame_of(layer)))), **_about(layer))
        self._shown: list[str] = []
        self._fill()
        layer.events.data.connect(self._on_data)
        layer.events.features.connect(self._on_features)
        layer.selected_data.events.items_changed.connect(self._on_selection)

    @classmethod
    def of(cls, layer: Shapes, viewer: ViewerModel | None = None) -> Review:
        """Return the review of `layer`, a new one if it has none; `viewer` is what moves to the next cell.

        Raises
        ------
        UserError
            If the layer does not show cells.
        """
        layer, viewer = (getattr(each, "__wrapped__", each) for each in (layer, viewer))
        review = cls._of.get(layer)
        if review is None:
            review = cls._of[layer] = cls(layer)
        if viewer is not None:
            review._viewer = weakref.ref(viewer)
        return review

    @property
    def layer(self) -> Shapes:
        layer = self._layer()
        if layer is None:
            raise RuntimeError("The layer of this review is gone.")
        return layer

    @property
    def table(self) -> pd.DataFrame:
        """All cells, those hidden too, one row each, by id; see `bloodfilm.review.edits`."""
        return self.session.table

    @property
    def reviewer(self) -> str:
        return self.session.reviewer

    @reviewer.setter
    def reviewer(self, name: str) -> None:
        self.session.reviewer = name

    @property
    def ids(self) -> list[str]:
        """The ids of the rows of the layer."""
        return list(self._shown)

    @property
    def selected(self) -> list[str]:
        """The ids of the cells that are selected."""
        return [self._shown[row] for row in sorted(self.layer.selected_data) if row < len(self._shown)]

    @property
    def hidden(self) -> int:
        """Number of cells whose score is too low to be shown."""
        return len(self.table) - len(self._shown)

    def accept(self, ids: Iterable[str]) -> None:
        """Note that all readings of the cells are right."""
        self._change("accept", ids, REVIEW, ACCEPTED)

    def reject(self, ids: Iterable[str]) -> None:
        """Note that these are no white cells: they stay in the layer and count nowhere."""
        self._change("reject", ids, REVIEW, REJECTED)

    def set_class(self, ids: Iterable[str], name: str) -> None:
        """Give the cells a type; the one that they had is accepted."""
        if name not in (*self.vocabulary.classes, UNKNOWN_CLASS):
            raise ValueError(f"There is no type {name}.")
        self._change("class", ids, "class", name)

    def set_attribute(self, ids: Iterable[str], attribute: str, value: str) -> None:
        """Give the cells a value of an attribute; the one that they had is accepted."""
        if value not in next((a.values for a in self.vocabulary.attributes if a.name == attribute), ()):
            raise ValueError(f"{attribute} is never {value}.")
        self._change(attribute, ids, attribute, value)

    def undo(self) -> None:
        """Take the last edit back, whichever it was."""
        self._step(Session.undo)

    def redo(self) -> None:
        """Make the edit that was undone last again."""
        self._step(Session.redo)

    @property
    def can_undo(self) -> str:
        """In a word, what `undo` takes back; empty if there is nothing."""
        done = self.session.history.done
        return done[-1].what if done else ""

    @property
    def can_redo(self) -> str:
        """In a word, what `redo` makes again; empty if there is nothing."""
        undone = self.session.history.undone
        return undone[-1].what if undone else ""

    def next_unreviewed(self, after: str | None = None) -> str | None:
        """Return the first unreviewed cell behind `after`, or from the start again; None if all are reviewed."""
        todo = np.flatnonzero(~reviewed(self.table.loc[self._shown]))
        place = self._shown.index(after) if after in self._shown else -1
        return self._shown[int(todo[np.argmax(todo > place)])] if len(todo) else None

    def doubts(self) -> pd.Series:
        """Return how doubtful each cell that is shown is, by id, from 0 to 1; 0 once somebody looked at it."""
        shown = self.table.loc[self._shown]
        readings = shown.reindex(columns=[f"{name}_score" for name in self.vocabulary.attribute_names])
        typed = shown["class"] != UNKNOWN_CLASS
        doubts = doubt_of(shown["score"], shown["class_score"], readings, typed, reviewed(shown))
        return pd.Series(doubts, shown.index)

    def most_doubtful(self, count: int = 1) -> list[str]:
        """Return the `count` unreviewed cells that are most doubtful, the most doubtful first."""
        doubts = self.doubts()[~reviewed(self.table.loc[self._shown])]
        return list(doubts.sort_values(ascending=False, kind="stable").index[:count])

    def go_to(self, cell: str) -> None:
        """Select a cell and bring it to the middle of the canvas."""
        self.layer.selected_data = {self._shown.index(cell)}
        if (viewer := self._viewer()) is not None:
            centre_on(viewer, self.table.at[cell, VERTICES], self.layer)

    def show(self, min_score: float) -> None:
        """Hide the cells below a score, but for those that somebody reviewed; this is no edit."""
        self.sync()
        self.min_score = min_score
        self._fill()
        self.changed.emit([])

    def recolour(self) -> None:
        """Give all boxes the colours that `colours` tells."""
        if self._shown:
            self.layer.edge_color = self.colours(self.layer.features)

    def type_colours(self, features: pd.DataFrame) -> npt.NDArray[np.float32]:
        """Return the colours (N, 4) of types; those of rejected cells are faint."""
        codes, names = pd.factorize(features["class"])
        palette = transform_color([colour(str(name), self.vocabulary.classes) for name in names] or ["white"])
        colours = np.asarray(palette, np.float32)[codes]
        colours[(features[REVIEW] == REJECTED).to_numpy(), 3] = FADED
        return colours

    def set_columns(self, columns: pd.DataFrame) -> None:
        """Give cells, by id, values that a program calculated: this is no edit, and undone by none."""
        self.sync()
        self._adopt(columns)
        self._update()
        self.changed.emit(list(columns.index))

    def saved(self) -> None:
        """Note that the cells are in a file of the user's: the next edit begins a new journal."""
        self.session.saved()

    def close(self) -> None:
        """Leave the journal for later; another `Review.of` begins anew."""
        self.session.close()
        self._busy = True
        self._of.pop(self.layer, None)

    def sync(self, shapes: bool = True) -> None:
        """Make edits of what the user did in the layer since this was called last."""
        layer = self.layer
        if self._busy or len(layer.features) != layer.nshapes:
            return
        with self._writing():
            try:
                touched = self._take_over(frame_of(layer, shapes))
            except UserError as error:
                self._fill()
                self.told.emit(str(error))
                return
            if touched:
                self._update()
        if touched:
            self.changed.emit(touched)

    def _take_over(self, rows: pd.DataFrame) -> list[str]:
        """Make edits of how `rows`, what the layer holds, differ from the table; return the ids concerned."""
        rows = rows.set_axis(self._ids_of(rows))
        gone = list(pd.Index(self._shown).difference(rows.index, sort=False))
        new = ~rows.index.isin(self._shown) | rows.index.duplicated()
        if gone:
            self.session.do(delete(self.table, gone))
        changed = self._changes(rows[~new])
        if len(changed):
            what = next((name for name in changed if name != VERTICES), "") if len(changed.columns) == 1 else "edit"
            what = "move" if VERTICES in changed else what
            self.session.do(change(self.table, what, self._with_consequences(changed)))
        names = rows.index.to_numpy(object, copy=True)
        if new.any():
            names[new] = new_ids(int(new.sum()))
            drawn = self._as_drawn(rows[new].set_axis(names[new]))
            self.session.do(add(drawn, len(self.table)))
        self._shown = list(names)
        return [*gone, *changed.index, *names[new]]

    def _ids_of(self, rows: pd.DataFrame) -> pd.Index:
        """Return the ids of `rows`: where somebody changed ids and no shape, those of the table."""
        if len(rows) != len(self._shown) or list(rows.index) == self._shown:
            return rows.index
        known = self.table.loc[self._shown]
        moved = VERTICES in rows and differing(known[VERTICES], rows[VERTICES]).any()
        return rows.index if moved else known.index

    def _changes(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return of `rows` what is different from the table; columns that it has not are taken over at once."""
        further = rows.columns.difference(self.table.columns)
        if len(further):
            self._adopt(rows[further])
        known = self.table.loc[rows.index]
        differs = {name: differing(known[name], column) for name, column in rows.items()}
        columns = [name for name, rows_differ in differs.items() if rows_differ.any()]
        any_differs = np.logical_or.reduce([differs[name] for name in columns] or [np.zeros(len(rows), bool)])
        return rows.loc[any_differs, columns]

    def _with_consequences(self, after: pd.DataFrame) -> pd.DataFrame:
        """Return the columns `after` with the review state, and no score of a reading that somebody replaced."""
        before = self.table.loc[after.index]
        differs = {name: differing(before[name], column) for name, column in after.items()}
        after = after.copy()
        for name in ("class", *self.vocabulary.attribute_names):
            if name in after:
                after[f"{name}_score"] = before[f"{name}_score"].mask(differs[name])
        if VERTICES in after and DIAMETER in before:
            with np.errstate(divide="ignore", invalid="ignore"):
                growth = areas(after[VERTICES]) / areas(before[VERTICES])
            after[DIAMETER] = before[DIAMETER] * np.sqrt(growth)
        if REVIEW not in after:
            same = before[REVIEW].astype(object).replace({UNREVIEWED: ACCEPTED, REJECTED: ACCEPTED})
            after[REVIEW] = np.where(np.logical_or.reduce(list(differs.values())), CHANGED, same)
        return after.assign(**stamp(self.reviewer)) if REVIEWER not in after and REVIEWED_AT not in after else after

    def _as_drawn(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return new `rows` as sure cells of which nothing is known, whatever napari made them inherit."""
        blank = drawn_features(self.table.drop(columns=list(SHAPE)))
        drawn = rows.assign(**blank)
        if DIAMETER in drawn:
            per_side = (self.table[DIAMETER] / np.sqrt(areas(self.table[VERTICES]))).median()
            drawn[DIAMETER] = np.sqrt(areas(rows[VERTICES])) * per_side
        return drawn

    def _adopt(self, columns: pd.DataFrame) -> None:
        history = self.session.history
        history.table = with_columns(history.table, columns)

    def _change(self, what: str, ids: Iterable[str], column: str, word: str) -> None:
        self.sync()
        ids = list(dict.fromkeys(ids))
        if ids:
            after = self._with_consequences(pd.DataFrame({column: pd.Series(word, ids, dtype=object)}))
            self._step(lambda session: session.do(change(session.table, what, after)))

    def _step(self, step: Callable[[Session], Edit | None]) -> None:
        """Make, undo or redo an edit and show it."""
        self.sync()
        try:
            edit = step(self.session)
        except UserError as error:
            self.told.emit(str(error))
            return
        if edit is None:
            return
        if edit.reshapes or not set(edit.ids) <= set(self._shown):
            self._fill()
        else:
            self._update()
        self.changed.emit(edit.ids)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        busy, self._busy = self._busy, True
        try:
            yield
        finally:
            self._busy = busy

    def _features(self) -> pd.DataFrame:
        return self.table.loc[self._shown].drop(columns=list(SHAPE)).reset_index(names=ID)

    def _fill(self) -> None:
        """Show the table in the layer; what was selected stays so."""
        selected = set(self.selected)
        above = (self.table["score"] >= self.min_score).to_numpy() | reviewed(self.table)
        self._shown = list(self.table.index[above])
        features = self._features()
        with self._writing():
            fill(self.layer, self.table.loc[self._shown, list(SHAPE)], features, self.colours(features))
            self.layer.feature_defaults = drawn_features(features)
            self.layer.selected_data = {row for row, cell in enumerate(self._shown) if cell in selected}

    def _update(self) -> None:
        """Show the features of the table; the shapes are as they should be."""
        features = self._features()
        with self._writing():
            self.layer.features = features
            self.layer.feature_defaults = drawn_features(features)
            if len(features):
                colours = self.colours(features)
                if not np.allclose(colours, self.layer.edge_color):
                    self.layer.edge_color = colours

    def _on_data(self, event: Any) -> None:
        if str(event.action) in ("added", "removed", "changed"):
            self.sync()

    def _on_features(self) -> None:
        self.sync()

    def _on_selection(self) -> None:
        if len(self.layer.features) == len(self._shown):
            self.sync(shapes=False)


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """Return `table` with an id for each row."""
    ids = table.index.to_numpy(object, copy=True)
    unnamed = (ids == "") | table.index.duplicated()
    ids[unnamed] = new_ids(int(unnamed.sum()))
    return table.set_axis(pd.Index(ids, name=ID, dtype=object))


def _about(layer: Shapes) -> dict[str, Any]:
    return {"name": layer.name}
