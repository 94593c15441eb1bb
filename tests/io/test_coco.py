from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_file import ANNOTATION, CATEGORIES, IMAGE, write

from bloodfilm.cells import Cells, Field, Scale
from bloodfilm.errors import LabelError, UserError
from bloodfilm.io.coco import looks_like_coco, read_coco, write_coco
from bloodfilm.io.lld.dataset import read_lld
from bloodfilm.vocabulary import LLD, UNKNOWN, Attribute, Vocabulary


def with_annotation(path: Path, **changes: Any) -> Cells:
    """Return the cells of a file with one annotation that has `changes`."""
    return read_coco(write(path, annotations=[ANNOTATION | changes]))[0].cells


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "labels.json"


def test_what_is_written_is_read_again(field: Field, tmp_path: Path) -> None:
    write_coco(tmp_path / "cells.json", [field])
    (back,) = read_coco(tmp_path / "cells.json")
    for name in ("boxes", "codes", "scores", "class_scores", "attributes", "attribute_scores"):
        np.testing.assert_allclose(getattr(back.cells, name), getattr(field.cells, name), atol=1e-4, err_msg=name)
    np.testing.assert_array_equal(back.ignored, field.ignored)
    assert (back.path, back.name, back.source) == (field.path, field.name, field.source)
    assert (back.width, back.height) == (field.width, field.height)


def test_another_vocabulary_is_written_and_read_by_its_names(tmp_path: Path) -> None:
    vocabulary = Vocabulary(("Blast", "Other"), (Attribute("size", ("s", "m")), Attribute("shape", ("round", "odd"))))
    cells = Cells([[1, 1, 9, 9]], codes=[1], attributes=[[1, 0]], vocabulary=vocabulary)
    write_coco(tmp_path / "cells.json", [Field(tmp_path / "a.png", cells, 10, 10, name="a.png")])
    back = read_coco(tmp_path / "cells.json", vocabulary)[0].cells
    assert (back.codes.tolist(), back.attributes.tolist()) == ([1], [[1, 0]])
    with pytest.warns(UserWarning, match="no class is called Other;"):
        assert read_coco(tmp_path / "cells.json")[0].cells.codes.tolist() == [UNKNOWN]


def test_a_file_knows_its_vocabulary(tmp_path: Path) -> None:
    vocabulary = Vocabulary(("Blast", "Platelet"), (Attribute("nucleus", ("s", "m")),))
    cells = Cells([[1, 1, 9, 9]], codes=[1], attributes=[[1]], vocabulary=vocabulary)
    write_coco(tmp_path / "cells.json", [Field(tmp_path / "a.png", cells, 10, 10, name="a.png")])
    back = read_coco(tmp_path / "cells.json", None)[0].cells
    assert (back.vocabulary, back.class_names, back.attributes.tolist()) == (vocabulary, ["Platelet"], [[1]])


def test_cells_of_several_vocabularies_are_refused(field: Field, tmp_path: Path) -> None:
    other = replace(field, cells=Cells([[1, 1, 9, 9]], vocabulary=Vocabulary(("Blast",))), name="b.png")
    with pytest.raises(UserError, match=r"images/field.png and b.png have types or attributes of different"):
        write_coco(tmp_path / "cells.json", [field, other])
    assert not (tmp_path / "cells.json").exists()


def test_pictures_without_cells_are_kept_in_order(tmp_path: Path) -> None:
    fields = [Field(tmp_path / name, Cells.empty(), 20, 10, name=name) for name in ("b.png", "a.png")]
    write_coco(tmp_path / "cells.json", fields)
    back = read_coco(tmp_path / "cells.json")
    assert [(f.name, len(f.cells), len(f.ignored)) for f in back] == [("b.png", 0, 0), ("a.png", 0, 0)]


def test_each_cell_stays_with_its_picture(field: Field, tmp_path: Path) -> None:
    other = replace(field, cells=field.cells[1:], name="images/other.png")
    write_coco(tmp_path / "cells.json", [field, other])
    back = read_coco(tmp_path / "cells.json")
    assert [f.cells.boxes.tolist() for f in back] == [field.cells.boxes.tolist(), other.cells.boxes.tolist()]


