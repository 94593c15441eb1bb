from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from bloodfilm.cells import Cells
from bloodfilm.errors import UserError
from bloodfilm.napari import pictures
from bloodfilm.napari.layers import to_rectangles

PICTURE = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)


@pytest.mark.parametrize("wrap", [np.asarray, da.from_array], ids=["numpy", "dask"])
def test_a_flat_picture_is_taken_whole(viewer_model: ViewerModel, wrap) -> None:
    part = pictures.whole(viewer_model.add_image(wrap(PICTURE), rgb=True), viewer_model)
    np.testing.assert_array_equal(part.load(), PICTURE)
    assert part.index == ()


def test_of_a_multiscale_layer_the_full_resolution_is_taken(viewer_model: ViewerModel) -> None:
    layer = viewer_model.add_image([PICTURE, PICTURE[::2, ::2]], rgb=True, multiscale=True)
    np.testing.assert_array_equal(pictures.whole(layer, viewer_model).load(), PICTURE)


def test_of_a_stack_the_shown_slice_is_taken(viewer_model: ViewerModel) -> None:
    stack = np.stack([PICTURE, PICTURE[::-1], PICTURE[:, ::-1]])
    layer = viewer_model.add_image(stack, rgb=True, scale=(2, 1, 1))
    viewer_model.dims.set_current_step(0, 2)
    part = pictures.whole(layer, viewer_model)
    np.testing.assert_array_equal(part.load(), stack[2])
    assert part.index == (2,)


def test_a_flat_layer_beside_a_stack_is_taken_whole(viewer_model: ViewerModel) -> None:
    layer = viewer_model.add_image(PICTURE, rgb=True)
    viewer_model.add_image(np.stack([PICTURE] * 3), rgb=True)
    assert pictures.whole(layer, viewer_model).index == ()


def test_a_drawn_rectangle_is_cut_out_whatever_the_scale(viewer_model: ViewerModel) -> None:
    layer = viewer_model.add_image(PICTURE, rgb=True, scale=(0.5, 0.5), translate=(10, 20))
    region = viewer_model.add_shapes([[[15, 30], [15, 45], [30, 45], [30, 30]]], shape_type="rectangle")
    (part,) = pictures.drawn(layer, viewer_model, region)
    assert (part.x, part.y) == (20, 10)
    np.testing.assert_array_equal(part.load(), PICTURE[10:40, 20:50])


def test_every_rectangle_on_the_shown_slice_is_cut_out(viewer_model: ViewerModel) -> None:
    layer = viewer_model.add_image(np.stack([PICTURE] * 3), rgb=True, scale=(2, 1, 1))
    viewer_model.dims.set_current_step(0, 1)
    places = [(1, 10), (0, 20), (1, 30)]
    corners = np.array([[0, 0], [0, 5], [5, 5], [5, 0]])
    shapes = [np.hstack([np.full((4, 1), depth), corners + at]) for depth, at in places]
    region = viewer_model.add_shapes(shapes, scale=(2, 1, 1))
    parts = pictures.drawn(layer, viewer_model, region)
    assert [(part.index, part.x, part.y) for part in parts] == [((1,), 10, 10), ((1,), 30, 30)]
    flat = viewer_model.add_shapes([corners + at for _, at in places])
    assert [part.index for part in pictures.drawn(layer, viewer_model, flat)] == [(1,)] * 3


def test_too_many_pixels_are_refused_before_they_are_read() -> None:
    part = pictures.Part(da.zeros((20_000, 20_000, 3), np.uint8), 0, 0, ())
    with pytest.raises(UserError, match="20000 x 20000 px .* current view"):
        part.load()


def test_rectangles_that_overlap_are_searched_as_one(viewer_model: ViewerModel) -> None:
    layer = viewer_model.add_image(PICTURE, rgb=True)
    boxes = [[0, 0, 20, 20], [50, 0, 60, 10], [40, 15, 45, 40], [15, 15, 41, 30]]
    parts = pictures.drawn(layer, viewer_model, viewer_model.add_shapes(to_rectangles(boxes)))
    assert [(part.x, part.y, part.load().shape) for part in parts] == [(50, 0, (10, 10, 3)), (0, 0, (40, 45, 3))]


def test_cells_between_the_drawn_rectangles_are_left_out(viewer_model: ViewerModel) -> None:
    layer = viewer_model.add_image(PICTURE, rgb=True)
    region = viewer_model.add_shapes(to_rectangles([[10, 10, 30, 30], [20, 20, 60, 60]]))
    (part,) = pictures.drawn(layer, viewer_model, region)
    found = Cells([[5, 5, 15, 15], [30, 0, 40, 10], [14, 14, 24, 24]])
    assert part.place(found).boxes.tolist() == [[15, 15, 25, 25], [24, 24, 34, 34]]


def test_a_rectangle_outside_the_picture_is_refused(viewer_model: ViewerModel) -> None:
    layer = viewer_model.add_image(PICTURE, rgb=True)
    region = viewer_model.add_shapes([[[500, 500], [500, 600], [600, 600], [600, 500]]], shape_type="rectangle")
    with pytest.raises(UserError, match="outside"):
        pictures.drawn(layer, viewer_model, region)


def test_an_empty_region_layer_is_refused(viewer_model: ViewerModel) -> None:
    layer = viewer_model.add_image(PICTURE, rgb=True)
    with pytest.raises(UserError, match="Draw a rectangle"):
        pictures.drawn(layer, viewer_model, viewer_model.add_shapes())


@pytest.mark.parametrize("number", [-1, 3])
def test_a_cell_beyond_the_pictures_of_a_stack_is_refused(number: int) -> None:
    layer = Image(np.stack([PICTURE] * 3), rgb=True, name="stack")
    with pytest.raises(UserError, match="stack has no picture where the cell lies"):
        pictures.around(layer, to_rectangles([[10, 10, 30, 30]], (number,)))
    assert pictures.around(layer, to_rectangles([[10, 10, 30, 30]], (2,))).index == (2,)


def test_the_current_view_is_cut_out(viewer_model: ViewerModel) -> None:
    layer = viewer_model.add_image(PICTURE, rgb=True)
    layer.corner_pixels = np.array([[8, 16], [39, 63]])
    part = pictures.current_view(layer, viewer_model)
    assert (part.x, part.y) == (16, 8)
    np.testing.assert_array_equal(part.load(), PICTURE[8:40, 16:64])


def test_a_stack_seen_from_the_side_is_refused(viewer_model: ViewerModel) -> None:
    layer = viewer_model.add_image(np.stack([PICTURE] * 3), rgb=True)
    viewer_model.dims.order = (1, 0, 2)
    with pytest.raises(UserError, match="last two axes"):
        pictures.whole(layer, viewer_model)


def test_a_scale_in_micrometres_is_a_pixel_size(viewer_model: ViewerModel) -> None:
    layer = viewer_model.add_image(PICTURE, rgb=True, scale=(250, 250), units=("nm", "nm"))
    assert pictures.pixel_size(layer) == pytest.approx(0.25)
    assert pictures.pixel_size(viewer_model.add_image(PICTURE, rgb=True, scale=(0.5, 0.5))) is None
