"""Reading a whole drawn data set: what was drawn comes back, and every fault is mended or told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bloodfilm.cells import Cells, Field
from bloodfilm.errors import LabelError
from bloodfilm.io.coco import read_coco
from bloodfilm.io.lld.dataset import Dataset, read_lld
from bloodfilm.synth import draw_field
from bloodfilm.vocabulary import LLD

ROOT = "LeukemiaAttri_Dataset"


@pytest.fixture(scope="session")
def dataset(lld: Path) -> Dataset:
    return read_lld(lld, clean=True)


def cells_by_picture(dataset: Dataset, subset: str) -> dict[str, Cells]:
    """Return the cells of each field of a subset by patient and field."""
    fields = [field for field in dataset.fields if field.source == subset]
    return {f"{f.origin.patient} {f.origin.field}": f.cells for f in fields if f.origin}


def same(one: Cells, other: Cells, atol: float = 0.06) -> bool:
    return (
        np.allclose(one.boxes, other.boxes, atol=atol)
        and one.codes.tolist() == other.codes.tolist()
        and one.attributes.tolist() == other.attributes.tolist()
    )


def test_every_subset_with_labels_is_found_with_its_splits(dataset: Dataset) -> None:
    rows = [tuple(row.values()) for row in dataset.report.rows]
    whole = ("H_100X_C1", "H_100X_C2", "L_100X_C2", "L_40X_C1", "Sparse-LeukemiaAttri")
    subsets = dict.fromkeys(whole, [("test", 4, 0), ("train", 10, 0)])
    subsets["H_40X_C2"] = [("test", 3, 1), ("train", 9, 1)]
    assert {(r[0], r[1], r[3], r[4]) for r in rows} == {
        (name, *each) for name, all_ in subsets.items() for each in all_
    }
    assert {row[2] for row in rows} == {"json", "text 16"}


def test_what_was_drawn_is_read(dataset: Dataset) -> None:
    _, drawn = draw_field(1067, 640, 4, seed=0)
    first = cells_by_picture(dataset, "H_100X_C2")["35 1"]
    np.testing.assert_allclose(first.boxes, drawn.boxes * (640 / 1067, 1, 640 / 1067, 1), atol=0.06)
    assert first.codes.tolist()[:-1] == drawn.codes.tolist()[:-1]
    assert first.attributes.tolist() == [*drawn.attributes.tolist()[:-1], [-1] * 7]
    assert first.class_names[-1] == "None"


@pytest.mark.parametrize("subset", ["H_100X_C1", "H_40X_C2", "L_40X_C1", "L_100X_C2"])
def test_after_cleaning_all_subsets_agree(dataset: Dataset, subset: str) -> None:
    truth, read = cells_by_picture(dataset, "H_100X_C2"), cells_by_picture(dataset, subset)
    assert set(read) <= set(truth)
    assert all(same(cells, truth[name]) for name, cells in read.items())


@pytest.mark.parametrize(("folder", "attributes"), [("AttriDet", True), ("WBC_Detection", False)])
def test_text_says_the_same_as_json_to_three_decimals(
    lld: Path, dataset: Dataset, folder: str, attributes: bool
) -> None:
    text = read_lld(lld / ROOT / "H_100X_C2" / "txt_labels" / folder)
    truth, read = cells_by_picture(dataset, "H_100X_C2"), cells_by_picture(text, "H_100X_C2")
    assert len(read) == len(truth) == 14
    for name, cells in read.items():
        np.testing.assert_allclose(cells.boxes, truth[name].boxes, atol=0.75)
        assert cells.codes.tolist() == truth[name].codes.tolist()
        assert (cells.attributes == (truth[name].attributes if attributes else -1)).all()


def test_all_labelled_cells_of_the_sparse_set_lie_in_their_region(dataset: Dataset) -> None:
    (train,) = (part for part in dataset.parts if (part.subset, part.split) == ("Sparse-LeukemiaAttri", "train"))
    regions = [field.labelled_regions for field in train.fields]
    assert [len(each) for each in regions if each is not None].count(1) == 9
    for field in train.fields:
        assert field.labelled_regions is not None
        centres = (field.cells.boxes[:, :2] + field.cells.boxes[:, 2:]) / 2
        for x0, y0, x1, y1 in field.labelled_regions:
            assert ((centres >= [x0 - 1, y0 - 1]) & (centres <= [x1 + 1, y1 + 1])).all()
            assert (x1 - x0, y1 - y0) == (286, 286)
    assert all(field.labelled_regions is None for field in dataset.fields if "Sparse" not in field.source)


def told(dataset: Dataset) -> str:
    return str(dataset.report)


@pytest.mark.parametrize(
    "sentence",
    [
        (
            "Fixed: {0}/H_100X_C1/json_labels/train.json: 39 entries of pictures that are listed more than once "
            "are joined."
        ),
        "Fixed: {0}/H_100X_C1/json_labels/train.json: 3 annotations known to be misplaced are dropped.",
        "Fixed: H_100X_C1 train: 1 boxes given twice are dropped.",
        "Fixed: H_100X_C1 train: 1 boxes that contradict another in their place are dropped.",
        "Fixed: H_100X_C1 train: 1 boxes under 8 px are dropped.",
        (
            "Fixed: {0}/L_100X_C2/labels.zip/json_labels/test.json: 2 pictures are written otherwise than in the "
            "labels, for instance 21_1_1000_CML`.png."
        ),
        "Skipped: {0}/L_10X_C1/Images/train: 10 pictures have no labels, for instance 10_1_100_AML.png.",
        "Skipped: H_40X_C2 train: 1 pictures are missing, for instance 10_2_10_400_AML.png.",
        (
            "Skipped: not used: 1 zips cannot be opened: extract or download them again, "
            "for instance {0}/L_10X_C1/json_labels.zip."
        ),
        (
            "Note: not used: 1 text files belong to no picture, "
            "for instance {0}/H_100X_C2/txt_labels/WBC_Detection/train/classes.txt."
        ),
        "Note: not used: 9 files that macOS left, for instance {0}/H_100X_C1/images/train/._35_1_1000_ALL.png.",
        "Note: {0}/H_100X_C2/txt_labels/AttriDet/train: not read, {0}/H_100X_C2/json_labels/train.json serves.",
        (
            "Note: {0}/L_100X_C2/txt_labels/WBC_detection/test: not read, "
            "{0}/L_100X_C2/labels.zip/json_labels/test.json serves."
        ),
        (
            "Note: labelled regions are taken as xyxy pixels: makes sense of 100.0% of the files, "
            "median area 0.20 of the picture."
        ),
    ],
)
def test_every_fault_is_told(dataset: Dataset, sentence: str) -> None:
    assert sentence.format(ROOT) in told(dataset).splitlines()


def test_boxes_are_only_dropped_on_request(lld: Path) -> None:
    subset = lld / ROOT / "H_100X_C1"
    as_it_is, clean = (read_lld(subset, clean) for clean in (False, True))
    assert [sum(len(f.cells) for f in each.fields) for each in (as_it_is, clean)] == [66, 60]
    assert not any("dropped" in line for line in as_it_is.report.fixed)
    assert len(as_it_is.fields) == len(clean.fields) == 14


def test_missing_pictures_can_be_kept(lld: Path) -> None:
    kept = read_lld(lld / ROOT / "H_40X_C2", keep_missing=True)
    assert len(kept.fields) == 14
    assert sum(not field.path.is_file() for field in kept.fields) == 2
    assert any("1 pictures are missing" in line for line in kept.report.skipped)


def test_labels_alone_are_refused_unless_kept(lld: Path, tmp_path: Path) -> None:
    shutil.copytree(lld / ROOT / "H_100X_C2" / "txt_labels" / "AttriDet", tmp_path / "AttriDet")
    with pytest.raises(LabelError, match="AttriDet: none of its 14 pictures is there, for instance 21_1_1000_CML.png"):
        read_lld(tmp_path / "AttriDet")
    assert {(f.width, f.height) for f in read_lld(tmp_path / "AttriDet", keep_missing=True).fields} == {(640, 640)}


def test_a_json_that_cannot_be_read_leaves_the_place_to_text(lld: Path, tmp_path: Path) -> None:
    subset = tmp_path / "S"
    shutil.copytree(lld / ROOT / "H_100X_C2", subset)
    (subset / "json_labels" / "train.json").write_text("{")
    dataset = read_lld(subset)
    assert [(row["split"], row["labels"]) for row in dataset.report.rows] == [("test", "json"), ("train", "text 12")]
    assert any(line.startswith("json_labels/train.json: top: ") for line in dataset.report.skipped)


def test_labels_of_which_none_can_be_read_are_an_error_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "4_8_1000_ALL.txt").write_text("6 0.5\n")
    (tmp_path / "json_labels").mkdir()
    (tmp_path / "json_labels" / "test.json").write_text("<html>")
    (tmp_path / "labels.zip").write_bytes(b"PK cut short")
    (tmp_path / "Images").mkdir()
    (tmp_path / "Images" / "4_8_1000_ALL.png").touch()
    with pytest.raises(LabelError, match=r"no labels of cells that can be read\.") as told:
        read_lld(tmp_path)
    for reason in (
        "Skipped: 4_8_1000_ALL.txt: line 1: it has 2",
        "Skipped: json_labels/test.json: top: ",
        "Skipped: not used: 1 zips cannot be opened: extract or download them again, for instance labels.zip",
        "Skipped: Images: 1 pictures have no labels",
    ):
        assert reason in str(told.value)
    with pytest.raises(LabelError, match=r"(?s)can be read\..*1 zips cannot be opened"):
        read_lld(tmp_path / "labels.zip")


def test_a_folder_without_labels_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"no labels of cells that can be read\."):
        read_lld(tmp_path)


def test_boxes_outside_their_picture_are_told(lld: Path, tmp_path: Path) -> None:
    content = json.loads((lld / ROOT / "H_100X_C2" / "json_labels" / "test.json").read_text())
    content["annotations"][0]["bbox"] = [700, 10, 30, 30]
    (tmp_path / "test.json").write_text(json.dumps(content))
    dataset = read_lld(tmp_path, keep_missing=True)
    assert any("1 boxes have no area inside their picture" in line for line in dataset.report.skipped)


def test_a_field_knows_its_origin_and_subset(dataset: Dataset) -> None:
    field: Field = next(f for f in dataset.fields if f.source == "L_40X_C1" and f.name.startswith("35_2"))
    assert field.origin is not None
    origin = field.origin
    assert (origin.patient, origin.field, origin.view, origin.magnification, origin.diagnosis) == (
        "35",
        2,
        8,
        400,
        "ALL",
    )


def test_the_reading_of_regions_can_be_chosen(lld: Path) -> None:
    dataset = read_lld(lld / "Sparse-LeukemiaAttri", regions="xxyy pixels")
    assert any(line.startswith("labelled regions are taken as xxyy pixels") for line in dataset.report.notes)
    assert any("11 pictures have one that is not xxyy pixels" in line for line in dataset.report.skipped)


def test_all_classes_stay_in_the_vocabulary(dataset: Dataset) -> None:
    assert {field.cells.vocabulary for field in dataset.fields} == {LLD}


@pytest.mark.parametrize("name", ["train_annotations.json", "instances_Train.json", "H_40X_C2 train.json"])
def test_a_word_of_the_name_of_a_json_tells_its_split(lld: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(lld / ROOT / "H_100X_C2" / "Images", tmp_path / "H_100X_C2" / "Images")
    file = tmp_path / "H_100X_C2" / "json_labels" / name
    file.parent.mkdir()
    shutil.copy(lld / ROOT / "H_100X_C2" / "json_labels" / "train.json", file)
    (row,) = read_lld(tmp_path).report.rows
    assert (row["split"], row["pictures"]) == ("train", 10)
    assert all(field.path.is_file() for field in read_coco(file))
