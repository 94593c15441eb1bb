"""Subsets of the Large Leukemia Dataset in napari."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer
from npe2 import PluginManager

from bloodfilm.errors import LabelError, UserError
from bloodfilm.io.coco import read_coco
from bloodfilm.io.images import read_image
from bloodfilm.napari.reader import get_reader, read_labels
from bloodfilm.napari.writer import write_coco_layer, write_csv_layer

ROOT = "LeukemiaAttri_Dataset"


def opened(viewer: ViewerModel, path: Path) -> list[Layer]:
    reader = get_reader(str(path))
    assert reader is not None
    return [viewer.add_layer(Layer.create(*layer)) for layer in reader(str(path))]


def shown(shapes: Layer) -> list[int]:
    """Return the rows of the shapes that the slider shows."""
    return np.flatnonzero(shapes._data_view._displayed).tolist()


def test_a_subset_opens_as_one_stack_with_cells_that_follow_the_slider(lld: Path, viewer_model: ViewerModel) -> None:
    subset = lld / ROOT / "H_100X_C2"
    image, cells = opened(viewer_model, subset)
    fields = [field for split in ("test", "train") for field in read_coco(subset / "json_labels" / f"{split}.json")]
    assert image.data.shape == (14, 640, 640, 3)
    assert (image.name, cells.name) == ("H_100X_C2", "H_100X_C2 cells")
    assert cells.nshapes == sum(len(field.cells) for field in fields)
    for number in (0, 5, 13):
        viewer_model.dims.set_point(0, number)
        field, rows = fields[number], shown(cells)
        np.testing.assert_array_equal(np.asarray(image.data[number]), read_image(field.path))
        assert cells.features["class"].iloc[rows].tolist() == field.cells.class_names
        assert set(cells.features["patient"].iloc[rows]) == {field.origin.patient if field.origin else ""}
        corners = np.stack([cells.data[row][0, 1:][::-1] for row in rows])
        np.testing.assert_allclose(corners, field.cells.boxes[:, :2], atol=1e-3)


def test_attributes_come_with_the_cells(lld: Path, viewer_model: ViewerModel) -> None:
    _, cells = opened(viewer_model, lld / ROOT / "H_100X_C2")
    artefacts = cells.features["class"] == "None"
    assert set(cells.features["nuclear_shape"][artefacts]) == {"not annotated"}
    assert set(cells.features["nuclear_shape"][~artefacts]) == {"regular", "irregular"}
    assert {"magnification", "diagnosis", "field"} <= set(cells.features)


def test_pictures_are_read_when_they_are_shown(lld: Path, tmp_path: Path) -> None:
    shutil.copytree(lld / ROOT / "H_100X_C2", tmp_path / "S")
    pictures = sorted((tmp_path / "S" / "Images").rglob("[0-9]*.png"))
    for path in pictures[1:]:
        path.unlink()
        path.write_bytes(b"not a picture")
    (stack, *_), _ = read_labels(str(tmp_path / "S"))
    assert np.asarray(stack[0]).shape == (640, 640, 3)
    with pytest.raises(UserError, match="cannot be read as a picture"):
        np.asarray(stack[1])


def test_labelled_regions_are_a_layer_of_their_own(lld: Path, viewer_model: ViewerModel) -> None:
    _, regions, cells = opened(viewer_model, lld / "Sparse-LeukemiaAttri")
    assert regions.name == "Sparse-LeukemiaAttri labelled regions"
    assert regions.nshapes == 13
    viewer_model.dims.set_point(0, 0)
    assert [regions.data[row][:, 1:].max() for row in shown(regions)] == [640]
    assert len(shown(cells))


def test_saving_the_cells_keeps_the_labelled_regions(lld: Path, viewer_model: ViewerModel, tmp_path: Path) -> None:
    _, regions, cells = opened(viewer_model, lld / "Sparse-LeukemiaAttri")
    data, meta, _ = cells.as_layer_data_tuple()
    write_coco_layer(str(tmp_path / "out.json"), data, meta)
    saved = [field.labelled_regions for field in read_coco(tmp_path / "out.json")]
    assert sum(len(each) for each in saved if each is not None) == regions.nshapes
    data, meta, _ = regions.as_layer_data_tuple()
    with pytest.raises(UserError, match="shows labelled regions: save the layer of the cells"):
        write_csv_layer(str(tmp_path / "out.csv"), data, meta)


def test_cells_can_be_drawn_on_a_subset(lld: Path, viewer_model: ViewerModel, tmp_path: Path) -> None:
    _, cells = opened(viewer_model, lld / ROOT / "H_100X_C2")
    cells.add([[3, 1, 1], [3, 1, 50], [3, 60, 50], [3, 60, 1]], shape_type="rectangle")
    data, meta, _ = cells.as_layer_data_tuple()
    write_coco_layer(str(tmp_path / "out.json"), data, meta)
    assert read_coco(tmp_path / "out.json")[3].cells.boxes[-1].tolist() == [1, 1, 50, 60]


def test_what_was_mended_or_left_out_is_told(lld: Path) -> None:
    with pytest.warns(UserWarning, match="1 pictures are missing, for instance 10_2_10_400_AML.png") as told:
        (_, arguments, _), _ = read_labels(str(lld / ROOT / "H_40X_C2"))
    assert len(told) == 1
    assert "Skipped: H_40X_C2 train: 1 pictures are missing" in arguments["metadata"]["bloodfilm"]["report"]


def test_every_subset_of_the_root_is_a_stack(lld: Path) -> None:
    names = [arguments["name"] for _, arguments, _ in read_labels(str(lld)) if not arguments["name"].endswith("cells")]
    whole = ["H_100X_C1", "H_100X_C2", "H_40X_C2", "L_100X_C2", "L_40X_C1"]
    assert sorted(names) == [*whole, "Sparse-LeukemiaAttri", "Sparse-LeukemiaAttri labelled regions"]


def test_folders_of_pictures_are_left_to_other_readers(lld: Path) -> None:
    assert get_reader(str(lld / ROOT / "H_100X_C2" / "Images")) is None


def test_labels_alone_are_refused(lld: Path, tmp_path: Path) -> None:
    shutil.copy(lld / ROOT / "H_100X_C2" / "json_labels" / "test.json", tmp_path)
    with pytest.raises(LabelError, match=r"test.json: none of its 4 pictures"):
        read_labels(str(tmp_path / "test.json"))


def test_napari_offers_the_reader_for_folders(lld: Path) -> None:
    manager = PluginManager()
    manager.discover()
    commands = {reader.command for reader in manager.iter_compatible_readers([str(lld)])}
    assert "bloodfilm.read_labels" in commands