def test_the_file_is_coco_for_other_programs(field: Field, tmp_path: Path) -> None:
    write_coco(tmp_path / "cells.json", [field, field], {"model": "m"})
    content = json.loads((tmp_path / "cells.json").read_text())
    assert content["info"] == {"model": "m"}
    ids = [a["id"] for a in content["annotations"]]
    assert len(set(ids)) == len(ids) == 8
    first = content["annotations"][0]
    assert (first["bbox"], first["area"], first["iscrowd"]) == ([10, 20, 50, 60], 3000, 0)
    assert first["attributes"]["nucleolus"] == "prominent"
    assert {c["id"]: c["name"] for c in content["categories"]}[first["category_id"]] == "Neutrophil"
    assert {a["category_id"] for a in content["annotations"]} <= {c["id"] for c in content["categories"]}


def test_nothing_at_all_can_be_written_and_read(tmp_path: Path) -> None:
    write_coco(tmp_path / "cells.json", [])
    assert read_coco(tmp_path / "cells.json") == []


@pytest.mark.parametrize("info", [{"bad": object()}, {"bad": {1, 2}}], ids=["object", "set"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    field: Field, tmp_path: Path, info: dict[str, Any]
) -> None:
    path = tmp_path / "out" / "cells.json"
    write_coco(path, [field])
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_coco(path, [field, field], info)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_the_smallest_cell_that_can_be_written_can_be_read(tmp_path: Path) -> None:
    field = Field(tmp_path / "a.png", Cells([[10, 10, 10.004, 20]]), 30, 30, name="a.png")
    write_coco(tmp_path / "cells.json", [field])
    assert len(read_coco(tmp_path / "cells.json")[0].cells) == 1


def test_classes_go_by_name_not_by_id(file: Path) -> None:
    names = {9: "Lymphoblast", 4: "atypical_lymphocyte", 1: " NONE ", 2: "Basophil"}
    categories = [{"id": i, "name": name} for i, name in names.items()]
    annotations = [ANNOTATION | {"category_id": i} for i in names]
    cells = read_coco(write(file, categories=categories, annotations=annotations))[0].cells
    assert cells.class_names == ["Lymphoblast", "Atypical lymphocyte", "None", "Basophil"]


def test_a_category_may_have_the_id_0(file: Path) -> None:
    cells = read_coco(
        write(file, categories=[{"id": 0, "name": "Basophil"}], annotations=[ANNOTATION | {"category_id": 0}])
    )
    assert cells[0].cells.class_names == ["Basophil"]


@pytest.mark.parametrize(
    "changes",
    [
        {"category_id": None},
        {"category_id": 77},
        {"category_id": 4},
        {"category_id": None, "category_name": "unknown type"},
    ],
)
def test_a_cell_without_a_class_is_unknown(file: Path, changes: dict[str, Any]) -> None:
    categories = [*CATEGORIES, {"id": 4, "name": "WBC"}, {"id": 5, "name": "never used"}]
    content = write(file, annotations=[ANNOTATION | changes], categories=categories)
    with warnings.catch_warnings(action="error"):
        assert read_coco(content)[0].cells.codes.tolist() == [UNKNOWN]


def test_names_that_no_class_has_are_told_once_and_unknown(file: Path) -> None:
    changes = [{"category_id": 4}, {"category_id": None, "category_name": "smudge cell"}, {"category_id": 4}, {}]
    categories = [*CATEGORIES, {"id": 4, "name": "Prolymphocyte"}]
    content = write(file, annotations=[ANNOTATION | each for each in changes], categories=categories)
    with pytest.warns(UserWarning) as told:
        codes = read_coco(content)[0].cells.codes.tolist()
    assert codes == [UNKNOWN] * 3 + [LLD.class_code("Neutrophil")]
    (message,) = (str(each.message) for each in told)
    assert message.startswith(f"{file}: no class is called Prolymphocyte, smudge cell;")


def test_the_name_in_an_annotation_serves_where_categories_are_missing(file: Path) -> None:
    content = write(file, annotations=[ANNOTATION | {"category_name": "monoblast"}], categories=None)
    assert read_coco(content)[0].cells.class_names == ["Monoblast"]


def test_flat_attributes_of_lld_are_read_with_their_misspelling(file: Path) -> None:
    flat = dict.fromkeys(LLD.attribute_names, 1) | {"nuclear_chromatio": 0, "nucleolus": 4, "cell_id": 3, "area": 600}
    del flat["nuclear_chromatin"]
    assert with_annotation(file, **flat).attributes.tolist() == [[1, 0, 1, UNKNOWN, 1, 1, 1]]


def test_an_artefact_of_lld_has_no_attributes(file: Path) -> None:
    flat = dict.fromkeys(LLD.attribute_names, 4)
    content = write(file, categories=[{"id": 3, "name": "none"}], annotations=[ANNOTATION | flat])
    cells = read_coco(content)[0].cells
    assert (cells.class_names, cells.attributes.tolist()) == (["None"], [[UNKNOWN] * 7])


def test_scores_are_those_of_annotation_where_none_are_given(file: Path) -> None:
    cells = with_annotation(file)
    assert cells.scores.tolist() == [1]
    assert np.isnan(cells.class_scores).all()


@pytest.mark.parametrize(
    ("bbox", "wanted"),
    [([-5, -8, 30, 20], [0, 0, 25, 12]), ([90, 40, 30, 20], [90, 40, 100, 50]), ([0, 0, 100, 50], [0, 0, 100, 50])],
)
def test_a_box_is_cut_at_the_edge_of_its_picture(file: Path, bbox: list[float], wanted: list[float]) -> None:
    assert with_annotation(file, bbox=bbox).boxes.tolist() == [wanted]


@pytest.mark.parametrize("bbox", [[120, 10, 20, 20], [10, -30, 20, 20], [10, 10, 0, 20], [10, 10, 20, -5]], ids=str)
def test_boxes_without_area_in_their_picture_are_left_out_and_told_once(file: Path, bbox: list[float]) -> None:
    bad = ANNOTATION | {"bbox": bbox}
    with pytest.warns(UserWarning) as told:
        (field,) = read_coco(write(file, annotations=[ANNOTATION, bad, bad | {"iscrowd": 1}]))
    assert (field.cells.boxes.tolist(), len(field.ignored)) == ([[10, 20, 40, 40]], 0)
    (message,) = (str(each.message) for each in told)
    assert message.startswith(f"{file}: 2 boxes")
    assert "annotations.1" in message


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_box_that_is_not_finite_is_an_error_with_its_place(file: Path, bad: float) -> None:
    with pytest.raises(LabelError, match=r"labels.json: annotations.1: .* not finite"):
        read_coco(write(file, annotations=[ANNOTATION, ANNOTATION | {"bbox": [1, 2, bad, 9]}]))


def test_a_crowd_is_ignored_not_a_cell(file: Path) -> None:
    crowd = ANNOTATION | {"iscrowd": 1, "bbox": [50, 0, 10, 10]}
    (field,) = read_coco(write(file, annotations=[crowd, ANNOTATION]))
    assert (field.cells.boxes.tolist(), field.ignored.tolist()) == ([[10, 20, 40, 40]], [[50, 0, 60, 10]])


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"images": None}, "images: Field required"),
        ({"images": [{"id": 1, "file_name": "a.png", "width": 9}]}, "images.0.height"),
        ({"images": [IMAGE, IMAGE | {"width": 0}]}, "images.1.width"),
        ({"annotations": [ANNOTATION, {"image_id": 1}]}, "annotations.1.bbox"),
        ({"annotations": [ANNOTATION | {"bbox": [1, 2, 3]}]}, "annotations.0.bbox"),
        ({"annotations": [ANNOTATION | {"bbox": [1, 2, "wide", 4]}]}, "annotations.0.bbox.2"),
        ({"annotations": [ANNOTATION | {"score": 1.5}]}, "annotations.0.score"),
        ({"annotations": [ANNOTATION | {"score": float("nan")}]}, "annotations.0.score"),
        ({"annotations": [ANNOTATION | {"image_id": 8}]}, "image 8, which is not in images"),
        ({"categories": [{"id": 1}]}, "categories.0.name"),
    ],
)
def test_an_error_names_the_file_and_the_place(file: Path, changes: dict[str, Any], place: str) -> None:
    with pytest.raises(LabelError, match=place) as caught:
        read_coco(write(file, **changes))
    assert str(caught.value).startswith(f"{file}: ")


