"""What is labelled in a viewer, as fields to train on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Layer
from napari.layers._source import layer_source
from PIL import Image as Pillow

from bloodfilm.cells import Cells, Field
from bloodfilm.errors import UserError
from bloodfilm.io.coco import write_coco
from bloodfilm.io.table import write_csv
from bloodfilm.napari.layers import cells_layer, describe, to_rectangles
from bloodfilm.napari.reader import read_labels
from bloodfilm.napari.review import Review
from bloodfilm.napari.tuning.fields import (
    PICTURES,
    add_cells,
    add_regions,
    cells_of,
    collect,
    indices,
    open_folder,
    regions_of,
    show_only,
)
from bloodfilm.training.project import choose_method
from bloodfilm.vocabulary import LLD

BOXES = np.array([[10, 12, 30, 34], [50, 40, 72, 66]], np.float32)
REGION = np.array([[5, 5, 45, 45]], np.float32)


@pytest.fixture
def viewer(viewer_model: ViewerModel) -> ViewerModel:
    """Two pictures that lie on each other."""
    for name in ("one", "two"):
        viewer_model.add_image(np.full((80, 100, 3), 200, np.uint8), rgb=True, name=name)
    return viewer_model


def found() -> Cells:
    return Cells(BOXES, codes=np.array([3, 4]))


def test_pictures_without_labels_are_no_fields(viewer: ViewerModel) -> None:
    assert collect(viewer, list(viewer.layers)) == []


def test_cells_that_a_model_found_count_in_drawn_regions_only(viewer: ViewerModel) -> None:
    image = viewer.layers["one"]
    add_cells(viewer, image, {(): found()})
    (labelled,) = collect(viewer, [image])
    assert labelled.field.is_labelled_in_part
    assert not labelled.field.looked_at(labelled.field.cells.boxes).any()
    add_regions(viewer, image).add(to_rectangles(REGION), shape_type="rectangle")
    (labelled,) = collect(viewer, [image])
    np.testing.assert_array_equal(labelled.field.labelled_regions, REGION)
    assert labelled.field.looked_at(labelled.field.cells.boxes).tolist() == [True, False]
    assert labelled.field.cells.codes.tolist() == [3, 4]
    assert choose_method([labelled.field])[0] == "sladet"


def test_layers_belong_to_the_picture_that_they_were_made_for(viewer: ViewerModel) -> None:
    one, two = viewer.layers["one"], viewer.layers["two"]
    cells, regions = add_cells(viewer, two, {(): found()}), add_regions(viewer, one)
    assert (cells_of(viewer, one), cells_of(viewer, two)) == (None, cells)
    assert (regions_of(viewer, one), regions_of(viewer, two)) == (regions, None)
    assert add_cells(viewer, two) is cells
    assert add_regions(viewer, one) is regions


def test_labels_stay_with_their_picture_whatever_it_is_called(viewer: ViewerModel) -> None:
    image = viewer.layers["one"]
    cells, regions = add_cells(viewer, image, {(): found()}), add_regions(viewer, image)
    image.name = "other"
    assert (cells_of(viewer, image), regions_of(viewer, image)) == (cells, regions)
    viewer.layers.remove(image)
    again = viewer.add_image(np.zeros((80, 100, 3), np.uint8), rgb=True, name="one")
    assert cells_of(viewer, again) is None


def test_labels_are_not_those_that_detection_puts_on_top(viewer: ViewerModel) -> None:
    image = viewer.layers["one"]
    mine = add_cells(viewer, image, {(): found()})
    viewer.add_shapes(**cells_layer(found()[:1], "one cells [1]", metadata={"picture": "one"}))
    assert cells_of(viewer, image) is mine
    mine.visible = False
    assert cells_of(viewer, image) is not mine


def test_showing_one_picture_hides_the_others_with_what_is_on_them(viewer: ViewerModel) -> None:
    one, two = viewer.layers["one"], viewer.layers["two"]
    mine, other = add_cells(viewer, one), add_cells(viewer, two)
    show_only(viewer, one)
    assert [layer.visible for layer in (one, mine, two, other)] == [True, True, False, False]
    add_regions(viewer, two).add(to_rectangles(REGION), shape_type="rectangle")
    assert [labelled.image for labelled in collect(viewer, [one, two])] == [two]


def test_rejected_cells_are_no_labels(viewer: ViewerModel) -> None:
    image = viewer.layers["one"]
    review = Review.of(add_cells(viewer, image, {(): found()}), viewer)
    review.reject(review.ids[:1])
    add_regions(viewer, image).add(to_rectangles([[0, 0, 100, 80]]), shape_type="rectangle")
    (labelled,) = collect(viewer, [image])
    np.testing.assert_array_equal(labelled.field.cells.boxes, BOXES[1:])
    assert not labelled.field.is_labelled_in_part


@pytest.mark.parametrize("kind", ["polygon", "ellipse"])
def test_regions_of_any_shape_become_rectangles_of_about_their_area(viewer: ViewerModel, kind: str) -> None:
    image = viewer.layers["one"]
    shape = to_rectangles([[20, 10, 60, 50]])[0]
    drawn = shape[[0, 1, 2]] if kind == "polygon" else shape
    add_regions(viewer, image).add([drawn], shape_type=kind)
    (labelled,) = collect(viewer, [image])
    sides = labelled.field.labelled_regions[:, 2:] - labelled.field.labelled_regions[:, :2]
    assert sides.prod(1).sum() == pytest.approx({"polygon": 800, "ellipse": 1257}[kind], rel=0.06)


def test_shapes_without_area_are_no_cells(viewer: ViewerModel) -> None:
    image = viewer.layers["one"]
    cells = add_cells(viewer, image, {(): found()})
    cells.add([[20, 5], [20, 25]], shape_type="line")
    cells.add(to_rectangles([[60, 10, 70, 20]]), shape_type="rectangle")
    (labelled,) = collect(viewer, [image])
    np.testing.assert_array_equal(labelled.field.cells.boxes, [*BOXES, [60, 10, 70, 20]])


def test_regions_are_cut_at_the_edge_of_the_picture(viewer: ViewerModel) -> None:
    image = viewer.layers["one"]
    add_regions(viewer, image).add(to_rectangles([[60, 50, 140, 120], [200, 0, 220, 20]]), shape_type="rectangle")
    (labelled,) = collect(viewer, [image])
    np.testing.assert_array_equal(labelled.field.labelled_regions, [[60, 50, 100, 80]])


def test_each_picture_of_a_stack_is_a_field_of_its_own(viewer_model: ViewerModel, tmp_path: Path) -> None:
    stack = np.arange(3, dtype=np.uint8)[:, None, None, None] + np.full((3, 80, 100, 3), 50, np.uint8)
    image = viewer_model.add_image(stack, rgb=True, name="a / stack")
    assert indices(image) == [(0,), (1,), (2,)]
    add_cells(viewer_model, image, {(1,): found(), (2,): Cells.empty(LLD)})
    regions = add_regions(viewer_model, image)
    regions.add(to_rectangles(REGION, (1,)) + to_rectangles(REGION, (2,)), shape_type="rectangle")
    one, two = collect(viewer_model, [image])
    assert (one.index, two.index) == ((1,), (2,))
    assert (len(one.field.cells), len(two.field.cells)) == (2, 0)
    written = one.write(tmp_path / "pictures", 1)
    assert np.asarray(Pillow.open(written.path)).max() == 51
    assert written.path != two.write(tmp_path / "pictures", 2).path


def found_on(viewer: ViewerModel, image: Image, name: str) -> None:
    """Add cells on `image` that know no more of its file than a name."""
    told = {"picture": image.name, "pictures": {(): describe(Field(Path(name), found(), 100, 80, name=name))}}
    viewer.add_shapes(**cells_layer(found(), f"{image.name} cells", metadata=told))


def test_training_reads_the_picture_that_is_shown(
    viewer_model: ViewerModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, other = tmp_path / "shown" / "1.jpg", tmp_path / "other" / "1.jpg"
    for path in (shown, other):
        path.parent.mkdir()
        Pillow.fromarray(np.full((80, 100, 3), 200, np.uint8)).save(path)
    monkeypatch.chdir(other.parent)
    with layer_source(path=str(shown)):
        image = viewer_model.add_image(np.full((80, 100, 3), 200, np.uint8), rgb=True, name="1")
    found_on(viewer_model, image, "1.jpg")
    (labelled,) = collect(viewer_model, [image])
    assert labelled.write(tmp_path / "pictures", 0).path == shown


def test_a_layer_that_shows_another_size_than_its_file_is_written(viewer_model: ViewerModel, tmp_path: Path) -> None:
    Pillow.fromarray(np.full((160, 200, 3), 90, np.uint8)).save(tmp_path / "large.jpg")
    with layer_source(path=str(tmp_path / "large.jpg")):
        image = viewer_model.add_image(np.full((80, 100, 3), 200, np.uint8), rgb=True, name="binned")
    add_regions(viewer_model, image).add(to_rectangles(REGION), shape_type="rectangle")
    (labelled,) = collect(viewer_model, [image])
    written = labelled.write(tmp_path / PICTURES, 0).path
    assert written == tmp_path / PICTURES / "000-large.png"
    assert np.asarray(Pillow.open(written)).shape == (80, 100, 3)
    assert labelled.shows(written)


def test_a_picture_that_is_no_file_is_written_for_training(viewer: ViewerModel, tmp_path: Path) -> None:
    found_on(viewer, viewer.layers["one"], "one")
    (labelled,) = collect(viewer, [viewer.layers["one"]])
    assert (np.asarray(Pillow.open(labelled.write(tmp_path, 0).path)) == 200).all()


def test_a_picture_of_a_project_is_known_again(viewer: ViewerModel, tmp_path: Path) -> None:
    for name in ("one", "two"):
        found_on(viewer, viewer.layers[name], name)
    one, two = collect(viewer, [viewer.layers["one"], viewer.layers["two"]])
    written = one.write(tmp_path / PICTURES, 7).path
    assert one.shows(written)
    assert not two.shows(written)
    Pillow.fromarray(np.full((80, 100, 3), 200, np.uint8)).save(tmp_path / "one.png")
    file = replace(one, field=replace(one.field, path=tmp_path / "one.png"))
    assert file.shows(file.write(tmp_path / PICTURES, 7).path)
    assert not one.shows(tmp_path / "one.png")


def test_files_of_one_title_keep_their_labels_apart(viewer_model: ViewerModel, tmp_path: Path) -> None:
    for number in range(2):
        path = tmp_path / str(number) / "a.png"
        path.parent.mkdir()
        Pillow.fromarray(np.full((80, 100, 3), 200, np.uint8)).save(path)
        field = Field(path, found()[: 1 + number], 100, 80, name="a.png", labelled_regions=REGION)
        write_coco(path.with_name("labels.json"), [field])
        for each in read_labels(str(path.with_name("labels.json"))):
            viewer_model.add_layer(Layer.create(*each))
    images = [layer for layer in viewer_model.layers if isinstance(layer, Image)]
    assert [image.name for image in images] == ["labels", "labels [1]"]
    assert [cells_of(viewer_model, image).nshapes for image in images] == [1, 2]
    assert [regions_of(viewer_model, image).name for image in images] == [
        "labels labelled regions",
        "labels labelled regions [1]",
    ]


def test_labels_read_from_a_file_hold_everywhere(viewer_model: ViewerModel, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for path in paths:
        Pillow.fromarray(np.full((80, 100, 3), 200, np.uint8)).save(path)
    fields = [Field(path, found(), 100, 80, name=path.name) for path in paths]
    write_coco(tmp_path / "labels.json", fields)
    for data, arguments, kind in read_labels(str(tmp_path / "labels.json")):
        getattr(viewer_model, f"add_{kind}")(data, **arguments)
    (image,) = (layer for layer in viewer_model.layers if isinstance(layer, Image))
    labelled = collect(viewer_model, [image])
    assert [each.field.path for each in labelled] == paths
    assert not any(each.field.is_labelled_in_part for each in labelled)
    add_regions(viewer_model, image).add(to_rectangles(REGION, (1,)), shape_type="rectangle")
    assert [each.field.is_labelled_in_part for each in collect(viewer_model, [image])] == [False, True]


def test_a_folder_of_pictures_opens_as_stacks_by_size_that_keep_their_files(
    viewer_model: ViewerModel, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="holds no picture"):
        open_folder(viewer_model, tmp_path)
    for number, width in enumerate((100, 100, 60)):
        Pillow.fromarray(np.full((80, width, 3), 200, np.uint8)).save(tmp_path / f"{number}.png")
    open_folder(viewer_model, tmp_path)
    assert [layer.data.shape for layer in viewer_model.layers] == [(2, 80, 100, 3), (80, 60, 3)]
    stack, one = viewer_model.layers
    assert collect(viewer_model, [stack, one]) == []
    add_regions(viewer_model, stack).add(to_rectangles(REGION, (1,)), shape_type="rectangle")
    add_cells(viewer_model, one, {(): found()[:1]})
    add_regions(viewer_model, one).add(to_rectangles(REGION), shape_type="rectangle")
    assert [each.field.path.name for each in collect(viewer_model, [stack, one])] == ["1.png", "2.png"]


def test_a_subset_of_lld_opens_with_its_labels(viewer_model: ViewerModel, lld: Path) -> None:
    open_folder(viewer_model, next(lld.rglob("H_100X_C2")))
    images = [layer for layer in viewer_model.layers if isinstance(layer, Image)]
    assert collect(viewer_model, images)


def test_a_folder_with_a_file_of_labels_opens_with_them(viewer_model: ViewerModel, tmp_path: Path) -> None:
    Pillow.fromarray(np.full((80, 100, 3), 200, np.uint8)).save(tmp_path / "a.png")
    fields = [Field(tmp_path / "a.png", found(), 100, 80, name="a.png")]
    write_coco(tmp_path / "cells.json", fields)
    write_csv(tmp_path / "cells.csv", fields)
    Pillow.fromarray(np.full((80, 100, 3), 180, np.uint8)).save(tmp_path / "not labelled yet.png")
    with pytest.warns(UserWarning, match="1 pictures have no labels"):
        open_folder(viewer_model, tmp_path)
    image, cells, further = viewer_model.layers
    assert isinstance(image, Image)
    assert len(cells.data) == len(found())
    assert further.data.shape == image.data.shape
    assert (further.data == 180).all()
    write_coco(tmp_path / "more.json", fields)
    with pytest.raises(UserError, match=r"open one of cells.json, more.json"):
        open_folder(viewer_model, tmp_path)
