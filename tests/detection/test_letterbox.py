from __future__ import annotations

import numpy as np
import pytest
import torch

from bloodfilm.detection.letterbox import fit, resize


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "side", "shape", "size"),
    [
        (96, 96, 96, (96, 96), (96, 96)),
        (160, 200, 96, (96, 96), (77, 96)),
        (200, 160, 96, (96, 96), (96, 77)),
        (48, 96, 96, (64, 96), (48, 96)),
        (20, 30, 64, (64, 64), (43, 64)),
        (10, 1000, 64, (32, 64), (1, 64)),
        (8, 4000, 64, (32, 64), (1, 64)),
    ],
)
def test_the_longer_side_is_brought_to_size_and_both_padded(
    height: int, width: int, side: int, shape: tuple[int, int], size: tuple[int, int]
) -> None:
    picture = noise(height, width)
    assert fit(picture.shape, side) == size
    image = resize(picture, size)
    assert tuple(image.shape) == (3, *shape)
    assert image.dtype == torch.uint8


def test_padding_is_grey_and_lies_right_and_below() -> None:
    image = resize(np.zeros((50, 40, 3), np.uint8), (50, 40))
    assert (image[:, :50, :40] == 0).all()
    assert (image[:, 50:] == 114).all()
    assert (image[:, :, 40:] == 114).all()


def test_a_picture_of_the_right_size_keeps_its_pixels() -> None:
    picture = noise(64, 96)
    np.testing.assert_array_equal(resize(picture, (64, 96)).permute(1, 2, 0).numpy(), picture)


@pytest.mark.parametrize("size", [(48, 36), (96, 72), (192, 144), (96, 144)])
def test_places_scale_with_the_size(size: tuple[int, int]) -> None:
    picture = np.zeros((96, 72, 3), np.uint8)
    picture[32:64, 24:48] = 255
    image = resize(picture, size, pad_to=1)
    rows, columns = torch.nonzero(image[0] > 127, as_tuple=True)
    edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert [int(v) for v in edges] == [size[1] // 3, size[0] // 3, 2 * size[1] // 3, 2 * size[0] // 3]


def test_a_picture_that_is_a_view_is_read_in_its_own_order() -> None:
    picture = noise(128, 128)[16:112:1, 8:104]
    np.testing.assert_array_equal(resize(picture, (96, 96)).permute(1, 2, 0).numpy(), picture)
