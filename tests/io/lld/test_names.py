from __future__ import annotations

from pathlib import Path

import pytest

from bloodfilm.cells import Origin
from bloodfilm.io.lld.names import home_of, key, origin_of, split_of


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("4_8_1000_ALL.png", Origin("4", 8, None, 1000, "ALL")),
        ("10_14_33_400_AML.png", Origin("10", 14, 33, 400, "AML")),
        ("7_2_100_apml.PNG", Origin("7", 2, None, 100, "APML")),
        ("train/4_8_1000_ALL`.txt", Origin("4", 8, None, 1000, "ALL")),
        ("4_8_1000_ALL", Origin("4", 8, None, 1000, "ALL")),
        ("4_1000_ALL.png", None),
        ("4_8_9_9_1000_ALL.png", None),
        ("4_8_1000_XYZ.png", None),
        ("field_0001.png", None),
    ],
)
def test_a_name_tells_patient_field_magnification_and_diagnosis(name: str, origin: Origin | None) -> None:
    assert origin_of(name) == origin


@pytest.mark.parametrize(
    "name", ["4_8_1000_ALL.PNG", "`4_8_1000_all.txt", "a\\b\\4_8_1000_ALL.png", "4_8_1000_ALL .png"]
)
def test_names_of_one_picture_have_one_key(name: str) -> None:
    assert key(name) == "4_8_1000_all"


@pytest.mark.parametrize(
    "folder",
    [
        "L_100X_C2/json_labels",
        "L_100X_C2/txt_labels/WBC_detection/train",
        "L_100X_C2/txt_labels/AttriDet/test",
        "L_100X_C2/COCO Dataset/Annotations",
        "L_100X_C2/Images/Train",
        "L_100X_C2/labels",
        "L_100X_C2",
    ],
)
def test_a_subset_is_named_by_the_folder_around_its_labels(tmp_path: Path, folder: str) -> None:
    assert home_of(tmp_path / folder) == tmp_path / "L_100X_C2"


def test_the_innermost_split_counts() -> None:
    assert split_of(Path("train/txt_labels/Test")) == "test"
    assert split_of(Path("data/labels")) == ""
