"""The journal of a review: a file that holds the cells and every edit of them as soon as it is made.

One JSON object a line. The first line holds the cells that the review began with, each further line one edit, undo
or redo, and is on the disk before the edit counts. So the journal alone gives the cells after a crash. A last line
without its end was being written then and does not count.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from platformdirs import user_state_path
from pydantic import BaseModel, ValidationError

from bloodfilm.errors import UserError
from bloodfilm.io.files import replacing
from bloodfilm.review.edits import ID, VERTICES, Edit, History

VERSION = 1

Act = Literal["do", "undo", "redo"]
MOST = 1000
"""Journals of one picture."""


class JournalError(UserError):
    """A journal cannot be written or read."""


class _Line(BaseModel):
    """One edit as it was applied: that of an undo leads back."""

    n: int
    at: str
    by: str
    act: Act
    what: str
    ids: list[str]
    before: dict[str, list[Any]] | None
    after: dict[str, list[Any]] | None
    places: tuple[int, ...] = ()


class _Column(BaseModel):
    dtype: str
    categories: list[Any] | None = None
    values: list[Any]


class _First(BaseModel):
    """What the review began with."""

    bloodfilm_review: Literal[1]
    at: str
    about: dict[str, Any]
    columns: dict[str, _Column]


@dataclass(frozen=True)
class Replayed:
    """What a journal holds.

    Parameters
    ----------
    about : dict
        What `Journal.start` was told of the picture and its cells.
    history : History
        The cells after the last edit, and the way back.
    edits : int
    at : str
        Time of the last edit, or of the start: ISO 8601, in UTC.
    size, sound : int
        Bytes in all, and up to the end of the last sound line.
    problem : str
        Which line is broken and how, if one before the last is; what follows it is left out.
    """

    path: Path
    about: dict[str, Any]
    history: History
    edits: int
    at: str
    size: int
    sound: int
    problem: str = ""


class Journal:
    """A journal that is being written, by one process: others see that it is in use."""

    def __init__(self, path: Path, lock: FileLock, lines: int) -> None:
        self.path, self._lock, self._lines = path, lock, lines
        self._file = path.open("ab", buffering=0)

    @classmethod
    def start(cls, source: Path | None, name: str, about: Mapping[str, Any], table: pd.DataFrame) -> Journal:
        """Begin the journal of the cells `table` on the picture, or on the label file or folder, `source`.

        It lies beside that; where this cannot be, or without `source`, in the user's folder for such things.

        Raises
        ------
        JournalError
            If it can be written nowhere.
        """
        first = json.dumps(
            {"bloodfilm_review": VERSION, "at": _now(), "about": dict(about), "columns": _described(table)},
            default=_plain,
        )
        reasons = []
        for path in places(source, name):
            try:
                if source is None or path.parent != source.parent:
                    path.parent.mkdir(parents=True, exist_ok=True)
                elif not path.parent.is_dir():
                    raise FileNotFoundError("there is no such folder")
                return cls._begin(path, first.encode() + b"\n")
            except (OSError, NotImplementedError) as error:
                reasons.append(f"{path.parent}: {getattr(error, 'strerror', None) or error}")
        raise JournalError(f"Edits can be kept nowhere ({'; '.join(reasons)}). Make room in one of these folders.")

    @classmethod
    def _begin(cls, path: Path, first: bytes) -> Journal:
        for numbered in _numbered(path):
            lock = _lock(numbered)
            try:
                lock.acquire()
            except Timeout:
                continue
            if numbered.exists():
                _release(lock)
                continue
            try:
                with replacing(numbered) as temporary:
                    _write(temporary, first)
            except BaseException:
                _release(lock)
                raise
            return cls(numbered, lock, 1)
        raise OSError(f"{path.name} and {MOST} more are there already")

    @classmethod
    def resume(cls, replayed: Replayed) -> Journal:
        """Go on with a journal that was left; what was torn off at its end goes.

        Raises
        ------
        JournalError
            If another window has it in use, or had since it was read, or it cannot be written.
        """
        lock = _take(replayed)
        try:
            os.truncate(replayed.path, replayed.sound)
            return cls(replayed.path, lock, replayed.edits + 1)
        except OSError as error:
            _release(lock)
            raise JournalError(f"{replayed.path}: {error.strerror or error}.") from None

    def write(self, act: Act, edit: Edit, reviewer: str) -> None:
        """Put `edit` on the disk.

        Raises
        ------
        OSError
            If that fails; nothing of it is left in the file then.
        """
        line = _Line(
            n=self._lines + 1,
            at=_now(),
            by=reviewer,
            act=act,
            what=edit.what,
            ids=edit.ids,
            before=_values(edit.before),
            after=_values(edit.after),
            places=edit.places,
        )
        content = json.dumps(line.model_dump(), default=_plain, separators=(",", ":")).encode() + b"\n"
        size = os.fstat(self._file.fileno()).st_size
        try:
            _put(self._file, content)
        except OSError:
            os.truncate(self.path, size)
            raise
        self._lines += 1

    def close(self) -> None:
        """Leave the journal for later."""
        self._file.close()
        _release(self._lock)

    def finish(self) -> None:
        """End the journal of cells that were saved: it goes."""
        self._file.close()
        with suppress(OSError):
            self.path.unlink()
        _release(self._lock)


def start_again(replayed: Replayed, source: Path | None, name: str) -> Journal:
    """Begin a journal with what is sound of a broken one, which is kept under a name of its own.

    Raises
    ------
    JournalError
        As `Journal.start` and `Journal.resume`.
    """
    lock = _take(replayed)
    try:
        journal = Journal.start(source, name, replayed.about, replayed.history.table)
        replayed.path.replace(replayed.path.with_name(f"{replayed.path.name}.broken"))
    finally:
        _release(lock)
    return journal


def discard(replayed: Replayed) -> None:
    """Give up a journal that was left: its file goes. Raises as `Journal.resume`."""
    lock = _take(replayed)
    with suppress(OSError):
        replayed.path.unlink()
    _release(lock)


def _take(replayed: Replayed) -> FileLock:
    """Return the lock of a journal that is as it was when it was read. Raises as `Journal.resume`."""
    lock = _lock(replayed.path)
    try:
        lock.acquire()
    except Timeout:
        raise JournalError(f"{replayed.path}: another window works on these cells.") from None
    except (OSError, NotImplementedError) as error:
        raise JournalError(f"{replayed.path}: {error}.") from None
    if not replayed.path.exists() or replayed.path.stat().st_size != replayed.size:
        _release(lock)
        raise JournalError(f"{replayed.path}: another window worked on these cells; look again.")
    return lock


def places(source: Path | None, name: str) -> list[Path]:
    """Return where the journal of cells on `source`, or on something called `name` that is no file, may lie."""
    home = user_state_path("bloodfilm", appauthor=False) / "reviews"
    stem = re.sub(r"[^\w.-]+", "-", source.name if source else name)[:80]
    key = hashlib.sha256(os.fsencode(source.resolve() if source else name)).hexdigest()[:8]
    elsewhere = [folder / f"{stem}-{key}.review.jsonl" for folder in (home, Path(tempfile.gettempdir()))]
    return [source.with_name(f"{source.name}.review.jsonl"), *elsewhere] if source else elsewhere


def left(source: Path | None, name: str) -> list[Path]:
    """Return the journals that somebody left, the oldest first: those of other windows that are open are not."""
    there = [path for place in places(source, name) for path in _existing(place) if not in_use(path)]
    return sorted(there, key=lambda path: path.stat().st_mtime)


def in_use(path: Path) -> bool:
    """Tell if a process, this one too, writes the journal at `path`."""
    lock = _lock(path)
    try:
        lock.acquire()
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False
    _release(lock)
    return False


def read(path: Path) -> Replayed:
    """Read a journal and make its edits.

    Raises
    ------
    JournalError
        If it is none, or its first line is broken.
    """
    try:
        content = path.read_bytes()
        lines = content.split(b"\n")[:-1]
        first = _First.model_validate(json.loads(lines[0] if lines else b""))
        history = History(_table(first.columns))
    except (OSError, ValueError, TypeError) as error:
        raise JournalError(f"{path}: line 1 is not the start of a review ({_first_problem(error)}).") from None
    at, sound, problem = first.at, len(lines[0]) + 1, ""
    edits = 0
    for number, raw in enumerate(lines[1:], start=2):
        try:
            line = _Line.model_validate(json.loads(raw))
            if line.n != number:
                raise ValueError(f"it is numbered {line.n}")
            before, after = (_frame(part, line.ids) for part in (line.before, line.after))
            history.record(line.act, Edit(line.what, line.ids, before, after, line.places))
        except (ValueError, TypeError, KeyError) as error:
            problem = (
                f"{path}, line {number} is broken ({_first_problem(error)}); the {edits} edits before it are sound."
            )
            break
        at, sound, edits = line.at, sound + len(raw) + 1, edits + 1
    return Replayed(path, first.about, history, edits, at, len(content), sound, problem)


def _first_problem(error: Exception) -> str:
    return error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _numbered(path: Path) -> Iterator[Path]:
    """Yield x.review.jsonl, x.review-2.jsonl and so on."""
    yield path
    for number in range(2, MOST):
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")


def _existing(path: Path) -> list[Path]:
    names = re.compile(re.escape(path.stem) + r"(-\d+)?" + re.escape(path.suffix))
    try:
        return [each for each in path.parent.iterdir() if names.fullmatch(each.name)]
    except OSError:
        return []


def _lock(path: Path) -> FileLock:
    return FileLock(path.with_name(f".{path.name}.lock"), timeout=0)


def _release(lock: FileLock) -> None:
    with suppress(OSError):
        Path(lock.lock_file).unlink()
    lock.release()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb", buffering=0) as file:
        _put(file, content)


def _put(file: Any, content: bytes) -> None:
    """Write all of `content` and wait until the disk has it."""
    while content:
        content = content[file.write(content) :]
    os.fsync(file.fileno())


def _plain(value: Any) -> Any:
    """Return what JSON knows for a value that it does not."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def _values(frame: pd.DataFrame | None) -> dict[str, list[Any]] | None:
    return None if frame is None else {str(name): _list(column) for name, column in frame.items()}


