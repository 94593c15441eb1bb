"""The command line, in this process where only its results matter, in its own where its exit does."""

from __future__ import annotations

import copy
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from bloodfilm.cells import Cells, Field
from bloodfilm.cli import app
from bloodfilm.errors import UserError
from bloodfilm.io.coco import read_coco, write_coco
from bloodfilm.io.formats import read_fields
from bloodfilm.io.table import read_csv, write_csv
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import read_card, save
from bloodfilm.training.project import Project
from bloodfilm.training.project import save as save_project
from bloodfilm.training.settings import Settings

WritePicture = Callable[[str], Path]


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a Python of its own."""
    code = "from bloodfilm.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)


def run(*arguments: object, status: int = 0) -> str:
    """Run the command line here and return what it prints."""
    result = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.stdout


def cells_of(table: Path) -> dict[str, Cells]:
    """Read a table whose pictures may be elsewhere."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*pictures are not beside it")
        return {field.name: field.cells for field in read_csv(table)}


@pytest.fixture
def detect(checkpoint: Path, tmp_path: Path) -> Callable[..., Path]:
    """Run ``detect`` with the untrained network and return the folder of its results."""

    def detect(*arguments: object, status: int = 0) -> Path:
        out = tmp_path / "out"
        run("detect", *arguments, "--out", out, "--model", checkpoint, "--device", "cpu", status=status)
        return out

    return detect


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


def test_results_of_an_earlier_run_do_not_stay(detect: Callable[..., Path], write_picture: WritePicture) -> None:
    good = write_picture("good.png")
    bad = good.with_name("bad.png")
    bad.write_bytes(b"broken")
    out = detect(good, bad, "--keep-candidates", status=3)
    (out / "notes.txt").touch()
    assert len(list(out.iterdir())) == 5
    detect(good, "--format", "coco")
    assert sorted(path.name for path in out.iterdir()) == ["cells.json", "notes.txt"]


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
        (("train", "nowhere.json", "--out", "out"), "nowhere.json: No such file"),
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


def test_evaluate_scores_a_file_against_another(field: Field, tmp_path: Path) -> None:
    certain = Field(field.path, field.cells[[0, 2]], 200, 160, field.ignored, name="a.png")
    write_coco(tmp_path / "truth.json", [Field(field.path, field.cells, 200, 160, field.ignored, name="a.png")])
    write_coco(tmp_path / "found.json", [certain])
    options = ("evaluate", "--truth", tmp_path / "truth.json", "--found", tmp_path / "found.json")
    result = json.loads(run(*options, "--json"))
    assert result["detection"]["recall"] == pytest.approx(2 / 3)
    assert result["attributes"]["class"]["accuracy"] == 1
    shown = run(*options)
    assert "0.667" in shown
    assert "cell_size" in shown


def test_evaluate_tells_which_pictures_were_not_searched(field: Field, tmp_path: Path) -> None:
    fields = [Field(field.path, field.cells, 200, 160, name=f"{number}.png") for number in range(14)]
    write_coco(tmp_path / "truth.json", fields)
    write_coco(tmp_path / "found.json", fields[:2])
    options = ("evaluate", "--truth", tmp_path / "truth.json", "--found", tmp_path / "found.json")
    shown = " ".join(run(*options).split())
    assert "NOT SEARCHED: 12 of 14 pictures" in shown
    assert "2.png, 3.png" in shown
    assert "11.png, ..." in shown
    assert "NOT SEARCHED" not in run("evaluate", "--truth", tmp_path / "found.json", "--found", tmp_path / "truth.json")