def test_the_number_of_errors_is_told(file: Path) -> None:
    with pytest.raises(LabelError, match="3 such problems"):
        read_coco(write(file, annotations=[{"image_id": 1}] * 3))


@pytest.mark.parametrize("content", [None, "", "{", "[]", "3"])
def test_what_is_no_coco_file_is_an_error_with_its_name(file: Path, content: str | None) -> None:
    if content is not None:
        file.write_text(content)
    with pytest.raises(LabelError, match=r"labels\.json: "):
        read_coco(file)


@pytest.mark.parametrize(
    ("name", "content", "answer"),
    [
        ("a.json", '{"images": [], "annotations": [], "categories": []}', True),
        ("a.JSON", '{"images": [], "annotations": [], "categories": []}', True),
        ("a.txt", '{"images": [], "annotations": [], "categories": []}', False),
        ("a.json", '{"images": [], "annotations": []}', False),
        ("a.json", "[1, 2]", False),
        ("a.json", "{", False),
        ("a.json", None, False),
    ],
)
def test_coco_files_are_told_from_others(tmp_path: Path, name: str, content: str | None, answer: bool) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    assert looks_like_coco(tmp_path / name) is answer


def test_the_scale_of_a_picture_is_kept(field: Field, tmp_path: Path) -> None:
    scale = Scale((0.25, 0.15), 0.01, 40, True, (1.5, 0.9))
    write_coco(
        tmp_path / "a.json", [replace(field, cells=replace(field.cells, scale=scale)), replace(field, name="b.png")]
    )
    assert [read.cells.scale for read in read_coco(tmp_path / "a.json")] == [scale, None]


