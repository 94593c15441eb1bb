from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bloodfilm.cells import Cells, Field
from bloodfilm.io.coco import CocoFile
from bloodfilm.io.lld.clean import clean_cells, drop_misplaced, merge_pictures

BOX, OTHER = [10, 10, 60, 70], [100, 10, 160, 70]


def cells(boxes: list[list[float]], codes: list[int], attributes: list[list[int]] | None = None) -> Cells:
    return Cells(boxes, codes=codes, attributes=attributes)


def test_sound_cells_stay_as_they_are() -> None:
    kept, counts = clean_cells(cells([OTHER, BOX], [3, 0]))
    assert (kept.boxes.tolist(), kept.codes.tolist(), counts.total()) == ([OTHER, BOX], [3, 0], 0)


def test_no_cells_stay_none() -> None:
    kept, counts = clean_cells(Cells.empty())
    assert (len(kept), counts.total()) == (0, 0)


@pytest.mark.parametrize(("side", "left"), [(7.9, 0), (8, 1)])
def test_slivers_are_dropped(side: float, left: int) -> None:
    kept, counts = clean_cells(cells([[10, 10, 10 + side, 90]], [3]))
    assert (len(kept), counts["boxes under 8 px"]) == (left, 1 - left)


def test_boxes_given_twice_are_dropped() -> None:
    kept, counts = clean_cells(cells([BOX, OTHER, BOX, BOX], [3, 3, 3, 3]))
    assert (kept.boxes.tolist(), counts["boxes given twice"]) == ([BOX, OTHER], 2)


@pytest.mark.parametrize(
    ("codes", "wanted"), [([0, 3], 3), ([3, 0], 3), ([0, 0, 5], 5), ([2, 7], 2), ([-1, 4], 4), ([0, -1], 0)]
)
def test_of_contradicting_boxes_the_first_with_a_type_stays(codes: list[int], wanted: int) -> None:
    kept, counts = clean_cells(cells([BOX] * len(codes), codes))
    assert kept.codes.tolist() == [wanted]
    assert counts["boxes that contradict another in their place"] == len(set(codes)) - 1


def test_boxes_that_differ_in_an_attribute_contradict_each_other() -> None:
    kept, counts = clean_cells(cells([BOX, BOX], [3, 3], [[0] * 7, [1] * 7]))
    assert kept.attributes.tolist() == [[0] * 7]
    assert counts["boxes that contradict another in their place"] == 1


def test_a_picture_listed_again_and_again_is_one_field_with_all_cells() -> None:
    names = ["a.png", "b.png", "a.png"]
    fields = [Field(Path(name), cells([[i, 1, 50, 60]], [3]), 640, 640, name=name) for i, name in enumerate(names)]
    merged = merge_pictures(fields)
    assert [(f.name, f.cells.boxes[:, 0].tolist()) for f in merged] == [("a.png", [0, 2]), ("b.png", [1])]


def test_pictures_of_one_name_in_two_folders_are_two() -> None:
    fields = [Field(Path(folder, "a.png"), Cells.empty(), 640, 640, name="a.png") for folder in ("x", "y")]
    assert len(merge_pictures(fields)) == 2


def test_a_merged_picture_keeps_what_is_to_be_ignored() -> None:
    box = np.array([OTHER], np.float32)
    fields = [Field(Path("a"), Cells.empty(), 640, 640, box, auxiliary={"platelet": box}) for _ in range(2)]
    (merged,) = merge_pictures(fields)
    assert (len(merged.ignored), len(merged.auxiliary["platelet"])) == (2, 2)


@pytest.mark.parametrize(
    ("subset", "split", "dropped"),
    [("H_100X_C1", "train", 2), ("h_100x_c1", "train", 2), ("H_100X_C1", "test", 0), ("H_100X_C2", "train", 0)],
)
def test_misplaced_boxes_are_dropped_from_their_file_only(subset: str, split: str, dropped: int) -> None:
    images = [
        {"id": i, "file_name": name, "width": 9, "height": 9} for i, name in enumerate(["35_1_1000_ALL.png", "b.png"])
    ]
    annotations = [
        {"id": 1356, "image_id": 0},
        {"id": 2020, "image_id": 0},
        {"id": 7, "image_id": 0},
        {"id": 1658, "image_id": 1},
    ]
    content = CocoFile.model_validate(
        {"images": images, "annotations": [a | {"bbox": [1, 1, 5, 5]} for a in annotations]}
    )
    assert drop_misplaced(content, subset, split) == dropped
    assert [a.id for a in content.annotations][-2:] == [7, 1658]
    assert len(content.annotations) == 4 - dropped