def test_a_score_that_is_not_there_is_still_json(field: Field, tmp_path: Path) -> None:
    bare = Field(field.path, Cells(field.cells.boxes), 200, 160, name="a.png")
    write_coco(tmp_path / "both.json", [bare])
    shown = run("evaluate", "--truth", tmp_path / "both.json", "--found", tmp_path / "both.json", "--json")

    def refuse(word: str) -> Any:
        raise ValueError(word)

    assert json.loads(shown, parse_constant=refuse)["attributes"]["class"]["macro_f1"] is None


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Three annotated pictures of 64 px."""
    fields = []
    for number in range(3):
        picture = np.full((64, 64, 3), 225, np.uint8)
        picture[20:44, 20:44] = (90, 50, 140)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
        cells = Cells([[20, 20, 44, 44]], codes=[3], attributes=[[1] * 7])
        fields.append(Field(tmp_path / f"{number}.png", cells, 64, 64, name=f"{number}.png"))
    write_coco(tmp_path / "labels.json", fields)
    return tmp_path / "labels.json"


def test_train_writes_a_checkpoint_that_detect_can_use(labels: Path, tmp_path: Path) -> None:
    options = ("--epochs", 1, "--image-size", 64, "--batch", 2, "--device", "cpu")
    trained = call("train", labels, "--out", tmp_path / "run", *options)
    assert trained.returncode == 0, trained.stderr
    assert "2 fields to train on, 1 to select on, on cpu (" in trained.stderr
    model = tmp_path / "run" / "best.safetensors"
    assert read_card(model).classes == ["Neutrophil"]
    run("detect", labels.parent / "0.png", "--out", tmp_path / "found", "--model", model, "--device", "cpu")
    assert (tmp_path / "found" / "cells.json").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--image-size", "65"),
        ("--size", "z"),
        ("--size", "sm"),
    ],
)
def test_a_size_that_no_network_has_is_the_callers_error(
    labels: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    with pytest.raises(UserError, match="--size is one of n, s, m, l, x"):
        run("train", labels, "--out", tmp_path / "run", "--epochs", 1, *options)


@pytest.mark.slow
def test_train_does_what_a_project_of_the_panel_says(labels: Path, tmp_path: Path) -> None:
    settings = Settings(epochs=1, image_size=64, batch=8, device="cpu")
    save_project(tmp_path / "run", Project(method="attridet", settings=settings), read_coco(labels))
    file = tmp_path / "run" / "project.json"
    trained = call("train", file, "--out", tmp_path / "out")
    assert trained.returncode == 0, trained.stderr
    assert "after: AP50" in trained.stderr
    assert read_card(tmp_path / "out" / "best.safetensors").image_size == 64
    with pytest.raises(UserError, match="leave out --seed"):
        run("train", file, "--out", tmp_path / "other", "--seed", 3)
    with pytest.raises(UserError, match="give --resume"):
        run("train", file, "--out", tmp_path / "out")


def test_fields_that_are_labelled_in_part_are_not_trained_on_as_if_they_were_not(lld: Path, tmp_path: Path) -> None:
    run("convert", lld / "Sparse-LeukemiaAttri", tmp_path / "out")
    with pytest.raises(UserError, match="10 fields are labelled in part only, as is .*_400_"):
        run("train", tmp_path / "out" / "train.json", "--out", tmp_path / "run")


def test_sladet_learns_from_text_with_labelled_regions(lld: Path, tmp_path: Path) -> None:
    options = ("--method", "sladet", "--epochs", 1, "--image-size", 64, "--batch", 10, "--device", "cpu")
    trained = call("train", lld / "Sparse-LeukemiaAttri", "--out", tmp_path / "run", *options)
    assert trained.returncode == 0, trained.stderr
    assert "labelled regions are taken as xyxy pixels: makes sense of 100.0% of the files" in trained.stderr
    assert "Sparse-LeukemiaAttri test: left out." in trained.stderr
    counts = re.search(r"(\d+) fields to train on, (\d+) to select on", trained.stderr)
    assert counts and int(counts[1]) + int(counts[2]) == 10
    assert (tmp_path / "run" / "best.safetensors").exists()


@pytest.mark.parametrize(("method", "guesses"), [("sladet", False), ("sladet-pseudo", True)])
def test_pseudo_labels_are_asked_for_by_name(method: str, guesses: bool) -> None:
    from bloodfilm.cli.training import _method

    assert _method(method).options()["pseudo"] == guesses


def test_wrong_regions_are_told_with_file_and_row_before_anything_is_trained(lld: Path, tmp_path: Path) -> None:
    shutil.copytree(lld / "Sparse-LeukemiaAttri", tmp_path / "sparse")
    file = next(p for p in sorted((tmp_path / "sparse" / "labels" / "train").iterdir()) if p.stat().st_size)
    words = file.read_text().split()
    file.write_text(" ".join([*words[:5], "0", "0", "10", "10", *words[9:16]]) + "\n")
    result = call("train", tmp_path / "sparse", "--method", "sladet", "--out", tmp_path / "run")
    assert result.returncode == 2
    assert f"{file}: line 1: the region 0, 0, 10, 10 does not hold the middle of its cell" in result.stderr
    assert not (tmp_path / "run").exists()


def test_one_field_cannot_be_split_for_training(field: Field, tmp_path: Path) -> None:
    write_coco(tmp_path / "labels.json", [field])
    with pytest.raises(UserError, match="at least two fields"):
        run("train", tmp_path / "labels.json", "--out", tmp_path / "run")


def test_a_warning_is_one_line(labels: Path, tmp_path: Path) -> None:
    labels.write_text(labels.read_text().replace("Neutrophil", "Segmented"))
    result = call("train", labels, "--out", tmp_path / "run", "--device", "abacus")
    assert result.returncode == 2
    warning, error = result.stderr.splitlines()
    assert warning.startswith(f"warning: {labels}: no class is called Segmented;")
    assert "abacus" in error


def test_synth_draws_fields_with_labels_beside_them(tmp_path: Path) -> None:
    run("synth", "--out", tmp_path, "--fields", 1, "--seed", 4)
    (field,) = read_coco(tmp_path / "fields.json")
    with Image.open(field.path) as picture:
        assert picture.size == (field.width, field.height)
    assert len(field.cells)


def test_check_tells_what_is_there_and_writes_nothing(lld: Path) -> None:
    before = sorted(lld.rglob("*"))
    told = run("convert", "--check", lld)
    assert "H_100X_C1" in told
    assert "Skipped: H_40X_C2 train: 1 pictures are missing" in told
    assert sorted(lld.rglob("*")) == before


def test_converted_labels_can_be_trained_on(lld: Path, tmp_path: Path) -> None:
    run("convert", lld / "LeukemiaAttri_Dataset" / "H_100X_C1", tmp_path / "out", "--clean")
    train = read_coco(tmp_path / "out" / "train.json")
    assert len(train) == 10
    assert all(field.path.is_file() for field in train)


def test_convert_tells_what_a_format_has_no_place_for(lld: Path, tmp_path: Path) -> None:
    result = call("convert", lld / "Sparse-LeukemiaAttri", tmp_path / "out", "--format", "txt12")
    assert result.returncode == 0
    assert "pictures look as if they were labelled all over (coco and geojson keep their regions): 10" in result.stderr
    assert len(list((tmp_path / "out" / "txt_labels" / "AttriDet" / "train").glob("*.txt"))) == 10


@pytest.mark.parametrize("arguments", [(), ("--check", "out")])
def test_convert_either_writes_or_checks(lld: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="Give DEST to write to, or --check"):
        run("convert", lld, *arguments)


@pytest.mark.parametrize("dest", ["afile/all.json", "afile"])
def test_a_dest_that_cannot_be_written_is_the_callers_error(lld: Path, tmp_path: Path, dest: str) -> None:
    (tmp_path / "afile").touch()
    with pytest.raises(UserError, match="afile.*: "):
        run("convert", lld / "Sparse-LeukemiaAttri", tmp_path / dest)


@pytest.mark.parametrize("through", ["a.csv", "a.geojson", "a-folder"])
def test_any_format_converts_to_any_other(field: Field, tmp_path: Path, through: str) -> None:
    write_coco(tmp_path / "in.json", [field])
    run("convert", tmp_path / "in.json", tmp_path / through, *(["--format", "yolo"] * (through == "a-folder")))
    if through == "a-folder":
        (next((tmp_path / through).rglob("field.txt")).parent / "field.png").symlink_to(field.path)
    run("convert", tmp_path / through, tmp_path / "out.json")
    (back,) = read_coco(tmp_path / "out.json")
    np.testing.assert_allclose(back.cells.boxes, field.cells.boxes, atol=1e-3)
    assert back.cells.class_names == field.cells.class_names
    assert back.path.samefile(field.path)


@pytest.mark.parametrize("kind", ["yolo", "txt12", "lld-json"])
def test_labels_apart_from_their_pictures_come_back_whatever_their_names(tmp_path: Path, kind: str) -> None:
    """Pictures not named as LLD's, of another size than 640 x 640, and not beside the labels."""
    run("synth", "--out", tmp_path / "drawn", "--fields", 2)
    before = {field.name: field for field in read_coco(tmp_path / "drawn" / "fields.json")}
    run("convert", tmp_path / "drawn" / "fields.json", tmp_path / "far" / "labels", "--format", kind)
    written = tmp_path / "far" / "labels" / ("fields.json" if kind == "lld-json" else "")
    flags = ["--keep-missing"] if kind == "lld-json" else []
    run("convert", written, tmp_path / "back.json", *flags)
    after = {field.name: field for field in read_coco(tmp_path / "back.json")}
    assert set(after) == {Path(name).name if kind == "lld-json" else name for name in before}
    for name, field in before.items():
        same = after[Path(name).name if kind == "lld-json" else name]
        assert (same.width, same.height) == (field.width, field.height)
        np.testing.assert_allclose(same.cells.boxes, field.cells.boxes, rtol=0, atol=1e-5)
        assert same.cells.class_names == field.cells.class_names


