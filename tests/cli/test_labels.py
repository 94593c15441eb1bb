"""The command line converts and draws labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import call, run
from PIL import Image

from bloodfilm.cells import Field
from bloodfilm.errors import UserError
from bloodfilm.io.coco import read_coco, write_coco
from bloodfilm.io.table import write_csv
from bloodfilm.vocabulary import LLD


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


def test_a_list_of_types_beside_text_of_the_data_set_does_not_hide_its_report(lld: Path, tmp_path: Path) -> None:
    subset = tmp_path / "H_100X_C2"
    shutil.copytree(lld / "LeukemiaAttri_Dataset" / "H_100X_C2" / "Images", subset / "Images")
    text = subset / "txt_labels" / "WBC_Detection" / "train"
    shutil.copytree(lld / "LeukemiaAttri_Dataset" / "H_100X_C2" / "txt_labels" / "WBC_Detection" / "train", text)
    (text / "classes.txt").write_text("\n".join(LLD.classes))
    shown = run("convert", text, "--check", "--clean").split()
    assert {"H_100X_C2", "train", "text", "5"} <= set(shown)
    (text / "classes.txt").write_text("\n".join(LLD.classes[::-1]))
    assert run("convert", text, "--check") == ""
