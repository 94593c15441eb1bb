"""Cells under review: every edit is in the journal before it counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from bloodfilm.review.edits import Edit, History, apply
from bloodfilm.review.journal import Act, Journal, JournalError
from bloodfilm.review.states import user


@dataclass
class Session:
    """A table that is edited, undone and redone, with its journal, which the first edit begins.

    Parameters
    ----------
    history : History
    source : Path, optional
        The picture, or the label file or folder, beside which the journal lies.
    name : str
        Of what is reviewed, where there is no file.
    about : dict
        What else to keep to restore the cells: plain values.
    reviewer : str
    """

    history: History
    source: Path | None = None
    name: str = "cells"
    about: dict[str, Any] = field(default_factory=dict)
    reviewer: str = field(default_factory=user)
    journal: Journal | None = None

    @property
    def table(self) -> pd.DataFrame:
        return self.history.table

    def do(self, edit: Edit) -> Edit:
        """Make `edit` and return it.

        Raises
        ------
        JournalError
            If it cannot be kept; it is not made then.
        ValueError
            If it does not fit the table.
        """
        return self._act("do", edit)

    def undo(self) -> Edit | None:
        """Take the last edit back and return what that changed; None if there is none. Raises as `do`."""
        return self._act("undo") if self.history.done else None

    def redo(self) -> Edit | None:
        """Make the edit that was undone last again and return it; None if there is none. Raises as `do`."""
        return self._act("redo") if self.history.undone else None

    def _act(self, act: Act, edit: Edit | None = None) -> Edit:
        edit = self.history.next(act, edit)
        table = apply(self.table, edit)
        self._keep(act, edit)
        self.history.record(act, edit, table)
        return edit

    def _keep(self, act: Act, edit: Edit) -> None:
        if self.journal is None:
            self.journal = self._start()
        try:
            self.journal.write(act, edit, self.reviewer)
        except OSError:  # the disk is full or gone: begin again where there is room
            moved = self._start()
            try:
                moved.write(act, edit, self.reviewer)
            except OSError as error:
                moved.finish()
                raise JournalError(f"{moved.path}: {error.strerror or error}. Make room: nothing was edited.") from None
            self.journal.finish()
            self.journal = moved

    def _start(self) -> Journal:
        return Journal.start(self.source, self.name, self.about, self.table)

    def saved(self) -> None:
        """Note that the cells are in a file of the user's: the next edit begins a new journal."""
        if self.journal is not None:
            self.journal.finish()
            self.journal = None

    def close(self) -> None:
        """Leave the journal, if there is one, for later."""
        if self.journal is not None:
            self.journal.close()
            self.journal = None
