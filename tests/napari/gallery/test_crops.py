"""Crops show the pixels of the picture that are there, whatever the picture is."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image, Layer, Shapes
from qtpy.QtGui import QImage

from bloodfilm.cells import Field
from bloodfilm.io.table import write_csv
from bloodfilm.napari.gallery.crops import GREY, Crops, Cutter, Place, picture_below
from bloodfilm.napari.gallery.layer_cells import LayerCells
from bloodfilm.napari.layers import METADATA_KEY, PICTURE_ID, picture_id
from bloodfilm.napari.reader import read_labels

SIZE = 32
PLACE = Place(60.0, 50.0, SIZE)
PART = (slice(34, 66), slice(44, 76))


def test_colours_are_those_of_the_picture(picture: np.ndarray) -> None:
    np.testing.assert_array_equal(Cutter(Image(picture, rgb=True)).cut(PLACE, SIZE), picture[PART])


@pytest.mark.parametrize("convert", [lambda p: p.astype(np.uint16) * 257, lambda p: p.astype(np.float32) / 255])
def test_colours_of_other_kinds_of_numbers_come_out_the_same(picture: np.ndarray, convert) -> None:
    np.testing.assert_array_equal(Cutter(Image(convert(picture), rgb=True)).cut(PLACE, SIZE), picture[PART])


def test_transparency_is_left_out(picture: np.ndarray) -> None:
    rgba = np.dstack([picture, np.full(picture.shape[:2], 9, np.uint8)])
    np.testing.assert_array_equal(Cutter(Image(rgba, rgb=True)).cut(PLACE, SIZE), picture[PART])


def test_grey_looks_as_in_the_layer(picture: np.ndarray) -> None:
    layer = Image(picture[..., 0], contrast_limits=(50, 150), colormap="green", gamma=0.5)
    crop = Cutter(layer).cut(PLACE, SIZE)
    expected = np.sqrt(np.clip((picture[PART][..., 0] - 50.0) / 100, 0, 1)) * 255
    np.testing.assert_allclose(crop[..., 1], expected, atol=2)
    assert not crop[..., [0, 2]].any()


def test_beyond_the_edge_all_is_grey(picture: np.ndarray) -> None:
    crop = Cutter(Image(picture, rgb=True)).cut(Place(0.0, 0.0, SIZE), SIZE)
    np.testing.assert_array_equal(crop[16:, 16:], picture[:16, :16])
    assert (crop[:16] == GREY).all() and (crop[:, :16] == GREY).all()


def test_a_place_far_outside_is_grey(picture: np.ndarray) -> None:
    assert (Cutter(Image(picture, rgb=True)).cut(Place(-500.0, 900.0, SIZE), SIZE) == GREY).all()


def test_the_picture_of_a_stack_is_the_one_that_the_index_names(picture: np.ndarray) -> None:
    stack = np.stack([picture, picture[::-1], picture[:, ::-1]])
    for data in (stack, da.from_array(stack, chunks=(1, 160, 200, 3))):
        cutter = Cutter(Image(data, rgb=True))
        for index in (0, 1, 2):
            np.testing.assert_array_equal(cutter.cut(PLACE._replace(index=(index,)), SIZE), stack[index][PART])


def test_of_a_pyramid_the_level_that_is_sharp_enough_is_read(picture: np.ndarray) -> None:
    levels = [picture, np.zeros((80, 100, 3), np.uint8)]
    cutter = Cutter(Image(levels, rgb=True, multiscale=True))
    np.testing.assert_array_equal(cutter.cut(PLACE, SIZE), picture[PART])
    assert not cutter.cut(PLACE, SIZE // 2).any(), "half as large comes from the level of half the size"


def test_a_large_picture_is_read_only_where_the_cell_is() -> None:
    read = []

    def block(block_info):
        read.append(block_info[None]["chunk-location"])
        return np.zeros((256, 256), np.uint8)

    data = da.map_blocks(block, chunks=((256,) * 8, (256,) * 8), dtype=np.uint8)
    layer = Image(data, contrast_limits=(0, 1))
    read.clear()
    Cutter(layer).cut(Place(300.0, 600.0, 40), SIZE)
    assert read == [(2, 1)]


def test_pixels_on_disk_come_later_and_are_kept(picture: np.ndarray, qtbot) -> None:
    crops = Crops(Image(da.from_array(picture, chunks=(64, 64, 3)), rgb=True))
    with qtbot.waitSignal(crops.arrived):
        assert crops.get(PLACE, SIZE) is None
    shown = crops.get(PLACE, SIZE).convertToFormat(QImage.Format.Format_RGB888)
    assert shown.pixelColor(3, 5).getRgb()[:3] == tuple(picture[PART][5, 3])
    crops.close()


def test_a_picture_that_cannot_be_read_leaves_grey(qtbot) -> None:
    gone = []

    def read(block_info=None):
        if gone:
            raise OSError("The disk is gone.")
        return np.zeros((64, 64), np.uint8)

    data = da.map_blocks(read, chunks=((64,), (64,)), dtype=np.uint8, meta=np.empty((0, 0), np.uint8))
    crops = Crops(Image(data, contrast_limits=(0, 255), cache=False))
    gone.append(True)
    with qtbot.waitSignal(crops.arrived):
        crops.get(PLACE, SIZE)
    assert crops.get(PLACE, SIZE).pixelColor(1, 1).red() == GREY
    crops.close()


@pytest.mark.parametrize("scale", [(1, 1), (0.5, 0.25)])
def test_cells_are_found_on_a_picture_of_another_scale(cells, picture: np.ndarray, scale) -> None:
    from bloodfilm.napari.layers import cells_layer

    arguments = cells_layer(cells, "cells")
    layer = Shapes(arguments.pop("data"), **arguments, scale=(1, 1), translate=(5, 7))
    image = Image(picture, rgb=True, scale=scale, translate=(5, 7))
    place = LayerCells(layer).places(image, (0.0, 0.0))[0]
    assert (place.x, place.y) == pytest.approx((35 / scale[1], 50 / scale[0]))
    assert place.index == ()


def test_cells_lie_on_the_picture_that_they_were_made_for_else_on_that_of_their_name_else_below_them() -> None:
    one, two = Image(np.zeros((8, 8)), name="one"), Image(np.zeros((8, 8)), name="two")
    made = Shapes(ndim=2, name="two cells", metadata={METADATA_KEY: {PICTURE_ID: picture_id(one)}})
    named, other = Shapes(ndim=2, name="one cells"), Shapes(ndim=2, name="cells")
    layers = [one, two, made, named, other]
    assert [picture_below(cells, layers) for cells in (made, named, other)] == [one, one, two]


def test_cells_whose_picture_is_gone_lie_on_no_other_but_one_of_its_name() -> None:
    one, two = Image(np.zeros((8, 8)), name="one"), Image(np.zeros((8, 8)), name="two")
    cells = Shapes(ndim=2, name="one cells", metadata={METADATA_KEY: {PICTURE_ID: picture_id(one)}})
    again = Image(np.zeros((8, 8)), name="one")
    assert picture_below(cells, [two, cells]) is None
    assert picture_below(cells, [again, two, cells]) is again


@pytest.mark.filterwarnings("ignore:.*not beside it")
def test_labels_read_without_their_pictures_lie_on_a_picture_that_is_opened_later(cells, tmp_path) -> None:
    write_csv(tmp_path / "labels.csv", [Field(tmp_path / "gone.png", cells, 200, 160, name="gone.png")])
    (read,) = read_labels(str(tmp_path / "labels.csv"))
    layer, image = Layer.create(*read), Image(np.zeros((160, 200)), name="moved")
    assert picture_below(layer, [layer, image]) is image
