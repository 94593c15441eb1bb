from __future__ import annotations

from pathlib import Path

import pytest
from coco_file import ANNOTATION, IMAGE, write
from PIL import Image as Pillow

from bloodfilm.cells import Origin
from bloodfilm.errors import LabelError, Mended
from bloodfilm.io.annotated import read_annotated
from bloodfilm.io.coco import read_coco
from bloodfilm.io.lld.dataset import read_lld


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "labels.json"


@pytest.mark.parametrize("place", ["Images/train/a.png", "json_labels/a.png", "json_labels/train/a.png"])
def test_pictures_are_found_in_the_folders_of_lld(tmp_path: Path, place: str) -> None:
    for folder in (tmp_path / "json_labels", (tmp_path / place).parent):
        folder.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).touch()
    (field,) = read_coco(write(tmp_path / "json_labels" / "train.json"))
    assert field.path.samefile(tmp_path / place)


def test_a_picture_that_is_nowhere_is_expected_beside_its_labels(file: Path) -> None:
    assert read_coco(write(file))[0].path == file.parent / "a.png"


def test_a_name_of_lld_tells_where_a_picture_was_taken(file: Path) -> None:
    (field,) = read_coco(write(file, images=[IMAGE | {"file_name": "train/10_14_33_400_AML.png"}]))
    assert field.origin == Origin("10", 14, 33, 400, "AML")
    assert read_coco(write(file))[0].origin is None


def test_a_picture_that_is_listed_again_and_again_is_one_field(file: Path) -> None:
    images = [IMAGE, IMAGE | {"id": 2, "file_name": "b.png"}, IMAGE | {"id": 3}]
    annotations = [ANNOTATION | {"image_id": image, "bbox": [10 * image, 5, 30, 20]} for image in (1, 2, 3)]
    fields = read_coco(write(file, images=images, annotations=annotations))
    assert [(field.name, field.cells.boxes[:, 0].tolist()) for field in fields] == [
        ("a.png", [10, 30]),
        ("b.png", [20]),
    ]


def test_pictures_are_first_looked_for_where_the_file_says(file: Path) -> None:
    for folder in ("data", "images", "results"):
        (file.parent / folder).mkdir()
        (file.parent / folder / "a.png").touch()
    path = write(file.parent / "results" / "cells.json", info={"pictures": "../data"})
    assert read_coco(path)[0].path.samefile(file.parent / "data" / "a.png")
    assert read_lld(path).fields[0].path.samefile(file.parent / "data" / "a.png")


def test_boxes_are_scaled_to_a_picture_of_another_size_than_is_said(file: Path) -> None:
    Pillow.new("RGB", (200, 25)).save(file.parent / "a.png")
    regions = [[0, 10, 50, 40], [0, 0, 100, 0, 100, 50]]
    write(file, images=[IMAGE | {"labelled_regions": regions}, IMAGE | {"id": 2, "file_name": "gone.png"}])
    with pytest.warns(Mended, match="1 pictures have another size than it says.*a.png, 200 x 25 px instead of 100 x"):
        field, gone = read_coco(file)
    assert (field.width, field.height, gone.width, gone.height) == (200, 25, 100, 50)
    assert field.cells.boxes.tolist() == [[20, 10, 80, 20]]
    assert field.labelled_regions is not None
    assert field.labelled_regions[0].tolist() == [0, 5, 100, 25]
    assert field.labelled_regions[1:].max(0).tolist()[2:] == [200, 25]
    dataset = read_lld(file)
    assert dataset.fields[0].cells.boxes.tolist() == [[20, 10, 80, 20]]
    assert any("another size than it says" in line for line in dataset.report.fixed)


@pytest.mark.filterwarnings("ignore:.*count as missing")
def test_a_picture_of_the_same_name_elsewhere_is_another_one_if_its_size_is_not_what_is_said(file: Path) -> None:
    for name, size in {"a.png": (200, 25), "b.png": (100, 50)}.items():
        Pillow.new("RGB", size).save(file.parent / name)
    images = [IMAGE | {"file_name": "gone/a.png"}, IMAGE | {"id": 2, "file_name": "gone/b.png"}]
    write(file, images=images)
    with pytest.warns(
        UserWarning, match=r"1 pictures count as missing.*gone/a.png: .*a.png has 200 x 25 px instead"
    ) as told:
        other, same = read_coco(file)
    assert not any(issubclass(each.category, Mended) for each in told)
    assert (other.path, other.width, other.height) == (file.parent / "gone" / "a.png", 100, 50)
    assert other.cells.boxes.tolist() == [[10, 20, 40, 40]]
    assert same.path == file.parent / "b.png"
    with pytest.warns(UserWarning, match="1 of 2 pictures are missing"):
        assert [field.name for field in read_annotated(file)] == ["gone/b.png"]
    dataset = read_lld(file)
    assert [field.name for field in dataset.fields] == ["gone/b.png"]
    assert any("1 pictures count as missing" in line for line in dataset.report.skipped)


def test_a_picture_whose_size_cannot_be_read_keeps_what_is_said(file: Path) -> None:
    (file.parent / "a.png").write_bytes(b"no picture")
    assert (read_coco(write(file))[0].width, read_coco(file)[0].cells.boxes.tolist()) == (100, [[10, 20, 40, 40]])


def test_a_picture_that_lies_turned_is_refused(file: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    Pillow.new("RGB", (50, 100)).save(file.parent / "a.png", exif=exif)
    with pytest.raises(LabelError, match=r"labels.json: .*a.png is 50 x 100 px, .*: save it upright"):
        read_coco(write(file))


def test_names_with_folders_of_windows_and_accents_of_a_mac_find_their_picture(file: Path) -> None:
    names = ["slide1\\1.png", "Blu\u0308te.png"]
    for name in ("1.png", "slide1/1.png", "Blüte.png"):
        (file.parent / name).parent.mkdir(exist_ok=True)
        Pillow.new("RGB", (100, 50)).save(file.parent / name)
    images = [IMAGE | {"id": number, "file_name": name} for number, name in enumerate(names, start=1)]
    paths = [field.path for field in read_coco(write(file, images=images, annotations=[]))]
    assert paths == [file.parent / "slide1" / "1.png", file.parent / "Blüte.png"]
