from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bloodfilm.cells import Cells, Field
from bloodfilm.errors import UserError
from bloodfilm.io.coco import read_coco
from bloodfilm.io.formats import FORMATS, losses
from bloodfilm.io.lld.convert import PLACES, write_dataset
from bloodfilm.io.lld.dataset import Dataset, read_lld

PRECISION = {"coco": 0, "lld-json": 0, "txt12": 1e-3, "yolo": 1e-3}


@pytest.fixture(scope="session")
def dataset(lld: Path) -> Dataset:
    return read_lld(lld)


def by_place(dataset: Dataset) -> dict[tuple[str, str, str], Field]:
    return {(part.subset, part.split, Path(f.name).name): f for part in dataset.parts for f in part.fields}


@pytest.mark.parametrize("format_", PRECISION)
def test_what_is_written_is_read_again(dataset: Dataset, tmp_path: Path, format_: str) -> None:
    write_dataset(tmp_path, dataset, format_)
    before, after = by_place(dataset), by_place(read_lld(tmp_path, keep_missing=True))
    assert set(after) == set(before)
    for name, field in before.items():
        again = after[name]
        np.testing.assert_allclose(again.cells.boxes, field.cells.boxes, atol=PRECISION[format_])
        assert again.cells.codes.tolist() == field.cells.codes.tolist()
        assert (again.cells.attributes == (field.cells.attributes if format_ != "yolo" else -1)).all()
        assert (again.width, again.height, again.origin) == (field.width, field.height, field.origin)


def test_every_format_has_its_place_in_a_subset() -> None:
    assert set(PLACES) == set(FORMATS)


def test_coco_tells_what_was_mended(lld: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "a.json", read_lld(lld / "LeukemiaAttri_Dataset" / "H_100X_C1", clean=True))
    info = json.loads((tmp_path / "a.json").read_text())["info"]
    assert "Fixed: H_100X_C1 train: 1 boxes under 8 px are dropped." in info["report"]


def test_coco_keeps_labelled_regions_and_finds_the_pictures(dataset: Dataset, tmp_path: Path) -> None:
    write_dataset(tmp_path / "deep" / "all.json", dataset)
    again = read_coco(tmp_path / "deep" / "all.json")
    assert len(again) == len(dataset.fields)
    for one, other in zip(again, dataset.fields, strict=True):
        assert one.path.samefile(other.path)
        assert one.source == other.source
        if other.labelled_regions is None:
            assert one.labelled_regions is None
        else:
            assert one.labelled_regions is not None
            assert one.labelled_regions.tolist() == other.labelled_regions.tolist()


@pytest.mark.parametrize("format_", ["lld-json", "txt12", "yolo"])
def test_labels_written_into_a_subset_find_its_pictures(lld: Path, tmp_path: Path, format_: str) -> None:
    subset = tmp_path / "L_40X_C1"
    (subset / "Images").parent.mkdir()
    (subset / "Images").symlink_to(lld / "LeukemiaAttri_Dataset" / "L_40X_C1" / "COCO Dataset" / "Images")
    write_dataset(subset, read_lld(lld / "LeukemiaAttri_Dataset" / "L_40X_C1"), format_)
    again = read_lld(subset)
    assert len(again.fields) == 14
    assert not any("missing" in line for line in again.report.skipped)


def test_the_json_speaks_the_dialect_of_the_data_set(dataset: Dataset, tmp_path: Path) -> None:
    (path, *_) = write_dataset(tmp_path, dataset, "lld-json")
    content = json.loads(path.read_text())
    artefact = next(a for a in content["annotations"] if a["category_name"] == "none")
    assert artefact["nuclear_chromatio"] == artefact["cell_size"] == 4
    assert {c["id"]: c["name"] for c in content["categories"]}[artefact["category_id"]] == "none"


def test_text_has_the_columns_and_codes_of_the_data_set(dataset: Dataset, tmp_path: Path) -> None:
    paths = [path for path in write_dataset(tmp_path, dataset, "txt12") if "H_100X_C2" in path.parts]
    rows = [line.split() for path in paths for file in path.glob("*.txt") for line in file.read_text().splitlines()]
    assert {len(row) for row in rows} == {12}
    assert {tuple(row[5:]) for row in rows if row[0] == "0"} == {("2",) * 7}


@pytest.mark.parametrize("format_", ["lld-json", "txt12"])
@pytest.mark.parametrize(
    "attributes", [[2, 1, 0, 1, 0, 1, 0], [-1, 1, -1, 1, 0, 1, 0], [2, -1, -1, -1, -1, -1, 1], [-1] * 7]
)
def test_attributes_may_be_known_in_part(dataset: Dataset, tmp_path: Path, format_: str, attributes: list[int]) -> None:
    field = Field(
        Path("4_8_1000_ALL.png"),
        Cells([[1, 2, 30, 40]], codes=[3], attributes=[attributes]),
        640,
        640,
        name="4_8_1000_ALL.png",
    )
    write_dataset(tmp_path, Dataset([replace(dataset.parts[0], fields=[field])], dataset.report), format_)
    assert read_lld(tmp_path, keep_missing=True).fields[0].cells.attributes.tolist() == [attributes]