@pytest.mark.parametrize("options", [(), ("--format", "coco")])
def test_convert_refuses_an_ending_that_no_format_has(field: Field, tmp_path: Path, options: tuple[str, ...]) -> None:
    write_coco(tmp_path / "in.json", [field])
    with pytest.raises(UserError, match=r"no format of cells ends with .xyz; .* one of .json, .geojson, .csv"):
        run("convert", tmp_path / "in.json", tmp_path / "out.xyz", *options)
    assert not (tmp_path / "out.xyz").exists()
    run("convert", tmp_path / "in.json", tmp_path / "out.v2", "--format", "yolo")
    assert (tmp_path / "out.v2" / "classes.txt").is_file()


def test_convert_tells_which_options_are_for_lld_only(field: Field, tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [field])
    with pytest.raises(UserError, match=r"--clean, --keep-missing and --regions are for LLD's labels, not for csv"):
        run("convert", tmp_path / "a.csv", tmp_path / "b.json", "--clean")


def test_synth_draws_a_whole_data_set(tmp_path: Path) -> None:
    run("synth", "--lld", "--out", tmp_path / "lld", "--fields", 1)
    assert "Sparse-LeukemiaAttri" in run("convert", "--check", tmp_path / "lld")


@pytest.fixture
def foreign(network: AttriDet, tmp_path: Path) -> Path:
    """The detector of the untrained network as YOLOv5 keeps one, with a class of its own."""
    names = ["Smudge", *network.vocabulary.classes[1:]]
    torch.save({"model": network.detector.state_dict(), "names": names, "opt": {"imgsz": 96}}, tmp_path / "best.pt")
    return tmp_path / "best.pt"


