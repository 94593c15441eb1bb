from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer

from bloodfilm.cells import Field
from bloodfilm.errors import LabelError
from bloodfilm.io.coco import read_coco, write_coco
from bloodfilm.io.table import read_csv
from bloodfilm.napari.detect_widget import _describe
from bloodfilm.napari.reader import get_reader, read_labels
from bloodfilm.napari.writer import layer_fields, write_coco_layer, write_csv_layer


@pytest.fixture
def labels(field: Field, write_picture: Callable[[str], Path], tmp_path: Path) -> Path:
    """Two pictures of one size, the second without cells."""
    second = Field(write_picture("images/second.png"), field.cells[:0], 200, 160, name="images/second.png")
    write_coco(tmp_path / "labels.json", [field, second])
    return tmp_path / "labels.json"


def test_plain_pictures_and_other_json_are_left_to_other_readers(
    write_picture: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "other.json").write_text('{"images": 3}')
    (tmp_path / "broken.json").write_text("{")
    assert get_reader(str(write_picture("a.png"))) is None
    assert get_reader(str(tmp_path / "other.json")) is None
    assert get_reader(str(tmp_path / "broken.json")) is None


def test_labels_open_as_a_stack_of_pictures_with_cells_on_their_slices(labels: Path, picture: np.ndarray) -> None:
    reader = get_reader(str(labels))
    assert reader is not None
    image, shapes = (Layer.create(*data) for data in reader(str(labels)))
    assert image.data.shape == (2, 160, 200, 3)
    np.testing.assert_array_equal(np.asarray(image.data[1]), picture)
    assert shapes.nshapes == 3
    assert {shape[0, 0] for shape in shapes.data} == {0}
    assert shapes.features["nucleolus"].iloc[2] == "not annotated"


def test_lld_finds_its_pictures_in_the_folder_beside_the_labels(
    field: Field, write_picture: Callable[[str], Path], tmp_path: Path
) -> None:
    write_picture("H_100X_C2/Images/train/4_8_1000_ALL.png")
    name = "4_8_1000_ALL.png"
    label = tmp_path / "H_100X_C2" / "json_labels" / "train.json"
    write_coco(label, [Field(Path(name), field.cells, 200, 160, name=name)])
    assert [kind for *_, kind in read_labels(str(label))] == ["image", "shapes"]


def test_missing_pictures_are_told_and_the_rest_opens(labels: Path) -> None:
    (labels.parent / "images" / "second.png").unlink()
    with pytest.warns(UserWarning, match="1 pictures are missing, for instance images/second.png"):
        (data, *_), _ = read_labels(str(labels))
    assert data.shape == (160, 200, 3)


def test_labels_without_any_picture_are_refused(labels: Path) -> None:
    for name in ("field.png", "second.png"):
        (labels.parent / "images" / name).unlink()
    with pytest.raises(LabelError, match=r"labels.json: none of its 2 pictures"):
        read_labels(str(labels))


def test_saved_as_coco_and_csv_nothing_is_lost(labels: Path, tmp_path: Path, field: Field) -> None:
    shapes = Layer.create(*read_labels(str(labels))[1])
    data, meta, _ = shapes.as_layer_data_tuple()
    write_coco_layer(str(tmp_path / "out.json"), data, meta)
    write_csv_layer(str(tmp_path / "out.csv"), data, meta)
    back = read_coco(tmp_path / "out.json")
    assert [(each.name, each.width, each.height) for each in back] == [
        ("images/field.png", 200, 160),
        ("images/second.png", 200, 160),
    ]
    for cells in (back[0].cells, read_csv(tmp_path / "out.csv")["images/field.png"]):
        np.testing.assert_allclose(cells.boxes, field.cells.boxes)
        np.testing.assert_array_equal(cells.codes, field.cells.codes)
        np.testing.assert_array_equal(cells.attributes, field.cells.attributes)
        np.testing.assert_allclose(cells.attribute_scores, field.cells.attribute_scores, atol=1e-4)


def test_pictures_of_a_stack_keep_their_names(labels: Path, viewer_model: ViewerModel) -> None:
    image = viewer_model.add_layer(Layer.create(*read_labels(str(labels))[0]))
    assert _describe(image, (1,)) == {"name": "images/second.png", "width": 200, "height": 160}


def test_pictures_of_a_stack_without_names_are_told_apart(viewer_model: ViewerModel) -> None:
    stack = viewer_model.add_image(np.zeros((2, 8, 9)), name="stack")
    assert [_describe(stack, (i,))["name"] for i in range(2)] == ["stack[0]", "stack[1]"]


def test_boxes_are_saved_as_far_as_they_lie_in_the_picture(labels: Path) -> None:
    shapes = Layer.create(*read_labels(str(labels))[1])
    for x in (-20, 190, 300):
        shapes.add([[1, 5, x], [1, 5, x + 40], [1, 25, x + 40], [1, 25, x]], shape_type="rectangle")
    data, meta, _ = shapes.as_layer_data_tuple()
    assert layer_fields(data, meta)[1].cells.boxes.tolist() == [[0, 5, 20, 25], [190, 5, 200, 25]]


@pytest.mark.parametrize("depth", [2.9999999, 3.0000001])
def test_boxes_are_saved_on_the_nearest_slice(depth: float) -> None:
    box = [[depth, 1, 2], [depth, 1, 9], [depth, 8, 9], [depth, 8, 2]]
    metadata = {"bloodfilm": {"pictures": {(3,): {"name": "third", "width": 20, "height": 20}}}}
    (field,) = layer_fields([box], {"metadata": metadata})
    assert (field.name, len(field.cells)) == ("third", 1)


def test_a_plain_shapes_layer_is_saved_as_cells_of_unknown_type(tmp_path: Path) -> None:
    shapes = Layer.create([[[1, 2], [1, 9], [8, 9], [8, 2]]], {"shape_type": "rectangle", "name": "mine"}, "shapes")
    data, meta, _ = shapes.as_layer_data_tuple()
    write_coco_layer(str(tmp_path / "out.json"), data, meta)
    (found,) = json.loads((tmp_path / "out.json").read_text())["annotations"]
    assert found["bbox"] == [2, 1, 7, 7]
    assert found["attributes"] == {}
