"""The command line finds cells in pictures."""

from __future__ import annotations

import copy
import csv
import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import call, run
from typer.testing import CliRunner

from bloodfilm.cells import Cells, Field
from bloodfilm.cli import app
from bloodfilm.errors import UserError
from bloodfilm.io.coco import read_coco, write_coco
from bloodfilm.io.formats import read_fields
from bloodfilm.io.table import read_csv
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import read_card, save

WritePicture = Callable[[str], Path]


def cells_of(table: Path) -> dict[str, Cells]:
    """Read a table whose pictures may be elsewhere."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*pictures are not beside it")
        return {field.name: field.cells for field in read_csv(table)}


def test_detect_writes_coco_and_csv(detect: Callable[..., Path], write_picture: WritePicture, tmp_path: Path) -> None:
    write_picture("in/b.png")
    write_picture("in/deep/a.png")
    out = detect(tmp_path / "in", "--min-score", 0.2)
    assert sorted(path.name for path in out.iterdir()) == ["cells.csv", "cells.json"]
    fields, table = read_coco(out / "cells.json"), cells_of(out / "cells.csv")
    assert [field.name for field in fields] == ["b.png", "deep/a.png"]
    assert list(table) == ["b.png", "deep/a.png"]
    for field in fields:
        assert (field.width, field.height) == (200, 160)
        assert len(field.cells) > 3
        assert field.cells.scores.min() >= 0.2
        np.testing.assert_array_equal(field.cells.boxes, table[field.name].boxes)
        np.testing.assert_array_equal(field.cells.attributes, table[field.name].attributes)


def test_detect_tells_where_a_result_comes_from(
    detect: Callable[..., Path], write_picture: WritePicture, checkpoint: Path
) -> None:
    info = json.loads((detect(write_picture("a.png"), "--min-score", 0.3) / "cells.json").read_text())["info"]
    assert info["model_sha256"] == read_card(checkpoint).sha256
    assert (info["model"], info["device"], info["min_score"]) == ("untrained", "cpu", 0.3)
    assert info["score_of"] == "cell"
    assert info["date"]


@pytest.mark.parametrize(("formats", "names"), [("coco", ["cells.json"]), ("csv", ["cells.csv"])])
def test_detect_writes_only_the_formats_asked_for(
    detect: Callable[..., Path], write_picture: WritePicture, formats: str, names: list[str]
) -> None:
    out = detect(write_picture("a.png"), "--format", formats)
    assert [path.name for path in out.iterdir()] == names


def test_detect_writes_a_file_a_picture_for_qupath_and_yolo(
    detect: Callable[..., Path], write_picture: WritePicture, tmp_path: Path
) -> None:
    for name in ("in/b.png", "in/deep/b.png"):
        write_picture(name)
    out = detect(tmp_path / "in", "--format", "coco,geojson,yolo")
    assert sorted(path.name for path in out.iterdir()) == ["cells.json", "geojson", "yolo"]
    for coco, field in zip(read_coco(out / "cells.json"), read_fields(out / "geojson"), strict=True):
        assert coco.name == field.name
        np.testing.assert_array_equal(coco.cells.boxes, field.cells.boxes)
        np.testing.assert_array_equal(coco.cells.scores, field.cells.scores)
    texts = {path.relative_to(out / "yolo").as_posix() for path in (out / "yolo").rglob("*.txt")}
    assert texts == {"classes.txt", "b.txt", "deep/b.txt"}
    (out / "geojson" / "corrected.geojson").write_text("by hand")
    with pytest.raises(UserError, match=r"geojson: there already, and perhaps corrected"):
        detect(tmp_path / "in", "--format", "geojson")
    detect(tmp_path / "in", "--format", "coco")
    assert sorted(path.name for path in out.iterdir()) == ["cells.json", "geojson", "yolo"]
    assert (out / "geojson" / "corrected.geojson").read_text() == "by hand"


def test_results_apart_from_their_pictures_can_be_converted(
    detect: Callable[..., Path], write_picture: WritePicture, tmp_path: Path
) -> None:
    write_picture("in/a.png")
    out = detect(tmp_path / "in")
    run("convert", out / "cells.json", tmp_path / "new.geojson")
    assert [field.name for field in read_fields(tmp_path / "new.geojson")] == ["a.png"]


def test_names_that_a_format_cannot_tell_apart_are_refused_before_the_search(
    detect: Callable[..., Path], write_picture: WritePicture, tmp_path: Path
) -> None:
    write_picture("in/b.png")
    write_picture("in/b.jpg")
    with pytest.raises(UserError, match=r"b.png: another picture has labels called b.txt"):
        detect(tmp_path / "in", "--format", "yolo")
    assert not (tmp_path / "out").exists()


def test_names_are_relative_to_the_folder_that_all_paths_share(
    detect: Callable[..., Path], write_picture: WritePicture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("film/one/a.png", "film/two/b.png", "film/two/deep/c.png"):
        write_picture(name)
    monkeypatch.chdir(tmp_path / "film" / "one")
    out = detect("../two", "a.png")
    assert [field.name for field in read_coco(out / "cells.json")] == ["two/b.png", "two/deep/c.png", "one/a.png"]


def test_a_linked_picture_is_named_by_its_link(
    detect: Callable[..., Path], write_picture: WritePicture, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").symlink_to(write_picture("store/0001.png"))
    assert [field.name for field in read_coco(detect(tmp_path / "in") / "cells.json")] == ["a.png"]


def test_a_broken_picture_is_listed_and_the_rest_written(
    detect: Callable[..., Path], write_picture: WritePicture, tmp_path: Path
) -> None:
    write_picture("in/a.png")
    (tmp_path / "in" / "b.png").write_bytes(b"broken")
    write_picture("in/c.png")
    out = detect(tmp_path / "in", status=3)
    (failure,) = csv.DictReader((out / "failed.csv").read_text().splitlines())
    assert failure["path"] == str(tmp_path / "in" / "b.png")
    assert "cannot be read as a picture" in failure["reason"]
    assert [field.name for field in read_coco(out / "cells.json")] == ["a.png", "c.png"]
    assert list(cells_of(out / "cells.csv")) == ["a.png", "c.png"]


def test_only_broken_pictures_give_empty_results(detect: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"broken")
    out = detect(tmp_path / "a.png", status=3)
    assert read_coco(out / "cells.json") == []
    assert cells_of(out / "cells.csv") == {}


def test_what_was_found_is_kept_if_the_search_breaks_off(
    detect: Callable[..., Path], write_picture: WritePicture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bloodfilm.nets.attridet import AttriDet

    calls: list[Any] = []
    find = AttriDet.find

    def run_out_of_memory(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            raise RuntimeError("out of memory")
        return find(*arguments)

    monkeypatch.setattr(AttriDet, "find", run_out_of_memory)
    pictures = [write_picture(f"{letter}.png") for letter in "abc"]
    with pytest.raises(RuntimeError, match="out of memory"):
        detect(*pictures, "--batch", 1)
    assert [field.name for field in read_coco(tmp_path / "out" / "cells.json")] == ["a.png", "b.png"]
    assert list(cells_of(tmp_path / "out" / "cells.csv")) == ["a.png", "b.png"]


def test_a_call_that_finds_nothing_out_leaves_earlier_results(
    detect: Callable[..., Path], write_picture: WritePicture
) -> None:
    picture = write_picture("a.png")
    before = (detect(picture) / "cells.json").read_bytes()
    with pytest.raises(UserError, match="region"):
        detect(picture, "--region", 90, 0, 10, 40)
    assert (picture.parent / "out" / "cells.json").read_bytes() == before


@pytest.mark.parametrize("out", ["a.png", "a.png/deeper", "locked"])
def test_an_out_that_cannot_be_written_is_the_callers_error(write_picture: WritePicture, out: str) -> None:
    picture = write_picture("a.png")
    (picture.parent / "locked").mkdir(mode=0o500)
    if out == "locked" and os.access(picture.parent / out, os.W_OK):
        pytest.skip("this user may write anywhere")
    with pytest.raises(UserError, match=f"--out .*{out}: "):
        run("detect", picture, "--out", picture.parent / out, "--model", "none")


@pytest.mark.parametrize(
    "command", [("demo",), ("synth",), ("synth", "--lld"), ("train", "fields.json", "--validation", "fields.json")]
)
def test_no_command_takes_a_file_for_its_folder(
    field: Field, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_coco(tmp_path / "fields.json", [field])
    (tmp_path / "afile").touch()
    with pytest.raises(UserError, match="--out afile.*: "):
        run(*command, "--out", "afile")


def test_the_first_reason_is_told_where_pictures_failed(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "note.png").write_text("no picture")
    said = call("detect", tmp_path, "--out", tmp_path / "out", "--model", checkpoint, "--device", "cpu").stderr
    assert "note.png: it cannot be read as a picture" in " ".join(said.split())


def test_pictures_without_a_common_folder_are_named_by_their_whole_path(
    detect: Callable[..., Path], write_picture: WritePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_two_drives(paths: list[str]) -> str:
        raise ValueError(paths)

    picture = write_picture("a.png")
    monkeypatch.setattr("os.path.commonpath", on_two_drives)
    assert [field.name for field in read_coco(detect(picture) / "cells.json")] == [picture.as_posix()]


def test_candidates_go_down_to_the_lowest_score(detect: Callable[..., Path], write_picture: WritePicture) -> None:
    out = detect(write_picture("a.png"), "--keep-candidates", "--min-score", 0.4)
    (cells,), (candidates,) = (read_coco(out / name) for name in ("cells.json", "candidates.json"))
    assert cells.cells.scores.min() >= 0.4
    assert 0.001 <= candidates.cells.scores.min() < 0.1
    assert len(cells.cells) == (candidates.cells.scores >= 0.4).sum()
    infos = [json.loads((out / name).read_text())["info"]["min_score"] for name in ("cells.json", "candidates.json")]
    assert infos == [0.4, 0.001]


def test_only_the_region_is_searched(detect: Callable[..., Path], write_picture: WritePicture) -> None:
    out = detect(write_picture("a.png"), "--region", 40, 30, 140, 120, "--min-score", 0.05)
    boxes = read_coco(out / "cells.json")[0].cells.boxes
    assert len(boxes)
    assert (boxes.min(0) >= [40, 30, 40, 30]).all()
    assert (boxes.max(0) <= [140, 120, 140, 120]).all()


def test_tiles_are_searched_on_request(detect: Callable[..., Path], write_picture: WritePicture) -> None:
    boxes = read_coco(detect(write_picture("a.png"), "--tile", 96) / "cells.json")[0].cells.boxes
    assert len(boxes)
    assert (boxes[:, 2:] - boxes[:, :2]).max() <= 96.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("detect", "nowhere", "--out", "out"), "nowhere: no such file or folder"),
        (("detect", ".", "--out", "out"), "There is no picture in"),
        (("detect", ".", "--out", "out", "--format", "coco,xml"), "--format xml: give one or more of coco,csv"),
        (("train", "nowhere.json", "--out", "out"), "nowhere.json: no such folder, json file or zip"),
        (
            ("train", "nowhere.json", "--out", "out", "--method", "magic"),
            "--method magic: give one of attridet",
        ),
    ],
    ids=["path", "folder", "format", "labels", "method"],
)
def test_an_unusable_call_ends_with_status_2_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a long folder name " * 12, "film [old]", "film [bold]", "film [/x]"])
def test_the_message_shows_the_whole_path_on_one_line(tmp_path: Path, name: str) -> None:
    result = call("detect", tmp_path / name, "--out", tmp_path / "out")
    assert result.returncode == 2
    assert result.stderr.strip().endswith(f"{tmp_path / name}: no such file or folder.")
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "nothing"), "No model nothing"),
        (("--device", "abacus"), "No device is called abacus"),
        (("--device", "mps"), "no mps device"),
    ],
)
def test_a_model_or_device_that_is_not_there_is_the_callers_error(
    write_picture: WritePicture, checkpoint: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    if "mps" in options and sys.platform == "darwin":
        pytest.skip("may have one")
    with pytest.raises(UserError, match=message):
        run("detect", write_picture("a.png"), "--out", tmp_path, "--model", checkpoint, *options)


@pytest.mark.parametrize(
    "options", [("--tile", "8"), ("--batch", "0"), ("--min-score", "1.5"), ("--region", "1", "2"), ("--nonsense",), ()]
)
def test_options_out_of_range_end_with_status_2(write_picture: WritePicture, options: tuple[str, ...]) -> None:
    arguments = ("detect", str(write_picture("a.png")), *options)
    assert CliRunner().invoke(app, arguments, catch_exceptions=False).exit_code == 2


def test_pictures_unlike_what_the_model_knows_are_told(
    network: AttriDet, write_picture: WritePicture, checkpoint: Path, tmp_path: Path
) -> None:
    knowing = copy.deepcopy(network)
    knowing.novelty.limit.fill_(1e-3)
    save(tmp_path / "knowing.safetensors", knowing, read_card(checkpoint))
    command = ("detect", write_picture("a.png"), "--device", "cpu", "--out", tmp_path / "out", "--model")
    told = CliRunner().invoke(app, [str(each) for each in (*command, tmp_path / "knowing.safetensors")])
    assert "1 of 1 unlike the pictures that the model learned from (novelty " in told.stderr
    (field,) = read_coco(tmp_path / "out" / "cells.json")
    assert (field.cells.novelty or 0) > 1
    assert "novelty" not in CliRunner().invoke(app, [str(each) for each in (*command, checkpoint)]).stderr


def test_a_table_that_another_program_keeps_open_stays_and_is_told(
    detect: Callable[..., Path], write_picture: WritePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def unless_open(path: Path, target: Path) -> Path:
        if target.name == "cells.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return replace(path, target)

    first, second = write_picture("a.png"), write_picture("b.png")
    out = detect(first)
    before = (out / "cells.csv").read_bytes()
    monkeypatch.setattr(Path, "replace", unless_open)
    with pytest.raises(UserError, match=r"cells.csv: Permission denied"):
        detect(second)
    assert (out / "cells.csv").read_bytes() == before
    assert [field.name for field in read_coco(out / "cells.json")] == ["b.png"]


def test_results_on_another_drive_than_their_pictures_find_them(
    detect: Callable[..., Path], write_picture: WritePicture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relpath = os.path.relpath

    def unless_on_two_drives(path: str, start: str) -> str:
        if Path(start) == tmp_path / "out":
            raise ValueError(path, start)
        return relpath(path, start)

    picture = write_picture("in/a.png")
    monkeypatch.setattr("os.path.relpath", unless_on_two_drives)
    (field,) = read_coco(detect(tmp_path / "in") / "cells.json")
    assert (field.name, field.path) == ("a.png", picture)
