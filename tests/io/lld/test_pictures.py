from __future__ import annotations

from pathlib import Path

import pytest

from bloodfilm.io.lld.pictures import Pictures, picture_folders


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
