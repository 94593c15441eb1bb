"""The journal gives the cells back whatever ended it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bloodfilm.review import journal
from bloodfilm.review.edits import ID, KIND, VERTICES, History, add, change, delete
from bloodfilm.review.journal import Journal, JournalError, discard, in_use, left, read
from bloodfilm.review.session import Session

SQUARE = np.array([[0, 0], [0, 8], [8, 8], [8, 0]], float)


def table(ids: list[str]) -> pd.DataFrame:
    """Cells with a column of each kind that there is, values missing, and names beyond ASCII."""
    n = len(ids)
    return pd.DataFrame(
        {
            "class": pd.Categorical(["Lymphozyt ü"] * n, categories=["Lymphozyt ü", "白血球", "unknown type"]),
            "score": np.linspace(0, 1, n, dtype=np.float32),
            "note": pd.Series(["", *["µ\n“"] * (n - 1)], dtype=str).to_numpy(),
            "area": [np.nan, *range(n - 1)],
            "lobes": np.arange(n),
            "seen": np.arange(n) % 2 == 0,
            VERTICES: pd.Series([SQUARE + row for row in range(n)], dtype=object).to_numpy(),
            KIND: np.array(["rectangle"] * n, object),
        },
        index=pd.Index(ids, name=ID, dtype=object),
    )


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """A session with a few edits of all kinds on a picture."""
    session = Session(History(table(list("abcd"))), tmp_path / "field.png", "field", {"name": "cells"})
    session.do(change(session.table, "class", pd.DataFrame({"class": ["白血球", "new"]}, index=["b", "d"])))
    session.do(delete(session.table, ["c", "a"]))
    session.do(add(table(["e"]), 1))
    session.do(change(session.table, "move", pd.DataFrame({VERTICES: [SQUARE / 3]}, index=["b"])))
    session.undo()
    return session


def path_of(session: Session) -> Path:
    assert session.journal is not None
    return session.journal.path


def same(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    pd.testing.assert_frame_equal(a, b, check_index_type=False)
    return True


def test_a_journal_gives_the_cells_and_the_way_back(session: Session) -> None:
    again = read(path_of(session))
    assert same(again.history.table, session.table)
    assert (again.edits, again.about, again.problem) == (5, {"name": "cells"}, "")
    assert [edit.what for edit in again.history.done] == ["class", "delete", "add"]
    assert [edit.what for edit in again.history.undone] == ["move"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are Unicode there")
def test_names_of_files_that_are_not_utf_8_are_kept(session: Session, tmp_path: Path) -> None:
    name = os.fsdecode(b"f\xfclle.png")
    for source in (tmp_path / name, tmp_path / "gone" / name, None):
        session.saved()
        session.source, session.name, session.about = source, name, {"name": name}
        session.do(change(session.table, "class", pd.DataFrame({"class": [name]}, index=["b"])))
        path = path_of(session)
        again = read(path)
        assert (again.edits, again.about, again.problem) == (1, {"name": name}, "")
        assert same(again.history.table, session.table)
        session.close()
        assert left(source, name) == [path]


def test_a_torn_end_loses_no_edit_before_it(session: Session) -> None:
    path = path_of(session)
    session.close()
    content = path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(content) if byte == ord("\n")]
    for cut in {*range(ends[0], len(content), 41), *ends, *(end - 1 for end in ends[1:])}:
        path.write_bytes(content[:cut])
        again = read(path)
        assert again.edits == sum(end <= cut for end in ends) - 1
        assert not again.problem


def test_a_torn_journal_goes_on(session: Session) -> None:
    path = path_of(session)
    session.close()
    path.write_bytes(path.read_bytes()[:-9])
    again = read(path)
    session.history, session.journal = again.history, Journal.resume(again)
    session.do(delete(session.table, ["d"]))
    assert read(path).edits == 5
    assert same(read(path).history.table, session.table)


def test_a_journal_that_another_window_went_on_with_is_not_cut(session: Session) -> None:
    path = path_of(session)
    session.close()
    stale = read(path)
    session.journal = Journal.resume(stale)
    with pytest.raises(JournalError, match="another window works"):
        Journal.resume(stale)
    session.redo()
    session.close()
    for late in (Journal.resume, discard):
        with pytest.raises(JournalError, match="another window worked"):
            late(stale)
    assert read(path).edits == stale.edits + 1
    discard(read(path))
    assert not path.exists()


@pytest.mark.parametrize("broken", [b"{", b"{}", b"null", b"\xff\x00", b'{"n": 3, "ids": ["x"]}'])
def test_a_broken_line_is_named(session: Session, broken: bytes) -> None:
    path = path_of(session)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:2], broken, *lines[3:]]))
    again = read(path)
    assert again.edits == 1
    assert "field.png.review.jsonl, line 3 is broken" in again.problem


@pytest.mark.parametrize("change_of", [lambda lines: lines[:2] + lines[3:], lambda lines: lines[:3] + lines[2:]])
def test_a_line_that_is_missing_or_twice_is_told(session: Session, change_of) -> None:
    path = path_of(session)
    path.write_bytes(b"\n".join(change_of(path.read_bytes().split(b"\n"))))
    assert "is broken" in read(path).problem


@pytest.mark.parametrize("content", [b"", b"{}\n", b"[1]\n", b"\xff\n", b'{"bloodfilm_review": 2}\n'])
def test_what_is_no_journal_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.review.jsonl"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"x\.review\.jsonl"):
        read(path)


def test_journals_lie_beside_the_picture_and_are_left_once_closed(session: Session, tmp_path: Path) -> None:
    path = path_of(session)
    assert path == tmp_path / "field.png.review.jsonl"
    assert in_use(path) and left(session.source, "field") == []
    session.close()
    assert left(session.source, "field") == [path]
    assert {each.name for each in tmp_path.iterdir()} == {path.name}


def test_a_journal_never_takes_the_place_of_one_that_was_left(session: Session, tmp_path: Path) -> None:
    path = path_of(session)
    session.close()
    content = path.read_bytes()
    session.redo()
    assert path_of(session).name == "field.png.review-2.jsonl"
    assert path.read_bytes() == content


def test_saving_ends_the_journal_and_the_next_edit_begins_one(session: Session, tmp_path: Path) -> None:
    session.saved()
    assert not list(tmp_path.iterdir())
    session.undo()
    assert same(read(path_of(session)).history.table, session.table)


def test_where_the_picture_cannot_have_a_file_beside_it_the_journal_lies_elsewhere(
    session: Session, tmp_path: Path, state_folder: Path
) -> None:
    session.saved()
    session.source = tmp_path / "gone" / "field.png"
    session.redo()
    path = path_of(session)
    session.close()
    assert path.is_relative_to(state_folder)
    assert left(session.source, "field") == [path]
    assert left(tmp_path / "other" / "field.png", "field") == []


def test_a_full_disk_moves_the_journal_with_all_that_was_edited(
    session: Session, state_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, put = path_of(session), journal._put

    def full(file, content: bytes) -> None:
        if Path(file.name).parent == path.parent:
            file.write(content[: len(content) // 2])
            raise OSError("No space left on device")
        put(file, content)

    monkeypatch.setattr(journal, "_put", full)
    session.redo()
    assert path_of(session).is_relative_to(state_folder)
    assert same(read(path_of(session)).history.table, session.table)
    assert not path.exists()
