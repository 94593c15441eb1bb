from __future__ import annotations

import pytest

from bloodfilm.cells import Cells
from bloodfilm.io.coco import CocoFile
from bloodfilm.io.lld.clean import clean_cells, drop_misplaced
from bloodfilm.vocabulary import Vocabulary

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


def test_only_a_type_called_none_is_an_artefact() -> None:
    own = Vocabulary(("Neutrophil", "Lymphocyte"))
    kept, _ = clean_cells(Cells([BOX, BOX], codes=[0, 1], vocabulary=own))
    assert kept.class_names == ["Neutrophil"]
