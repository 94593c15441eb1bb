from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer
from napari.utils.notifications import notification_manager

from bloodfilm.cells import Cells, Field
from bloodfilm.errors import LabelError, UserError
from bloodfilm.io.coco import write_coco
from bloodfilm.io.formats import FORMATS, read_fields
from bloodfilm.napari import writer
from bloodfilm.napari.layers import FOUND_KEY, PICTURE_ID, cells_layer, describe, picture_id, to_rectangles
from bloodfilm.napari.pictures import field_of
from bloodfilm.napari.reader import get_reader, read_labels
from bloodfilm.napari.tuning.fields import add_cells, add_regions
from bloodfilm.napari.writer import layer_fields, write_coco_layer


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


def saved(kind: str, layer: Layer, path: Path) -> Path:
    """Save a layer by the menu entry of a format; return what was written."""
    data, meta, _ = layer.as_layer_data_tuple()
    return Path(getattr(writer, f"write_{kind.replace('-', '_')}_layer")(str(path), data, meta)[0])


@pytest.mark.parametrize(("kind", "name"), [("coco", "out.json"), ("csv", "out.csv"), ("geojson", "out")])
def test_saved_and_read_again_nothing_is_lost(labels: Path, field: Field, kind: str, name: str) -> None:
    shapes = Layer.create(*read_labels(str(labels))[1])
    path = saved(kind, shapes, labels.with_name(f"out{FORMATS[kind].suffix}"))
    assert path.name == name
    first, *others = read_fields(path)
    assert (first.name, first.width, first.height) == ("images/field.png", 200, 160)
    assert [each.name for each in others] == ["images/second.png"] * (kind != "csv")
    for column in ("boxes", "codes", "scores", "class_scores", "attributes", "attribute_scores"):
        np.testing.assert_array_equal(getattr(first.cells, column), getattr(field.cells, column))
    assert first.cells.extra["id"].tolist() == shapes.features["id"].tolist()
    if kind != "csv":
        np.testing.assert_array_equal(first.ignored, field.ignored)
    assert [each for *_, each in read_labels(str(path))][-1] == "shapes"
    again = Layer.create(*read_labels(str(path))[-1])
    assert again.features["id"].tolist() == shapes.features["id"].tolist()


def test_what_is_saved_elsewhere_keeps_its_model_and_finds_its_pictures(labels: Path) -> None:
    content = json.loads(labels.read_text())
    labels.write_text(json.dumps(content | {"info": {"model": "wbc-n", "types": ["Neutrophil"]}}))
    shapes = Layer.create(*read_labels(str(labels))[1])
    folder = labels.parent / "elsewhere"
    folder.mkdir()
    path = saved("coco", shapes, folder / "out.json")
    assert json.loads(path.read_text())["info"].items() >= {"model": "wbc-n", "types": ["Neutrophil"]}.items()
    assert all(field.path.is_file() for field in read_fields(path))


@pytest.mark.parametrize(("kind", "name"), [("lld-json", "out.json"), ("yolo", "out"), ("txt12", "out")])
def test_formats_of_other_programs_are_saved_and_tell_what_they_lose(labels: Path, kind: str, name: str) -> None:
    shapes = Layer.create(*read_labels(str(labels))[1])
    suffix = FORMATS[kind].suffix or ".txt"
    with notification_manager:
        path = saved(kind, shapes, labels.with_name(f"out{suffix}"))
        told = [note.message for note in notification_manager.records]
    assert path.name == name
    assert any(line.endswith("ignored cells are left out: 1.") for line in told)
    if path.is_dir():
        with pytest.raises(UserError, match="out: there already"):
            saved(kind, shapes, labels.with_name("out.txt"))
    with pytest.raises(UserError, match=f"out.xyz: cells as .* are saved with {suffix} at the end"):
        saved(kind, shapes, labels.with_name("out.xyz"))