@pytest.mark.slow
def test_imported_weights_can_be_used_and_trained(
    foreign: Path, labels: Path, write_picture: WritePicture, tmp_path: Path
) -> None:
    model = tmp_path / "new" / "imported.safetensors"
    told = call("import-weights", foreign, model)
    assert told.returncode == 0, told.stderr
    assert told.stderr.startswith("size n, 14 classes, no attributes, 96 px -> ")
    run("detect", write_picture("a.png"), "--out", tmp_path / "out", "--model", model, "--device", "cpu")
    (field,) = read_coco(tmp_path / "out" / "cells.json")
    assert len(field.cells)
    options = ("--epochs", 1, "--image-size", 64, "--batch", 2, "--device", "cpu", "--init", model)
    trained = call("train", labels, "--out", tmp_path / "run", *options)
    assert trained.returncode == 0, trained.stderr
    assert f"warning: {model}: 349 of 349 tensors fit and are taken over." in trained.stderr
    assert read_card(tmp_path / "run" / "best.safetensors").head == "own"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("best.pt", "best.pt"), "best.pt: call the checkpoint to write something.safetensors"),
        (("best.pt", "a.safetensors", "--published"), "--published says how attributes are read"),
        (("labels.txt", "new/a.safetensors"), "labels.txt is not a whole file of PyTorch"),
        (("best.pt", "new/a.safetensors", "--attributes", "best.pt"), "best.pt is no attribute head of AttriDet"),
    ],
    ids=["order", "published", "text", "head"],
)
def test_what_cannot_be_imported_is_the_callers_error(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.txt").write_text("0 0.5 0.5 0.1 0.1")
    before = foreign.read_bytes()
    with pytest.raises(UserError, match=message):
        run("import-weights", *arguments)
    assert foreign.read_bytes() == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "command", ["convert", "demo", "detect", "train", "import-weights", "evaluate", "synth", "models"]
)
def test_every_command_explains_itself(command: str) -> None:
    assert "Usage:" in run(command, "--help")


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


