from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from bloodfilm.errors import PictureError
from bloodfilm.io.images import as_rgb, find_images, read_image

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
GREY = RGB[..., 0]


def flat(value: Any, dtype: Any = np.float64) -> np.ndarray:
    """Return a grey picture of one value."""
    return np.full((20, 30), value, dtype)


def with_one(value: float, y: int = 12, x: int = 7) -> np.ndarray:
    """Return a picture of floats with one odd value."""
    picture = np.full((20, 30, 3), 0.5)
    picture[y, x, 1] = value
    return picture


@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        (RGB, RGB),
        (GREY, np.stack([GREY] * 3, -1)),
        (GREY[..., None], np.stack([GREY] * 3, -1)),
        (np.moveaxis(RGB, 2, 0), RGB),
        (GREY[None], np.stack([GREY] * 3, -1)),
        (np.dstack([RGB, flat(255, np.uint8)]), RGB),
        (np.moveaxis(np.dstack([RGB, flat(255, np.uint8)]), 2, 0), RGB),
        (RGB.tolist(), RGB),
        (RGB[::-1, ::-1], RGB[::-1, ::-1]),
    ],
    ids=["RGB", "grey", "one channel", "CYX", "grey CYX", "RGBA", "RGBA first", "list", "view"],
)
def test_every_layout_becomes_rgb(array: Any, wanted: np.ndarray) -> None:
    picture = as_rgb(array)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, wanted)


@pytest.mark.parametrize(("opacity", "wanted"), [(0, 255), (128, 132), (255, 10)])
def test_transparency_is_laid_over_white(opacity: int, wanted: int) -> None:
    rgba = np.full((20, 30, 4), 10, np.uint8)
    rgba[..., 3] = opacity
    assert np.unique(as_rgb(rgba)).tolist() == [wanted]


@pytest.mark.parametrize(
    ("dtype", "value", "opaque", "wanted"),
    [
        (np.float32, 100, 1, 100),
        (np.float32, 0.2, 255, 51),
        (np.uint16, 3000, 65535, 187),
        (np.uint16, 100, 255, 100),
        (np.int64, 100, 255, 100),
    ],
)
def test_opacity_does_not_change_the_scale_of_colours(dtype: Any, value: float, opaque: int, wanted: int) -> None:
    rgba = np.full((20, 30, 4), value, dtype)
    rgba[..., 3] = opaque
    rgba[10:, :, 3] = 0
    picture = as_rgb(rgba)
    assert (np.unique(picture[:10]).tolist(), np.unique(picture[10:]).tolist()) == ([wanted], [255])


@pytest.mark.parametrize(
    ("top", "value", "wanted"),
    [
        (255, 100, 100),
        (256, 256, 64),
        (1023, 1023, 255),
        (1024, 1024, 64),
        (4095, 2048, 128),
        (4096, 4096, 64),
        (16384, 16384, 64),
        (65535, 13107, 51),
        (0, 0, 0),
    ],
)
def test_16_bits_are_scaled_from_the_camera_depth_that_holds_the_maximum(top: int, value: int, wanted: int) -> None:
    picture = flat(value, np.uint16)
    picture[0, 0] = top
    assert as_rgb(picture)[5, 5, 0] == wanted


