from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from bloodfilm.errors import LabelError
from bloodfilm.io.images import read_image
from bloodfilm.io.lld.pictures import Pictures, find_all, picture_folders, picture_size


def find(labels: Path, name: str = "a.png") -> Path | None:
    """Return where the picture `name` of a label file is found."""
    return Pictures(picture_folders(labels.parent, labels.stem)).find(name)


@pytest.mark.parametrize(
    "place",
    ["a.png", "train/a.png", "Images/a.png", "images/train/a.png", "../Images/train/a.png", "../IMAGES/a.png"],
)
def test_a_picture_is_found_in_each_layout_of_the_data_set(tmp_path: Path, place: str) -> None:
    labels = tmp_path / "json_labels" / "train.json"
    labels.parent.mkdir()
    picture = labels.parent / place
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.touch()
    found = find(labels)
    assert found is not None
    assert found.resolve() == picture.resolve()


def test_a_picture_of_the_other_split_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "Images" / "test").mkdir(parents=True)
    (tmp_path / "Images" / "test" / "a.png").touch()
    (tmp_path / "json_labels").mkdir()
    assert find(tmp_path / "json_labels" / "train.json") is None


def test_a_picture_is_found_from_within_the_folder_of_the_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("json_labels", "Images"):
        (tmp_path / folder).mkdir()
    (tmp_path / "Images" / "a.png").touch()
    monkeypatch.chdir(tmp_path / "json_labels")
    found = find(Path("train.json"))
    assert found is not None
    assert found.samefile(tmp_path / "Images" / "a.png")


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_tiff_that_can_be_read_has_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 30, 3), kind), photometric="rgb")
    assert read_image(tmp_path / "a.tif").shape == (20, 30, 3)
    assert picture_size(tmp_path / "a.tif") == (30, 20)


def test_a_broken_tiff_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0 broken")
    with pytest.raises(LabelError, match=r"a.tif: its size cannot be read"):
        picture_size(tmp_path / "a.tif")


def test_a_folder_that_cannot_be_listed_holds_no_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    iterdir = Path.iterdir

    def unless_forbidden(folder: Path) -> Iterator[Path]:
        if folder == tmp_path:
            raise PermissionError(13, "Permission denied", str(folder))
        return iterdir(folder)

    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.png").touch()
    monkeypatch.setattr(Path, "iterdir", unless_forbidden)
    assert find(tmp_path / "labels" / "train.json") == tmp_path / "labels" / "a.png"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["slide1/a.png", "slide2/a.png"], [True, False]),
        (["C:\\data\\slide1\\a.png", "slide2/a.png"], [False, False]),
        (["elsewhere/a.png"], [True]),
        (["a.png", "A`.png"], [True, True]),
    ],
)
def test_pictures_of_one_name_in_several_folders_are_not_mixed_up(
    tmp_path: Path, names: list[str], found: list[bool]
) -> None:
    (tmp_path / "slide1").mkdir()
    (tmp_path / "slide1" / "a.png").touch()
    places = find_all(names, Pictures([tmp_path / "slide1"]).find)
    assert [places[name] is not None for name in names] == found
