"""What was found in a data set, what was mended, and what was left out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Report:
    """A row for each split of each subset, and sentences."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fixed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def note(self, where: object, what: str, which: Sequence[str] | int) -> None:
        """Note something about `which` at `where` that does no harm."""
        self.notes += _sentence(where, what, which)

    def fix(self, where: object, what: str, which: Sequence[str] | int) -> None:
        """Note that `which` at `where` were mended, told by `what`; nothing if there are none."""
        self.fixed += _sentence(where, what, which)

    def skip(self, where: object, what: str, which: Sequence[str] | int) -> None:
        """Note that `which` at `where` were left out."""
        self.skipped += _sentence(where, what, which)

    def relative_to(self, root: Path) -> Report:
        """Return the report with paths below `root` told from there."""
        here = f"{root}{os.sep}"
        sentences = ([line.replace(here, "") for line in lines] for lines in (self.notes, self.fixed, self.skipped))
        return Report(self.rows, *sentences)

    def __str__(self) -> str:
        titled = (("Note", self.notes), ("Fixed", self.fixed), ("Skipped", self.skipped))
        return "\n".join(f"{title}: {line}" for title, lines in titled for line in lines)


def _sentence(where: object, what: str, which: Sequence[str] | int) -> list[str]:
    count = which if isinstance(which, int) else len(which)
    example = "" if isinstance(which, int) or not which else f", for instance {which[0]}"
    return [f"{where}: {count} {what}{example}."] if count else []