@pytest.mark.parametrize(
    ("top", "value", "wanted"),
    [(1.0, 0.2, 51), (0.4, 0.2, 51), (200.0, 51.0, 51), (255.0, 51.0, 51), (510.0, 102.0, 51)],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_are_read_by_their_range(dtype: Any, top: float, value: float, wanted: int) -> None:
    picture = flat(value, dtype)
    picture[0, 0] = top
    assert as_rgb(picture)[5, 5, 0] == wanted


def test_integers_beyond_16_bits_are_scaled_to_their_maximum() -> None:
    picture = flat(20_000, np.int64)
    picture[0, 0] = 100_000
    assert as_rgb(picture)[[0, 5], [0, 5], 0].tolist() == [255, 51]


def test_one_bit_is_black_and_white() -> None:
    assert as_rgb(GREY > 127)[..., 1].tolist() == np.where(GREY > 127, 255, 0).tolist()


@pytest.mark.parametrize("array", [RGB, GREY, np.dstack([RGB, GREY])], ids=["RGB", "grey", "RGBA"])
def test_writing_to_the_result_leaves_the_original(array: np.ndarray) -> None:
    before = array.copy()
    picture = as_rgb(array)
    assert picture.flags.c_contiguous
    picture[:] = 7
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (with_one(np.nan), "row 12, column 7"),
        (with_one(np.inf), "row 12, column 7"),
        (np.dstack([np.full((20, 30, 3), 0.5), with_one(np.nan)[..., 1]]), "row 12, column 7"),
        (with_one(-0.1), "negative"),
        (flat(-5, np.int16), "negative"),
        (flat(1j, complex), "complex"),
        (flat(None, object), "object"),
        (np.empty((0, 30, 3)), "empty"),
        (np.zeros((7, 30, 3)), "30 x 7 px is too small"),
        (np.zeros((30, 7)), "7 x 30 px is too small"),
        (np.zeros((2, 20, 30, 3)), "one picture at a time"),
        (np.zeros((5, 20, 30)), "one picture at a time"),
        (np.zeros((20, 30, 2)), "one picture at a time"),
        (np.zeros(400), "neither grey"),
        (np.float64(1), "neither grey"),
        (flat("a", str), "no picture"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_reason(array: Any, reason: str) -> None:
    with pytest.raises(PictureError, match=f"^this.png: .*{reason}") as caught:
        as_rgb(array, "this.png")
    assert caught.value.name == "this.png"


def test_the_number_of_bad_pixels_is_told() -> None:
    picture = with_one(np.nan)
    picture[15, 3] = np.nan
    with pytest.raises(PictureError, match="2 pixels are NaN or infinite, the first at row 12, column 7"):
        as_rgb(picture)


def save_16_bit_png(path: Path) -> np.ndarray:
    Image.fromarray(np.full((20, 30), 13107, np.uint16) + np.eye(20, 30, dtype=np.uint16) * 52428).save(path)
    return np.where(np.eye(20, 30, dtype=bool), 255, 51)[..., None].repeat(3, 2)


def save_palette(path: Path) -> np.ndarray:
    image = Image.fromarray(RGB).quantize(16)
    image.save(path)
    return np.asarray(image.convert("RGB"))


def save_transparent_palette(path: Path) -> np.ndarray:
    image = Image.fromarray(GREY % 2).convert("P")
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.save(path, transparency=0)
    return np.where((GREY % 2)[..., None], [200, 100, 50], 255)


def save_with_opacity(path: Path) -> np.ndarray:
    Image.fromarray(np.dstack([GREY, flat(0, np.uint8)]), "LA").save(path)
    return np.full((20, 30, 3), 255)


def save_rgba(path: Path) -> np.ndarray:
    Image.fromarray(np.dstack([RGB, flat(255, np.uint8)])).save(path)
    return RGB


def save_one_bit(path: Path) -> np.ndarray:
    Image.fromarray(GREY > 127).save(path)
    return np.where(GREY > 127, 255, 0)[..., None].repeat(3, 2)


def save_rgb(path: Path) -> np.ndarray:
    Image.fromarray(RGB).save(path)
    return RGB


def save_cmyk(path: Path) -> np.ndarray:
    image = Image.fromarray(RGB).convert("CMYK")
    image.save(path)
    with Image.open(path) as file:
        return np.asarray(file.convert("RGB"))


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("a.png", save_rgb),
        ("A.PNG", save_rgb),
        ("a.bmp", save_rgb),
        ("16.png", save_16_bit_png),
        ("palette.png", save_palette),
        ("transparent.png", save_transparent_palette),
        ("grey with opacity.png", save_with_opacity),
        ("rgba.png", save_rgba),
        ("1.png", save_one_bit),
        ("cmyk.jpg", save_cmyk),
    ],
)
def test_every_kind_of_file_becomes_rgb(tmp_path: Path, name: str, save: Callable[[Path], np.ndarray]) -> None:
    wanted = save(tmp_path / name)
    np.testing.assert_array_equal(read_image(tmp_path / name), wanted)


@pytest.mark.parametrize("channels", [1, 2, 3, 4], ids=["grey", "grey with opacity", "RGB", "RGBA"])
def test_16_bits_of_a_png_are_all_read(tmp_path: Path, channels: int) -> None:
    picture = np.full((20, 30, channels), 3000, np.uint16)
    if channels in (2, 4):
        picture[..., -1] = 65535
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(picture))
    assert np.unique(read_image(tmp_path / "a.png")).tolist() == [187]


def test_half_a_16_bit_png_is_refused_by_its_name(tmp_path: Path) -> None:
    whole = imagecodecs.png_encode(RGB.astype(np.uint16) * 257)
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PictureError, match="a.png: it cannot be read as a picture"):
        read_image(tmp_path / "a.png")


