"""Pictures from files and arrays, as RGB of 8 bits.

What becomes of each kind of picture:

===================  ==========================================================================
grey                 repeated to three channels
RGBA                 laid over white; colours and opacity are scaled apart
a fourth channel     left out, where a TIFF does not say that it is opacity
channel first        moved last, where the last axis cannot be the colour and the first can
1 bit                0 and 255
16 bit               scaled from the smallest of 8, 10, 12, 14 and 16 bits that holds its maximum
float                0 to 1 as it is, up to 255 as 8 bit, above that scaled to its maximum
palette, CMYK, Lab   converted to RGB
NaN, infinite,       refused, with the file and the reason
negative, complex,
empty, below 8 px,
stacks, several
pictures in a TIFF
===================  ==========================================================================
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC

from bloodfilm.errors import PictureError
from bloodfilm.io.lld.names import is_hidden, tidy

RGB = npt.NDArray[np.uint8]

MIN_SIDE = 8
MICROSCOPE = (0.01, 2.0)
"""Limits of the micrometres per pixel of a blood film's picture; anything else is a printer's resolution."""

MICROMETRES = {"nm": 1e-3, "µm": 1.0, "um": 1.0, "mm": 1e3, "micron": 1.0, "microns": 1.0, "cm": 1e4}
JPEG = (COMPRESSION.JPEG, COMPRESSION.OJPEG, COMPRESSION.JPEG_2000_LOSSY, COMPRESSION.APERIO_JP2000_YCBC)
"""Compressions that give RGB whatever they hold."""

TIFF_SUFFIXES = (".tif", ".tiff")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", *TIFF_SUFFIXES)


def as_rgb(array: npt.ArrayLike, name: str = "picture") -> RGB:
    """Return `array` as (H, W, 3) uint8, by the rules at the top of this module.

    Raises
    ------
    PictureError
        If it is none of these pictures.
    """
    picture = np.asarray(array)
    if picture.dtype.kind not in "buif":
        raise PictureError(name, f"values of the kind {picture.dtype} are no picture.")
    if picture.size == 0:
        raise PictureError(name, f"it is empty, its shape is {picture.shape}.")
    picture = _channels_last(picture, name)
    if min(picture.shape[:2]) < MIN_SIDE:
        raise PictureError(
            name, f"{picture.shape[1]} x {picture.shape[0]} px is too small; {MIN_SIDE} px a side are needed."
        )
    colours = _to_8_bits(picture[..., :3], name)
    if picture.shape[2] == 4:
        opacity = _to_8_bits(picture[..., 3:], name).astype(np.float32) / 255
        colours = np.rint(colours * opacity + 255 * (1 - opacity)).astype(np.uint8)
    return np.require(np.broadcast_to(colours, (*colours.shape[:2], 3)), requirements=["C", "W"])


def _channels_last(picture: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Return (H, W, C) with 1, 3 or 4 channels."""
    if picture.ndim == 2:
        return picture[..., None]
    if picture.ndim == 3 and picture.shape[2] in (1, 3, 4):
        return picture
    if picture.ndim == 3 and picture.shape[0] in (1, 3, 4):
        return np.moveaxis(picture, 0, 2)
    raise PictureError(
        name, f"the shape {picture.shape} is neither grey, RGB nor RGBA; of a stack, give one picture at a time."
    )


def _to_8_bits(picture: npt.NDArray[Any], name: str) -> RGB:
    if picture.dtype == np.uint8:
        return picture
    if picture.dtype == bool:
        return picture.astype(np.uint8) * np.uint8(255)
    if not np.isfinite(picture).all():
        y, x, _ = np.argwhere(~np.isfinite(picture))[0]
        bad = int((~np.isfinite(picture)).any(2).sum())
        raise PictureError(
            name, f"{bad} pixels are NaN or infinite, the first at row {y}, column {x}; fill them first."
        )
    if picture.min() < 0:
        raise PictureError(name, f"it has negative values (down to {picture.min()}); shift them to 0 and above.")
    top = float(picture.max())
    if np.issubdtype(picture.dtype, np.integer):
        top = next((2.0**bits - 1 for bits in (8, 10, 12, 14, 16) if top < 2**bits), top)
    else:
        top = 1.0 if top <= 1 else max(top, 255.0)
    return np.rint(picture.astype(np.float64) * (255 / top)).astype(np.uint8)


def read_image(path: str | Path) -> RGB:
    """Read a PNG, JPEG, BMP, TIFF or OME-TIFF file as (H, W, 3) uint8.

    Pixels keep their order on disk, as in napari: an EXIF orientation is not applied.

    Raises
    ------
    PictureError
        If the file is missing, broken or no such picture.
    """
    path = Path(path)
    if not path.is_file():
        raise PictureError(str(path), "no such file.")
    if path.stat().st_size == 0:
        raise PictureError(str(path), "the file is empty.")
    try:
        array = _read_tiff(path) if path.suffix.lower() in TIFF_SUFFIXES else _read_pillow(path)
    except PictureError:
        raise
    except Exception as error:  # noqa: BLE001  decoders raise anything on a broken file
        raise PictureError(str(path), f"it cannot be read as a picture ({error}).") from error
    return as_rgb(array, str(path))