def test_what_a_format_has_no_place_for_is_told() -> None:
    box = np.array([[1, 1, 9, 9]], np.float32)
    cells = Cells([[1, 2, 30, 40], [5, 5, 50, 50]], codes=[-1, 3])
    field = Field(Path("a.png"), cells, 640, 640, box, auxiliary={"platelet": box}, labelled_regions=box)
    whole = replace(field, labelled_regions=np.array([[0, 0, 640, 640]], np.float32), ignored=box[:0], auxiliary={})
    assert losses([field, whole], "coco") == []
    told = [
        "red cells and platelets are left out: 1.",
        "ignored cells are left out: 1.",
        "pictures look as if they were labelled all over (coco and geojson keep their regions): 1.",
    ]
    assert losses([field, whole], "lld-json") == [f"lld-json: {line}" for line in told]
    assert losses([field, whole], "txt12") == ["txt12: cells of unknown type are left out: 2."] + [
        f"txt12: {line}" for line in told
    ]


def test_cells_of_unknown_type_stay_in_json_and_leave_text(dataset: Dataset, tmp_path: Path) -> None:
    cells = Cells([[1, 2, 30, 40], [5, 5, 50, 50]], codes=[-1, 3])
    field = Field(Path("4_8_1000_ALL.png"), cells, 640, 640, name="4_8_1000_ALL.png")
    alone = Dataset([replace(dataset.parts[0], fields=[field])], dataset.report)
    for format_, codes in {"lld-json": [-1, 3], "txt12": [3]}.items():
        write_dataset(tmp_path / format_, alone, format_)
        assert read_lld(tmp_path / format_, keep_missing=True).fields[0].cells.codes.tolist() == codes


def test_nothing_that_is_there_is_written_over(dataset: Dataset, lld: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "a.json", dataset)
    before = (tmp_path / "a.json").read_bytes()
    with pytest.raises(UserError, match=r"a.json: there already; move it away"):
        write_dataset(tmp_path / "a.json", dataset)
    assert (tmp_path / "a.json").read_bytes() == before
    subset = lld / "LeukemiaAttri_Dataset" / "H_100X_C2"
    with pytest.raises(UserError, match="AttriDet/test: there already"):
        write_dataset(subset, read_lld(subset), "txt12")


@pytest.mark.parametrize(
    ("dest", "format_", "reason"),
    [
        ("a.json", "lld-json", "another picture has labels called .*; give them different names"),
        ("a.json", "yolo", "cells as yolo are a folder of text files, not one file"),
        ("a.json", "csv", "cells as csv are saved with .csv at the end"),
        ("a.geojson", "geojson", "QuPath has a file for each picture, here are .*: give a folder"),
        ("out", "voc", "--format voc: give one of coco, csv, geojson, lld-json, txt12, yolo"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is(
    dataset: Dataset, tmp_path: Path, dest: str, format_: str, reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        write_dataset(tmp_path / dest, dataset, format_)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format_", ["coco", "yolo"])
def test_where_a_later_file_cannot_be_written_the_earlier_ones_do_not_stay(
    dataset: Dataset, tmp_path: Path, format_: str
) -> None:
    last = tmp_path / dataset.parts[-1].subset
    last.touch()
    with pytest.raises(UserError, match=last.name):
        write_dataset(tmp_path, dataset, format_)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [last]
    last.unlink()
    write_dataset(tmp_path, dataset, format_)


def test_subsets_of_one_name_are_kept_apart(lld: Path, tmp_path: Path) -> None:
    for folder, subset in (("A", "H_100X_C2"), ("B", "H_100X_C1")):
        shutil.copytree(lld / "LeukemiaAttri_Dataset" / subset, tmp_path / "lld" / folder / "H_40X_C2")
    dataset = read_lld(tmp_path / "lld")
    assert {row["subset"] for row in dataset.report.rows} == {"A/H_40X_C2", "B/H_40X_C2"}
    written = write_dataset(tmp_path / "out", dataset)
    places = {f"{folder}/H_40X_C2/{split}.json" for folder in "AB" for split in ("train", "test")}
    assert {path.relative_to(tmp_path / "out").as_posix() for path in written} == places
    assert {field.source for field in read_coco(tmp_path / "out" / "B" / "H_40X_C2" / "test.json")} == {"B/H_40X_C2"}