def _list(column: pd.Series) -> list[Any]:
    if column.name == VERTICES:
        return [np.asarray(shape).tolist() for shape in column]
    return column.astype(object).where(column.notna(), None).tolist()  # type: ignore[no-any-return]


def _frame(values: dict[str, list[Any]] | None, ids: list[str]) -> pd.DataFrame | None:
    if values is None:
        return None
    columns = {name: pd.Series(_read_back(name, column), ids, object) for name, column in values.items()}
    return pd.DataFrame(columns, index=pd.Index(ids, name=ID))


def _read_back(name: str, values: list[Any]) -> list[Any]:
    return [np.array(shape, float) for shape in values] if name == VERTICES else values


def _described(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return the columns of `table`, its ids among them, with their types."""
    columns: dict[str, dict[str, Any]] = {ID: {"dtype": "object", "values": table.index.tolist()}}
    for name, column in table.items():
        categories = column.cat.categories.tolist() if isinstance(column.dtype, pd.CategoricalDtype) else None
        columns[str(name)] = {"dtype": str(column.dtype), "categories": categories, "values": _list(column)}
    return columns


def _table(columns: dict[str, _Column]) -> pd.DataFrame:
    index = pd.Index(columns.pop(ID).values, name=ID, dtype=object)
    made = {}
    for name, column in columns.items():
        dtype = column.dtype if column.categories is None else pd.CategoricalDtype(column.categories)
        made[name] = pd.Series(_read_back(name, column.values), index, object).astype(dtype)
    return pd.DataFrame(made, index=index)
