from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from bloodfilm.errors import LabelError
from bloodfilm.io.lld.discover import discover, looks_like_lld

NAME = "4_8_1000_ALL"


def make(folder: Path, *names: str) -> Path:
    """Make empty files of these names below `folder`."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def sources(root: Path) -> list[tuple[str, str, int]]:
    """Return subset, split and number of files of what is found."""
    return [(each.home.name, each.split, len(each.files)) for each in discover(root).sources]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("S/json_labels/train.json", "train"),
        ("S/COCO Dataset/Annotations/test.json", "test"),
        ("S/labels/Train.JSON", "train"),
        ("S/all.json", "all"),
        (f"S/txt_labels/AttriDet/train/{NAME}.txt", "train"),
        (f"S/TXT_Labels/WBC_detection/Test/{NAME}.txt", "test"),
        (f"S/labels/{NAME}.txt", ""),
    ],
)
def test_labels_are_found_in_each_layout(tmp_path: Path, name: str, split: str) -> None:
    make(tmp_path, name)
    assert sources(tmp_path) == [("S", split, 1)]
    assert sources(tmp_path / "S") == [("S", split, 1)]
    assert sources((tmp_path / name).parent) == [("S", split, 1)]


def test_a_json_is_found_by_itself(tmp_path: Path) -> None:
    make(tmp_path, "S/json_labels/train.json", "S/json_labels/test.json")
    assert sources(tmp_path / "S" / "json_labels" / "test.json") == [("S", "test", 1)]


def test_labels_in_a_zip_count_as_where_they_would_be_extracted(tmp_path: Path) -> None:
    make(tmp_path, f"S/images/train/{NAME}.png")
    with zipfile.ZipFile(tmp_path / "S" / "labels.zip", "w") as archive:
        for name in (
            "json_labels/train.json",
            f"txt_labels/AttriDet/train/{NAME}.txt",
            "__MACOSX/._train.json",
            "a.png",
        ):
            archive.writestr(name, "")
    found = discover(tmp_path)
    assert [(each.home.name, each.split, each.is_text, each.is_zipped) for each in found.sources] == [
        ("S", "train", False, True),
        ("S", "train", True, True),
    ]
    assert found.sources[0].pictures.find(f"{NAME}.png") == tmp_path / "S" / "images" / "train" / f"{NAME}.png"
    assert (len(found.left_by_macos), len(found.zipped_pictures)) == (1, 1)
    assert sources(tmp_path / "S" / "labels.zip") == sources(tmp_path)
    assert not (tmp_path / "S" / "json_labels").exists()


def test_a_folder_around_what_a_zip_holds_is_passed_over_beside_pictures(tmp_path: Path) -> None:
    picture = make(tmp_path, f"S/Images/train/{NAME}.png") / "S" / "Images" / "train" / f"{NAME}.png"
    for place in (tmp_path / "S" / "labels.zip", tmp_path / "T.zip"):
        with zipfile.ZipFile(place, "w") as archive:
            archive.writestr("T/json_labels/train.json", "")
    inside, beside = sorted(discover(tmp_path).sources, key=lambda each: each.home.name)
    assert (inside.home.name, inside.split, inside.pictures.find(f"{NAME}.png")) == ("S", "train", picture)
    assert (beside.home.name, beside.pictures.find(f"{NAME}.png")) == ("T", None)


def test_a_broken_zip_is_told(tmp_path: Path) -> None:
    make(tmp_path, "labels.zip")
    assert discover(tmp_path).broken_zips == [str(tmp_path / "labels.zip")]


def test_text_counts_as_labels_if_named_by_the_data_set_or_a_picture(tmp_path: Path) -> None:
    make(tmp_path, "images/mine.png", "labels/mine.txt", f"labels/{NAME}.txt", "labels/classes.txt", "README.txt")
    found = discover(tmp_path)
    assert [sorted(file.name for file in each.files) for each in found.sources] == [[f"{NAME}.txt", "mine.txt"]]
    assert sorted(Path(each).name for each in found.other_texts) == ["README.txt", "classes.txt"]


def test_what_macos_left_is_no_label_and_no_picture(tmp_path: Path) -> None:
    make(tmp_path, "S/json_labels/._train.json", f"S/Images/._{NAME}.png", f"S/labels/._{NAME}.txt", ".git/a.json")
    found = discover(tmp_path)
    assert (found.sources, found.pictures, len(found.left_by_macos)) == ([], {}, 3)


@pytest.mark.parametrize(
    ("name", "told"),
    [("nowhere", "no such folder, json"), ("a.txt", "neither a folder"), ("a.png", "neither a folder")],
)
def test_what_holds_no_labels_is_an_error(tmp_path: Path, name: str, told: str) -> None:
    make(tmp_path, "a.txt", "a.png")
    with pytest.raises(LabelError, match=f"{name}: {told}"):
        discover(tmp_path / name)


@pytest.mark.parametrize(
    ("names", "inside", "answer"),
    [
        (["S/json_labels/train.json"], "", True),
        (["S/json_labels/train.json"], "S", True),
        (["S/json_labels/train.json"], "S/json_labels", True),
        (["S/JSON_Labels/train.json"], "S", True),
        (["S/COCO Dataset/Annotations/train.json"], "S", True),
        (["S/labels.zip", "S/images/a.png"], "S", True),
        ([f"labels/train/{NAME}.txt"], "labels/train", True),
        ([f"Images/train/{NAME}.png"], "", False),
        (["data.zarr/0/0.0", "labels/a.txt", "b.json"], "", False),
    ],
)
def test_a_folder_of_the_data_set_is_told_from_others(
    tmp_path: Path, names: list[str], inside: str, answer: bool
) -> None:
    assert looks_like_lld(make(tmp_path, *names) / inside) is answer