def test_red_cells_and_platelets_are_kept_apart_from_white_cells(field: Field, tmp_path: Path) -> None:
    red = {"red blood cell": np.array([[1, 2, 30, 40]], np.float32), "platelet": np.empty((0, 4), np.float32)}
    told = replace(field, auxiliary=red, complete=frozenset(["platelet"]))
    write_coco(tmp_path / "a.json", [told])
    (read,) = read_coco(tmp_path / "a.json")
    assert len(read.cells) == len(field.cells)
    assert read.complete == {"platelet"}
    assert read.auxiliary["red blood cell"].tolist() == [[1, 2, 30, 40]]
    assert len(read.auxiliary["platelet"]) == 0


@pytest.mark.parametrize("name", ["RBC", "Red cells", "erythrocyte", "Platelets"])
def test_other_cells_are_not_taken_for_white_ones(tmp_path: Path, name: str) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 64}],
        "annotations": [{"image_id": 1, "category_id": 5, "bbox": [1, 2, 10, 12]}],
        "categories": [{"id": 5, "name": name}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    (read,) = read_coco(tmp_path / "a.json")
    assert len(read.cells) == 0
    assert [len(boxes) for boxes in read.auxiliary.values()] == [1]
    assert read.complete == set(read.auxiliary)


def test_the_novelty_of_a_picture_is_kept(field: Field, tmp_path: Path) -> None:
    write_coco(
        tmp_path / "a.json", [replace(field, cells=replace(field.cells, novelty=1.25)), replace(field, name="b.png")]
    )
    assert [read.cells.novelty for read in read_coco(tmp_path / "a.json")] == [1.25, None]


@pytest.mark.parametrize("regions", [None, [], [[10, 20, 60, 100], [0, 0, 5, 5]]])
def test_labelled_regions_are_kept(field: Field, tmp_path: Path, regions: list[list[int]] | None) -> None:
    given = None if regions is None else np.array(regions, np.float32).reshape(-1, 4)
    write_coco(tmp_path / "a.json", [replace(field, labelled_regions=given)])
    (read,) = read_coco(tmp_path / "a.json")
    assert (None if read.labelled_regions is None else read.labelled_regions.tolist()) == regions


@pytest.mark.parametrize("region", [[1, 2, 0, 5], [1, 2, 5, -1], [1, 2, 3], [float("nan"), 1, 5, 5]])
def test_a_region_without_area_is_an_error_with_its_place(file: Path, region: list[float]) -> None:
    with pytest.raises(LabelError, match=r"images.0.labelled_regions.0"):
        read_coco(write(file, images=[IMAGE | {"labelled_regions": [region]}]))


@pytest.mark.parametrize(("size", "read"), [(2, -1), (4, -1), (0, -1)])
def test_a_none_cell_has_no_size_in_numbers(file: Path, size: int, read: int) -> None:
    flat = dict.fromkeys(LLD.attribute_names, 1) | {"cell_size": size}
    cells = write(file, categories=[{"id": 3, "name": "none"}], annotations=[ANNOTATION | flat])
    assert read_coco(cells)[0].cells.attributes.tolist() == [[read, *[1] * 6]]


def test_an_entry_that_is_listed_twice_does_not_double_its_cells(file: Path) -> None:
    (field,) = read_coco(write(file, images=[IMAGE, IMAGE], annotations=[ANNOTATION]))
    assert len(field.cells) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": [IMAGE, IMAGE | {"file_name": "b.png"}]}, r"images.1: b.png has the id of a.png"),
        ({"categories": [{"id": 1, "name": "Monocyte"}, {"id": 1, "name": "Other"}]}, "is called Monocyte and Other"),
    ],
)
def test_an_id_of_two_things_is_refused(file: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(LabelError, match=said):
        read_coco(write(file, **changes))


def test_an_unidentified_cell_is_an_artefact_whose_size_does_not_count(file: Path) -> None:
    flat = dict.fromkeys(LLD.attribute_names, 2) | {"category_id": None, "category_name": "Unidentified"}
    cells = with_annotation(file, **flat)
    assert (cells.class_names, cells.attributes.tolist()) == (["None"], [[UNKNOWN] * 7])


def test_values_of_attributes_that_mean_nothing_are_told(file: Path) -> None:
    annotations = [ANNOTATION | {"nucleolus": value} for value in ("1", True, 4, "huge")]
    with pytest.warns(UserWarning, match="2 values of attributes mean nothing and .* such as nucleolus: True"):
        (field,) = read_coco(write(file, annotations=annotations))
    assert field.cells.attributes[:, LLD.attribute_names.index("nucleolus")].tolist() == [1, -1, -1, -1]
    assert any("2 values of attributes" in line for line in read_lld(file, keep_missing=True).report.skipped)


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_utf_16_with_its_mark_is_read(file: Path, order: str) -> None:
    file.write_bytes(f"\ufeff{write(file, images=[IMAGE | {'file_name': 'µ.png'}]).read_text()}".encode(order))
    assert looks_like_coco(file)
    assert [field.name for field in read_coco(file)] == ["µ.png"]


def test_a_mark_of_utf_8_at_the_start_is_passed_over(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + write(file).read_bytes())
    assert looks_like_coco(file)
    assert len(read_coco(file)[0].cells) == 1


def test_where_red_cells_are_a_crowd_not_all_of_them_are_boxed(file: Path) -> None:
    categories = [{"id": 1, "name": "Neutrophil"}, {"id": 2, "name": "platelet"}, {"id": 3, "name": "red blood cell"}]
    annotations = [ANNOTATION | {"id": 1, "category_id": 2, "iscrowd": 1}, ANNOTATION | {"id": 2, "category_id": 3}]
    (field,) = read_coco(write(file, categories=categories, annotations=annotations))
    assert field.complete == {"red blood cell"}
    assert {name: len(boxes) for name, boxes in field.auxiliary.items()} == {"platelet": 0, "red blood cell": 1}
