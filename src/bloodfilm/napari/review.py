"""The review of a Shapes layer of cells: edits by key, click, tool or table, all undone, redone and journaled."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from napari.utils.colormaps.standardize_color import transform_color
from napari.utils.notifications import show_info
from psygnal import Signal

from bloodfilm.cells import Cells
from bloodfilm.errors import UserError
from bloodfilm.napari import keys
from bloodfilm.napari.gallery.colouring import faded
from bloodfilm.napari.layer_view import Colours, LayerView
from bloodfilm.napari.layers import METADATA_KEY, layer_vocabulary, new_ids, plain
from bloodfilm.napari.shapes import cut_surplus, draw_selections_once, frame_of, go_to
from bloodfilm.palette import colour
from bloodfilm.review.edits import ID, VERTICES, Edit, History, change
from bloodfilm.review.rules import blank_value, consequences
from bloodfilm.review.session import Session
from bloodfilm.review.states import (
    ACCEPTED,
    COLUMNS,
    CONTRADICTED,
    REJECTED,
    REVIEW,
    SEPARATOR,
    UNREVIEWED,
    doubts_of,
    reviewed,
    with_review,
)
from bloodfilm.vocabulary import UNKNOWN_CLASS

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Shapes


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
    reading_wanted : Signal(list of str)
        The user wants what the model reads for these cells; `set_readings` takes it.
    goes_on : bool
        If a key that decides on one cell also moves to the next that nobody reviewed.
    among : collection of str, optional
        The cells of which the next one is chosen, where a panel shows only these.
    colours : callable
        Returns the colours (N, 4) of the boxes of any rows of features; set it and call `recolour`.
    """

    changed = Signal(list)
    told = Signal(str)
    reading_wanted = Signal(list)
    _of: ClassVar[weakref.WeakKeyDictionary[Shapes, Review]] = weakref.WeakKeyDictionary()

    def __init__(self, layer: Shapes, session: Session | None = None) -> None:
        if "class" not in layer.features or METADATA_KEY not in layer.metadata:
            raise UserError(f"{layer.name} does not show cells that bloodfilm found or read: choose a layer that does.")
        cut_surplus(layer)
        session = session or Session(History(_named(with_review(frame_of(layer)))), **_about(layer))
        self.vocabulary = layer_vocabulary(layer.metadata)
        self.goes_on = False
        self.among: Collection[str] | None = None
        self._view = LayerView(layer, session, self.vocabulary, self.type_colours)
        self._viewer: Callable[[], ViewerModel | None] = lambda: None
        layer.events.data.connect(self._on_data)
        layer.events.features.connect(self._on_features)
        layer.selected_data.events.items_changed.connect(self._on_selection)
        draw_selections_once(layer)
        keys.bind(self)

    @classmethod
    def of(cls, layer: Shapes, viewer: ViewerModel | None = None, session: Session | None = None) -> Review:
        """Return the review of `layer`, a new one if it has none, which goes on with `session`.

        `viewer` is what moves to the next cell.

        Raises
        ------
        UserError
            If the layer does not show cells.
        """
        layer, viewer = (getattr(each, "__wrapped__", each) for each in (layer, viewer))
        review = cls._of.get(layer)
        if review is None:
            review = cls._of[layer] = cls(layer, session)
        if viewer is not None and review._viewer() is not viewer:
            review._viewer = weakref.ref(viewer)
            viewer.layers.events.removed.connect(review._on_removed)
        return review

    @classmethod
    def of_metadata(cls, metadata: dict[str, Any]) -> Review | None:
        """Return the review of the layer that has this very `metadata`, if there is one."""
        return next((review for layer, review in cls._of.items() if layer.metadata is metadata), None)

    @property
    def layer(self) -> Shapes:
        return self._view.layer

    @property
    def session(self) -> Session:
        return self._view.session

    @property
    def colours(self) -> Colours:
        return self._view.colours

    @colours.setter
    def colours(self, colours: Colours) -> None:
        self._view.colours = colours

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
        return list(self._view.ids)

    @property
    def selected(self) -> list[str]:
        """The ids of the cells that are selected."""
        return self._view.selected

    @property
    def shown(self) -> pd.DataFrame:
        """The cells of the table that the layer shows, in its order."""
        return self._view.rows

    @property
    def hidden(self) -> int:
        """Number of cells whose score is too low to be shown."""
        return len(self.table) - len(self._view.ids)

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
        """Give the cells a value of an attribute, or the word for none; the one that they had is accepted."""
        values = next((a.values for a in self.vocabulary.attributes if a.name == attribute), ())
        if value not in (*values, blank_value(self.table[attribute])):
            raise ValueError(f"{attribute} is never {value}.")
        self._change(attribute, ids, attribute, value)

    def turn(self, attribute: str) -> None:
        """Give the selected cells the next value of an attribute, behind the one of the first of them."""
        values = next(a.values for a in self.vocabulary.attributes if a.name == attribute)
        if selected := self.selected:
            word = self.table.at[selected[0], attribute]
            place = values.index(word) + 1 if word in values else 0
            self.set_attribute(selected, attribute, values[place % len(values)])

    def want_reading(self) -> None:
        """Ask for what the model reads for the selected cells."""
        self.reading_wanted.emit(self.selected)

    def set_readings(self, ids: Iterable[str], cells: Cells) -> None:
        """Give the cells type and attributes that a model reads, nobody has reviewed then."""
        if cells.vocabulary != self.vocabulary:
            raise UserError("The model names other types or attributes than these cells have.")
        self.sync()
        missing = next((self.table[name].cat.categories[-1] for name in self.vocabulary.attribute_names), "")
        after = cells.to_frame(missing).drop(columns=["score", "diameter_um"], errors="ignore").set_axis(list(ids))
        after = after.assign(**dict.fromkeys(COLUMNS, UNREVIEWED))
        if CONTRADICTED in self.table:
            after = after.assign(**{CONTRADICTED: ""})
        self._step(lambda session: session.do(change(session.table, "reading", after)))

    def undo(self) -> None:
        """Take the last edit back, whichever it was."""
        self.sync()
        self._step(Session.undo)

    def redo(self) -> None:
        """Make the edit that was undone last again."""
        self.sync()
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
        todo = np.flatnonzero(self._todo())
        ids = self._view.ids
        place = ids.get_loc(after) if after in ids else -1
        return ids[int(todo[np.argmax(todo > place)])] if len(todo) else None

    def doubts(self) -> pd.Series:
        """Return how doubtful each cell that is shown is, by id, from 0 to 1; 0 once somebody looked at it."""
        return pd.Series(doubts_of(self.shown, self.vocabulary), self.shown.index)

    def most_doubtful(self, count: int = 1) -> list[str]:
        """Return the `count` unreviewed cells that are most doubtful, the most doubtful first."""
        doubts = self.doubts()[self._todo()]
        return list(doubts.sort_values(ascending=False, kind="stable").index[:count])

    def _todo(self) -> npt.NDArray[np.bool_]:
        """Tell which of the cells that are shown nobody reviewed."""
        shown = self.shown
        wanted = np.ones(len(shown), bool) if self.among is None else shown.index.isin(list(self.among))
        return ~reviewed(shown) & wanted

    def go_to(self, cell: str) -> None:
        """Select a cell and bring it to the middle of the canvas, large enough to be seen."""
        self.layer.selected_data = {self._view.ids.get_loc(cell)}
        if (viewer := self._viewer()) is not None:
            go_to(viewer, self.layer, self.table.at[cell, VERTICES])

    def go_on(self) -> None:
        """Go to the next cell that nobody reviewed."""
        cell = self.next_unreviewed(next(iter(self.selected[-1:]), None))
        self.go_to(cell) if cell else self._tell("All cells are reviewed.")

    def go_to_doubt(self) -> None:
        """Go to the most doubtful cell that nobody reviewed; from there, to the next less doubtful one."""
        cells = self.most_doubtful(len(self._view.ids))
        place = cells.index(self.selected[0]) + 1 if self.selected[:1] and self.selected[0] in cells else 0
        self.go_to(cells[place % len(cells)]) if cells else self._tell("All cells are reviewed.")

    def decide(self, decision: Callable[[list[str]], None]) -> None:
        """Make a decision on the selected cells; after that on one cell, go on if `goes_on`."""
        selected = self.selected
        if not selected:
            self._tell("Select a cell first: N goes to the next that nobody reviewed.")
            return
        decision(selected)
        if self.goes_on and len(selected) == 1:
            self.go_on()

    def show(self, min_score: float) -> None:
        """Hide the cells below a score, but for those that somebody reviewed; this is no edit."""
        self.sync()
        self._view.min_score = self.session.about["min_score"] = min_score
        self._view.refill()
        self.changed.emit([])

    def recolour(self) -> None:
        """Give all boxes the colours that `colours` tells."""
        self._view.recolour()

    def type_colours(self, features: pd.DataFrame) -> npt.NDArray[np.float32]:
        """Return the colours (N, 4) of types; those of rejected cells are faint."""
        codes, names = pd.factorize(features["class"])
        palette = transform_color([colour(str(name), self.vocabulary.classes) for name in names] or ["white"])
        colours = np.asarray(palette, np.float32)[codes]
        return faded(colours, features)

    def note_contradicted(self, cell: str, attributes: Iterable[str]) -> None:
        """Note the attributes of a cell that a measure contradicts: no edit, and undone by none."""
        self.sync()
        table, words = self.table, SEPARATOR.join(attributes)
        known = table[CONTRADICTED].to_numpy(object) if CONTRADICTED in table else np.full(len(table), "", object)
        row = table.index.get_loc(cell)
        if known[row] != words:
            noted = pd.Series(known, table.index, copy=True)
            noted.iloc[row] = words
            self.session.history.table = table.assign(**{CONTRADICTED: noted})
            self._view.update([], [CONTRADICTED])
            self.changed.emit([cell])

    def saved(self) -> None:
        """Note that the cells are in a file of the user's: the next edit begins a new journal."""
        self.session.saved()

    def sync(self) -> None:
        """Make edits of what the user did in the layer since this was called last."""
        try:
            touched = self._view.take_over()
        except UserError as error:
            self._view.refill()
            self._tell(str(error))
            return
        if touched:
            self.changed.emit(touched)

    def _tell(self, text: str) -> None:
        """Tell the panels that listen, else napari's notifications."""
        if len(self.told):
            self.told.emit(text)
        else:
            show_info(text)

    def _change(self, what: str, ids: Iterable[str], column: str, word: str) -> None:
        self.sync()
        ids = list(dict.fromkeys(ids))
        if ids:
            after = pd.DataFrame({column: pd.Series(word, ids, dtype=object)})
            after = consequences(self.table, after, self.vocabulary, self.reviewer)
            self._step(lambda session: session.do(change(session.table, what, after)))

    def _step(self, step: Callable[[Session], Edit | None]) -> None:
        """Make, undo or redo an edit and show it."""
        try:
            edit = step(self.session)
        except UserError as error:
            self._tell(str(error))
            return
        if edit is not None:
            self._view.show(edit)
            self.changed.emit(edit.ids)

    def _on_data(self, event: Any) -> None:
        self._view.moved = self._view.moved or not self._view.busy
        if str(event.action) in ("added", "removed", "changed"):
            with self._view.writing():
                cut_surplus(self.layer)
            self.sync()

    def _on_removed(self, event: Any) -> None:
        if event.value is self.layer:
            self.session.close()

    def _on_features(self) -> None:
        self.sync()

    def _on_selection(self) -> None:
        if len(self.layer.features) == len(self._view.ids) and not self._view.moved:
            self.sync()


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """Return `table` with an id for each row."""
    ids = table.index.to_numpy(object, copy=True)
    unnamed = (ids == "") | table.index.duplicated()
    ids[unnamed] = new_ids(int(unnamed.sum()))
    return table.set_axis(pd.Index(ids, name=ID, dtype=object))


def _about(layer: Shapes) -> dict[str, Any]:
    """Return what a session needs to know to restore `layer`, and where its journal is to lie."""
    known = layer.metadata[METADATA_KEY]
    pictures = [[list(index), plain(told)] for index, told in known.get("pictures", {}).items()]
    about = {"name": layer.name, "ndim": layer.ndim, "metadata": known | {"pictures": pictures}}
    source = known.get("source")
    source = Path(source).absolute() if source else None
    return {"source": source, "name": known.get("picture", layer.name), "about": about}
