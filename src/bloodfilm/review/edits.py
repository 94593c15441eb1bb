"""Edits of a table of cells: what was, what is, and the way back.

The table is a frame with one row a cell, by its id: the columns of `Cells.to_frame`, and the shape that is drawn
around the cell as `VERTICES` (V, D), an array, and `KIND`, "rectangle" for instance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

ID = "id"
VERTICES, KIND = SHAPE = ("_vertices", "_kind")


@dataclass(frozen=True, eq=False)
class Edit:
    """One change of some cells.

    Parameters
    ----------
    what : str
        In a word, for the user: "class", "move", "delete".
    ids : list of str
    before, after : DataFrame, optional
        The columns that change, one row for each of `ids`, in their order. None where the cells do not exist.
    places : tuple of int
        Row numbers, rising, that added or deleted cells have in the table.
    """

    what: str
    ids: list[str]
    before: pd.DataFrame | None
    after: pd.DataFrame | None
    places: tuple[int, ...] = ()

    @property
    def inverse(self) -> Edit:
        return Edit(self.what, self.ids, self.after, self.before, self.places)

    @property
    def reshapes(self) -> bool:
        """If shapes come, go or move."""
        return self.before is None or self.after is None or VERTICES in self.after


def add(rows: pd.DataFrame, place: int) -> Edit:
    """Return the edit that puts `rows` into a table, the first of them at row `place`."""
    return Edit("add", list(rows.index), None, rows, tuple(range(place, place + len(rows))))


def delete(table: pd.DataFrame, ids: list[str]) -> Edit:
    """Return the edit that takes the cells `ids` out of `table`."""
    places = np.sort(_rows(table, ids))
    rows = table.iloc[places]
    return Edit("delete", list(rows.index), rows, None, tuple(places.tolist()))


def change(table: pd.DataFrame, what: str, after: pd.DataFrame) -> Edit:
    """Return the edit that gives the cells of `table` that `after` has as rows the values of its columns."""
    rows = _rows(table, list(after.index))
    return Edit(what, list(after.index), table.reindex(columns=after.columns).iloc[rows], after)


def apply(table: pd.DataFrame, edit: Edit) -> pd.DataFrame:
    """Return `table` after `edit`.

    Raises
    ------
    ValueError
        If the cells to be changed are not in it, or those to be added are.
    """
    if edit.after is None:
        _rows(table, edit.ids)
        return table.drop(index=edit.ids)
    if edit.before is None:
        return _insert(table, edit.after, edit.places)
    return with_columns(table, edit.after)


def with_columns(table: pd.DataFrame, columns: pd.DataFrame) -> pd.DataFrame:
    """Return `table` with the values of `columns`, by id; raises as `apply`."""
    rows = _rows(table, list(columns.index))
    return table.assign(**{str(name): _set(table, str(name), rows, values) for name, values in columns.items()})


def _rows(table: pd.DataFrame, ids: list[str]) -> Any:
    rows = table.index.get_indexer(pd.Index(ids))
    if (rows < 0).any():
        raise ValueError(f"there is no cell {ids[int(np.argmin(rows))]}")
    return rows


def _insert(table: pd.DataFrame, new: pd.DataFrame, places: tuple[int, ...]) -> pd.DataFrame:
    known = new.index.intersection(table.index)
    if len(known):
        raise ValueError(f"the cell {known[0]} is there already")
    wide = table.reindex(columns=[*table.columns, *new.columns.difference(table.columns)])
    new = pd.DataFrame({name: _like(wide[name], new.get(name), new.index) for name in wide}, index=new.index)
    old = np.setdiff1d(np.arange(len(table) + len(new)), places, assume_unique=True)
    order = np.argsort([*old, *places])
    joined = pd.concat([wide.astype(new.dtypes), new]).iloc[order] if len(table) else new
    return joined.rename_axis(ID)


def _set(table: pd.DataFrame, name: str, rows: Any, values: pd.Series) -> pd.Series:
    """Return the column `name` with `values` at `rows`."""
    if name not in table:
        return values.set_axis(table.index[rows]).reindex(table.index)
    column = table[name]
    values = _like(column, values, values.index)
    if column.dtype == object or column.dtype != values.dtype:
        array = column.to_numpy(object, copy=True)
        array[rows] = values.to_numpy(object)
        return pd.Series(array, table.index).astype(values.dtype)
    column = column.copy()
    column.iloc[rows] = values.array
    return column


def _like(column: pd.Series, values: pd.Series | None, index: pd.Index) -> pd.Series:
    """Return `values` in the type of `column`, further words as further categories; else as they are."""
    if values is None:
        values = pd.Series(None, index, dtype=object)
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        further = pd.Index(values.dropna().unique()).difference(dtype.categories)
        dtype = pd.CategoricalDtype([*further, *dtype.categories])  # the last is the missing one
        return pd.Series(pd.Categorical(values, dtype=dtype), index)
    try:
        return values.astype(dtype)
    except (TypeError, ValueError):
        return values.astype(object)


@dataclass
class History:
    """A table and the edits that made it, to be undone and redone."""

    table: pd.DataFrame
    done: list[Edit] = field(default_factory=list)
    undone: list[Edit] = field(default_factory=list)

    def next(self, act: str, edit: Edit | None = None) -> Edit:
        """Return what "do", "undo" or "redo" will apply.

        Raises
        ------
        IndexError
            If there is nothing to undo or redo.
        """
        if act == "do":
            assert edit is not None
            return edit
        return self.done[-1].inverse if act == "undo" else self.undone[-1]

    def record(self, act: str, edit: Edit, table: pd.DataFrame | None = None) -> None:
        """Take over what `next` returned, and `table`, which is what `apply` makes of it."""
        self.table = apply(self.table, edit) if table is None else table
        if act == "do":
            self.done.append(edit)
            self.undone.clear()
        else:
            source, target = (self.done, self.undone) if act == "undo" else (self.undone, self.done)
            if source:
                source.pop()
            target.append(edit.inverse if act == "undo" else edit)
