from __future__ import annotations

import numpy as np
import pytest
import torch

from bloodfilm.detection.letterbox import letterbox


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
    image, factor, inner = letterbox(noise(height, width), side)
    assert tuple(image.shape) == (3, *shape)
    assert image.dtype == torch.uint8
    assert inner == size
    assert factor == pytest.approx(side / max(height, width))


def test_padding_is_grey_and_lies_right_and_below() -> None:
    image, _, (height, width) = letterbox(np.zeros((50, 40, 3), np.uint8), 50)
    assert (height, width) == (50, 40)
    assert (image[:, :50, :40] == 0).all()
    assert (image[:, 50:] == 114).all()
    assert (image[:, :, 40:] == 114).all()


def test_a_picture_of_the_right_size_keeps_its_pixels() -> None:
    picture = noise(64, 96)
    np.testing.assert_array_equal(letterbox(picture, 96)[0].permute(1, 2, 0).numpy(), picture)


@pytest.mark.parametrize("side", [48, 96, 192])
def test_places_scale_by_the_factor(side: int) -> None:
    picture = np.zeros((96, 72, 3), np.uint8)
    picture[32:64, 24:48] = 255
    image, factor, _ = letterbox(picture, side, pad_to=1)
    rows, columns = torch.nonzero(image[0] > 127, as_tuple=True)
    edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert [int(v) for v in edges] == [round(v * factor) for v in (24, 32, 48, 64)]


def test_a_picture_that_is_a_view_is_read_in_its_own_order() -> None:
    picture = noise(128, 128)[16:112:1, 8:104]
    np.testing.assert_array_equal(letterbox(picture, 96)[0].permute(1, 2, 0).numpy(), picture)
