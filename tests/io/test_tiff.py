"""TIFF files that are refused, and what their samples and pages are taken for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from bloodfilm.errors import PictureError
from bloodfilm.io.images import read_image
from bloodfilm.io.lld.pictures import picture_size

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
GREY = RGB[..., 0]


@pytest.mark.parametrize("dtype", [bool, np.float32])
def test_white_is_zero_in_pictures_that_hold_no_integers(tmp_path: Path, dtype: Any) -> None:
    light = GREY > 127
    tifffile.imwrite(tmp_path / "a.tif", (~light).astype(dtype), photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], np.where(light, 255, 0))


@pytest.mark.parametrize(
    ("pages", "axes"), [(5, "ZYX"), (5, None), (3, "ZYX"), (3, "TYX"), (3, None), (4, None), (2, "ZYX")]
)
def test_a_stack_of_pages_is_refused(tmp_path: Path, pages: int, axes: str | None) -> None:
    stack = np.repeat(GREY[None], pages, 0)
    options = {"metadata": {"axes": axes}, "ome": True} if axes else {}
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", **options)
    with pytest.raises(PictureError, match="one picture at a time"):
        read_image(tmp_path / "a.tif")


def test_a_stack_of_colour_pages_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([RGB, RGB]), photometric="rgb")
    with pytest.raises(PictureError, match="it is a stack"):
        read_image(tmp_path / "a.tif")


def test_a_stack_of_palette_pages_is_refused(tmp_path: Path) -> None:
    page = Image.fromarray(RGB).quantize(16)
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page, page])
    with pytest.raises(PictureError, match="one picture at a time"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("samples", "kind"),
    [
        ((200, 120, 180, 0), "unspecified"),
        ((100, 60, 90, 127), "assocalpha"),
        ((255, 60, 90, 127), "assocalpha"),
        ((145, 0, 105, 127), "unassalpha"),
    ],
)
def test_a_fourth_sample_is_what_the_file_says(tmp_path: Path, samples: tuple[int, ...], kind: str) -> None:
    wanted = {"unspecified": [200, 120, 180], "assocalpha": [228, 188, 218], "unassalpha": [200, 128, 180]}
    picture = np.full((20, 30, 4), samples, np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="rgb", extrasamples=[kind])
    red = 255 if samples[0] == 255 else wanted[kind][0]
    assert np.abs(read_image(tmp_path / "a.tif")[0, 0].astype(int) - [red, *wanted[kind][1:]]).max() <= 1


@pytest.mark.parametrize("photometric", ["ycbcr", "cielab"])
def test_other_colour_spaces_become_rgb(tmp_path: Path, photometric: str) -> None:
    colours = {"ycbcr": (150, 145, 164), "cielab": (155, 38, 238)}
    picture = np.full((20, 30, 3), colours[photometric], np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric=photometric)
    assert np.abs(read_image(tmp_path / "a.tif")[0, 0].astype(int) - (200, 120, 180)).max() <= 3


def test_of_pictures_of_several_sizes_one_must_be_given(tmp_path: Path) -> None:
    for name, reduced in (("slide.tif", 1), ("two.tif", 0)):
        with tifffile.TiffWriter(tmp_path / name) as file:
            file.write(RGB[:8, :8].copy(), photometric="rgb", subfiletype=reduced)
            file.write(RGB, photometric="rgb")
    np.testing.assert_array_equal(read_image(tmp_path / "slide.tif"), RGB)
    assert picture_size(tmp_path / "slide.tif") == (30, 20)
    with pytest.raises(PictureError, match=r"two.tif: it holds several pictures \(8 x 8, 30 x 20 px\)"):
        read_image(tmp_path / "two.tif")