def test_cells_whose_picture_is_elsewhere_open_alone(labels: Path, tmp_path: Path) -> None:
    shapes = Layer.create(*read_labels(str(labels))[1])
    path = saved("csv", shapes, tmp_path / "far" / "away" / "cells.csv")
    with pytest.warns(UserWarning, match="pictures are not beside it"):
        ((data, meta, kind),) = read_labels(str(path))
    assert (kind, len(data), meta["ndim"]) == ("shapes", 3, 2)


def test_tables_of_other_programs_are_left_to_other_readers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("index,axis-0,axis-1\n0,1,2\n")
    (tmp_path / "a.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    assert get_reader(str(tmp_path / "a.csv")) is None
    assert get_reader(str(tmp_path / "a.geojson")) is None
    assert get_reader(str(tmp_path)) is None


def test_pictures_of_a_stack_keep_their_names(labels: Path, viewer_model: ViewerModel) -> None:
    image = viewer_model.add_layer(Layer.create(*read_labels(str(labels))[0]))
    second = field_of(image, (1,))
    assert (second.name, second.width, second.height) == ("images/second.png", 200, 160)


def test_pictures_of_a_stack_without_names_are_told_apart(viewer_model: ViewerModel) -> None:
    stack = viewer_model.add_image(np.zeros((2, 8, 9)), name="stack")
    assert [field_of(stack, (i,)).name for i in range(2)] == ["stack[0]", "stack[1]"]


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


def test_cells_on_pictures_with_whole_paths_for_names_are_saved(labels: Path, field: Field, tmp_path: Path) -> None:
    named = replace(field, name=field.path.as_posix())
    write_coco(tmp_path / "whole.json", [named])
    shapes = Layer.create(*read_labels(str(tmp_path / "whole.json"))[1])
    path = saved("coco", shapes, tmp_path / "out" / "out.json")
    assert [each.path for each in read_fields(path)] == [field.path]


def test_regions_are_saved_with_the_cells_as_they_were_moved_and_drawn(window, field: Field, tmp_path: Path) -> None:
    write_coco(tmp_path / "sparse.json", [replace(field, labelled_regions=np.array([[0, 0, 50, 50]], np.float32))])
    image, regions, cells = window.open(str(tmp_path / "sparse.json"), plugin="bloodfilm")
    (first,) = read_fields(saved("coco", cells, tmp_path / "first.json"))
    assert first.labelled_regions.tolist() == [[0, 0, 50, 50]]
    regions.data = to_rectangles([[20, 10, 70, 60]])
    regions.add([[[90, 90], [90, 150], [120, 90]]], shape_type="polygon")
    (back,) = read_fields(saved("coco", cells, tmp_path / "out.json"))
    moved, drawn = back.labelled_regions[0], back.labelled_regions[1:]
    assert moved.tolist() == [20, 10, 70, 60]
    assert (drawn[:, 2:] - drawn[:, :2]).prod(1).sum() == pytest.approx(900, rel=0.06)
    metadata = {FOUND_KEY: "", PICTURE_ID: picture_id(image), "pictures": {(): describe(field)}}
    found = window.add_shapes(**cells_layer(field.cells, "found", metadata=metadata))
    (searched,) = read_fields(saved("coco", found, tmp_path / "found.json"))
    assert searched.labelled_regions is None, "the labels' regions say nothing of what a model searched"


def test_cells_boxed_for_training_are_saved_with_the_regions_drawn_around_them(
    window, picture: np.ndarray, cells: Cells, tmp_path: Path
) -> None:
    image = window.add_image(np.stack([picture, picture]), rgb=True, name="stack")
    layer = add_cells(window, image, {(0,): cells, (1,): cells})
    before = read_fields(saved("coco", layer, tmp_path / "before.json"))
    assert [field.labelled_regions.tolist() for field in before] == [[], []]
    add_regions(window, image).add(to_rectangles([[0, 0, 200, 100]], (1,)), shape_type="rectangle")
    after = read_fields(saved("coco", layer, tmp_path / "after.json"))
    assert [field.labelled_regions.tolist() for field in after] == [[], [[0, 0, 200, 100]]]