def test_evaluate_refuses_what_was_trained_on(tmp_path: Path) -> None:
    name = "4_1_1000_ALL.png"
    write_coco(tmp_path / "truth.json", [Field(Path(name), Cells([[1, 1, 20, 20]]), 64, 64, name=name)])
    file = tmp_path / "truth.json"
    refused = CliRunner().invoke(app, ["evaluate", *map(str, ("--truth", file, "--found", file, "--trained-on", file))])
    assert "patients 4" in str(refused.exception)
    assert "1 patient drawn" in run("evaluate", "--truth", file, "--found", file)


def test_the_matrix_scores_each_model_on_each_truth(checkpoint: Path, labels: Path, tmp_path: Path) -> None:
    options = ["evaluate", "--matrix", "--out", tmp_path / "matrix", "--device", "cpu"]
    options += ["--model", f"a={checkpoint}", "--truth", f"a={labels}", "--truth", f"b={labels}"]
    result = json.loads(run(*options, "--json"))
    assert [(row["model"], row["truth"]) for row in result["scores"]] == [("a", "a"), ("a", "b")]
    assert "does not say which patients" in run(*options)
    assert {path.name for path in (tmp_path / "matrix").iterdir()} == {
        f"matrix.{s}" for s in ("csv", "json", "svg", "html")
    }


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--truth", "a=x.json"), "takes --model"),
        (("--truth", "x.json", "--model", "a=b", "--out", "o"), "NAME=FILE"),
        (("--truth", "a=x.json", "--model", "a=b", "--model", "a=c", "--out", "o"), "given twice"),
    ],
)
def test_an_unusable_matrix_is_refused(options: tuple[str, ...], said: str) -> None:
    refused = CliRunner().invoke(app, ["evaluate", "--matrix", *options])
    assert isinstance(refused.exception, UserError)
    assert said in str(refused.exception)


def test_train_adapts_to_pictures_without_labels(checkpoint: Path, labels: Path, tmp_path: Path) -> None:
    options = ["train", labels, "--method", "adapt", "--out", tmp_path / "run", "--device", "cpu"]
    target = ["--target", labels.parent / "0.png"]
    run(*options, *target, "--init", checkpoint, "--by", "reinhard")
    assert read_card(tmp_path / "run" / "adapted.safetensors").stain
    for missing in ([*options, "--init", checkpoint], [*options, *target]):
        assert isinstance(CliRunner().invoke(app, [str(each) for each in missing]).exception, UserError)