def test_a_jpeg_is_close_to_its_picture(tmp_path: Path) -> None:
    smooth = np.linspace(0, 255, 64 * 64, dtype=np.uint8).reshape(64, 64)[..., None].repeat(3, 2)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - smooth).max() <= 4


@pytest.mark.parametrize("name", ["turned.jpg", "turned.png", "turned.tif"])
def test_the_orientation_of_a_camera_is_not_applied(tmp_path: Path, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / name, exif=exif)
    assert read_image(tmp_path / name).shape == (20, 30, 3)


def save_tiff(path: Path, kind: str) -> np.ndarray:
    """Write a TIFF of some kind and return the picture that it shows."""
    if kind in ("palette", "cmyk"):
        return (save_palette if kind == "palette" else save_cmyk)(path)
    if kind in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg"):
        Image.fromarray(RGB).save(path, compression=kind)
        with Image.open(path) as file:
            return np.asarray(file)
    first = np.moveaxis(RGB, 2, 0).copy()
    options: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
        "RGB": (RGB, {"photometric": "rgb"}),
        "tiled": (RGB, {"photometric": "rgb", "tile": (16, 16)}),
        "planes": (first, {"photometric": "rgb", "planarconfig": "separate"}),
        "16 bit": (RGB.astype(np.uint16) * 257, {"photometric": "rgb"}),
        "grey": (GREY, {"photometric": "minisblack"}),
        "white is zero": (255 - GREY, {"photometric": "miniswhite"}),
        "one of each": (RGB[None, None], {"photometric": "rgb"}),
        "CYX": (first, {"photometric": "minisblack", "metadata": {"axes": "CYX"}, "ome": True}),
        "TCZYX": (first[None, :, None], {"photometric": "minisblack", "metadata": {"axes": "TCZYX"}, "ome": True}),
        "YXS": (RGB, {"photometric": "rgb", "metadata": {"axes": "YXS"}, "ome": True}),
    }
    array, written = options[kind]
    tifffile.imwrite(path, array, **written)
    return RGB if RGB.size == array.size else np.stack([GREY] * 3, -1)


KINDS = (
    *("RGB", "tiled", "planes", "16 bit", "grey", "one of each", "CYX", "TCZYX", "YXS", "white is zero"),
    *("palette", "cmyk", "tiff_lzw", "tiff_deflate", "packbits", "jpeg"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_tiff_becomes_rgb(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.ome.tif"
    wanted = save_tiff(path, kind)
    np.testing.assert_array_equal(read_image(path), wanted)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.jpg", {}),
        ("a.bmp", {}),
        ("a.tif", {}),
        ("a.tif", {"compression": "tiff_deflate"}),
    ],
)
def test_half_a_file_is_refused_by_its_name(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / name, **options)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PictureError, match="cannot be read as a picture") as caught:
        read_image(tmp_path / name)
    assert caught.value.name == str(tmp_path / name)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "the file is empty"), (b"not a picture", "cannot be read"), (None, "no such file")]
)
def test_a_file_without_a_picture_is_refused_with_the_reason(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(PictureError, match=reason):
        read_image(tmp_path / name)


def test_nan_in_a_file_is_refused_by_file_row_and_column(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", with_one(np.nan).astype(np.float32), photometric="rgb")
    with pytest.raises(PictureError, match="row 12, column 7") as caught:
        read_image(str(tmp_path / "a.tif"))
    assert caught.value.name.endswith("a.tif")


def test_a_folder_gives_its_pictures_in_order_of_their_names(
    write_picture: Callable[[str], Path], tmp_path: Path
) -> None:
    names = ["b/1.png", "a.JPG", "b/0.tiff", "c.bmp"]
    for name in [*names, "._a.png", "b/.hidden.png"]:
        write_picture(name)
    (tmp_path / "labels.json").touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.relative_to(tmp_path).as_posix() for path in find_images([tmp_path])] == sorted(names)


def test_a_picture_with_a_stray_back_tick_at_its_end_is_one(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "12_1_1000_AML.png")
    path = (tmp_path / "12_1_1000_AML.png").rename(tmp_path / "12_1_1000_AML.png`")
    assert find_images([tmp_path]) == [path]
    np.testing.assert_array_equal(read_image(path), RGB)


def test_a_picture_given_twice_is_found_once(write_picture: Callable[[str], Path], tmp_path: Path) -> None:
    path = write_picture("a.png")
    assert find_images([str(path), tmp_path, path]) == [path]


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"nowhere: no such file or folder"):
        find_images([tmp_path, tmp_path / "nowhere"])