def read_pixel_size(path: str | Path) -> float | None:
    """Return the micrometres per pixel that an OME-TIFF or TIFF file tells; None if they are none of a microscope."""
    path = Path(path)
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return None
    try:
        with tifffile.TiffFile(path) as file:
            if file.is_ome:
                x, y = _ome_pixel_size(file)
            else:
                x, y = _imagej_pixel_size(file) if file.is_imagej else _tiff_pixel_size(file)
    except Exception:  # noqa: BLE001  descriptions that other programs write hold anything
        return None
    size = math.sqrt(x * y)
    return size if MICROSCOPE[0] <= size <= MICROSCOPE[1] else None


def _ome_pixel_size(file: tifffile.TiffFile) -> tuple[float, float]:
    content = tifffile.xml2dict(file.ome_metadata or "")["OME"]["Image"]
    pixels = (content[0] if isinstance(content, list) else content)["Pixels"]
    x, y = (
        float(pixels[f"PhysicalSize{axis}"]) * MICROMETRES[pixels.get(f"PhysicalSize{axis}Unit", "µm")] for axis in "XY"
    )
    return x, y


def _imagej_pixel_size(file: tifffile.TiffFile) -> tuple[float, float]:
    unit = (file.imagej_metadata or {}).get("unit")
    if unit is None:
        return _tiff_pixel_size(file)
    factor = MICROMETRES[str(unit).replace("\\u00B5", "µ")]
    x, y = file.pages.first.resolution
    return factor / x, factor / y


def _tiff_pixel_size(file: tifffile.TiffFile) -> tuple[float, float]:
    x, y = file.pages.first.get_resolution(tifffile.RESUNIT.MICROMETER)
    return 1 / x, 1 / y


def _read_tiff(path: Path) -> npt.NDArray[Any]:
    with tifffile.TiffFile(path) as file:
        series = only_series(path, file)
        page, shape, axes, photometric = series.keyframe, series.shape, series.axes, series.keyframe.photometric
        single = tuple(i for i, axis in enumerate(axes) if axis not in "YXSC" and shape[i] == 1)
        if len(shape) - len(single) - ("S" in axes or "C" in axes) > 2:
            raise PictureError(str(path), f"it is a stack (axes {axes}, shape {shape}); give one picture at a time.")
        if photometric in (PHOTOMETRIC.PALETTE, PHOTOMETRIC.SEPARATED, PHOTOMETRIC.CIELAB) or (
            photometric == PHOTOMETRIC.YCBCR and page.compression not in JPEG
        ):
            return _read_pillow(path)
        array = np.squeeze(series.asarray(), single)
        if page.samplesperpixel == 4:
            array = _as_marked(_channels_last(array, str(path)), next(iter(page.extrasamples), None), str(path))
    if photometric == PHOTOMETRIC.MINISWHITE:
        return 1 - array if array.dtype.kind == "f" else np.invert(array)
    return array


def _as_marked(array: npt.NDArray[Any], mark: int | None, name: str) -> npt.NDArray[Any]:
    """Return (H, W, 4) by the `mark` of its fourth sample: laid over white if colours hold the opacity already.

    As it is with opacity that they do not hold, and without a sample that is none.
    """
    if mark == EXTRASAMPLE.ASSOCALPHA:
        whole = _to_8_bits(array, name)
        colours, opacity = whole[..., :3], whole[..., 3:]
        return np.minimum(colours, opacity) + (255 - opacity)
    return array if mark == EXTRASAMPLE.UNASSALPHA else array[..., :3]


def only_series(path: Path, file: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """Return the pages of one size, those that are not marked as reduced; raise `PictureError` if there are several."""
    whole = [series for series in file.series if not series.keyframe.is_reduced] or file.series
    if len(whole) > 1 and whole[0].kind in ("generic", "uniform", "shaped"):
        sizes = ", ".join(f"{series.keyframe.imagewidth} x {series.keyframe.imagelength}" for series in whole)
        raise PictureError(str(path), f"it holds several pictures ({sizes} px); give one at a time.")
    return whole[0]


def _read_pillow(path: Path) -> npt.NDArray[Any]:
    with Image.open(path) as file:
        image: Image.Image = file
        if image.format == "PNG" and image.mode in ("RGB", "RGBA") and _png_depth(path) == 16:
            array = np.asarray(imagecodecs.png_decode(path.read_bytes()))
            return array[..., [0, 0, 0, 1]] if array.shape[2] == 2 else array
        if image.mode in ("P", "PA"):
            image = image.convert("RGBA" if "transparency" in image.info else "RGB")
        elif image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
            image = image.convert("RGB")
        elif image.mode == "LA":
            image = image.convert("RGBA")
        return np.asarray(image)


def _png_depth(path: Path) -> int:
    """Return the bits of one value; of colours Pillow reads 8 only."""
    with path.open("rb") as file:
        return file.read(25)[-1]


def is_picture(name: str) -> bool:
    """Tell if a file is a picture by its `name`, which may have stray back-ticks and spaces."""
    return Path(tidy(name)).suffix.lower() in SUFFIXES and not is_hidden(name)


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """Return the pictures among `paths`; of a folder, all in it and below it, in order of their names.

    Raises
    ------
    PictureError
        If a path does not exist.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if is_picture(p.name))
            found += [p for p in inside if p.is_file()]
        elif path.exists():
            found.append(path)
        else:
            raise PictureError(str(path), "no such file or folder.")
    return list(dict.fromkeys(found))
