from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from bloodfilm.errors import LabelError
from bloodfilm.io.files import files_below, read_labels, replacing, replacing_folder, way_to
from bloodfilm.io.lld.text import read_folder


def test_a_file_appears_with_its_folders_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="has no umask")
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_who_can_read_a_file_is_what_the_user_asked_for(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.touch()
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == mode


def test_a_folder_appears_once_it_is_whole(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "new" / "folder") as temporary:
        (temporary / "a.txt").touch()
        assert not (tmp_path / "new" / "folder").exists()
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["a.txt"]
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_a_failure_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), replacing_folder(tmp_path / "folder") as temporary:
        (temporary / "a.txt").touch()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_labels_damaged_in_their_zip_are_an_error_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "labels.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train.json", "0123456789")
    path.write_bytes(path.read_bytes().replace(b"0123456789", b"0123456780"))
    with pytest.raises(LabelError, match=r"labels.zip/train.json: .*CRC"):
        read_labels(zipfile.Path(path, "train.json"))


def test_labels_that_only_begin_as_utf_16_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes("{}".encode("utf-16")[:-1])
    with pytest.raises(LabelError, match=r"a.json: byte 4 is no UTF-16.*; save it as UTF-8"):
        read_labels(tmp_path / "a.json")


def test_the_way_to_another_drive_is_the_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def on_two_drives(path: Path, folder: Path) -> str:
        raise ValueError(path, folder)

    assert way_to(tmp_path / "films" / "a.png", tmp_path / "out") == "../films/a.png"
    monkeypatch.setattr("os.path.relpath", on_two_drives)
    assert way_to(tmp_path / "films" / "a.png", tmp_path / "out") == (tmp_path / "films" / "a.png").as_posix()


def test_what_macos_left_behind_is_no_label_file(tmp_path: Path) -> None:
    for name in ("a.txt", "deep/b.txt", "._a.txt", "__MACOSX/deep/b.txt", ".trash/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    assert sorted(files_below(tmp_path, "*.txt")) == [tmp_path / "a.txt", tmp_path / "deep" / "b.txt"]


@pytest.mark.parametrize("name", ["classes.txt", "pictures.csv"])
def test_labels_that_are_not_utf_8_are_refused_by_place(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes("Bläschen".encode("latin-1"))
    with pytest.raises(LabelError, match=f"{name}: byte 2 is no UTF-8 .*; save it as UTF-8"):
        read_folder(tmp_path)
