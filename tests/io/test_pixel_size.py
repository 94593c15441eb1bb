"""How large a pixel is, as files say it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from bloodfilm.io.images import read_pixel_size

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_the_pixel_size_of_ome_imagej_and_plain_tiff_files_is_read(tmp_path: Path) -> None:
    ome, plain, imagej = tmp_path / "a.ome.tif", tmp_path / "b.tif", tmp_path / "c.tif"
    tifffile.imwrite(ome, RGB, metadata={"PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.25})
    tifffile.imwrite(plain, RGB, resolution=(40_000, 40_000), resolutionunit="CENTIMETER")
    assert read_pixel_size(ome) == pytest.approx(0.25)
    assert read_pixel_size(plain) == pytest.approx(0.25)
    tifffile.imwrite(imagej, RGB, imagej=True, resolution=(40_000, 40_000), resolutionunit="CENTIMETER")
    assert read_pixel_size(imagej) == pytest.approx(0.25)
    for unit in ("um", "micron", "\\u00B5m"):
        tifffile.imwrite(imagej, RGB, imagej=True, resolution=(4, 4), metadata={"unit": unit})
        assert read_pixel_size(imagej) == pytest.approx(0.25)
    tifffile.imwrite(imagej, RGB, imagej=True, resolution=(72, 72), metadata={"unit": "inch"})
    assert read_pixel_size(imagej) is None
    tifffile.imwrite(imagej, RGB, imagej=True, resolution=(4, 4), metadata={"unit": 1})
    assert read_pixel_size(imagej) is None


def test_a_printer_s_resolution_is_no_pixel_size(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", RGB, resolution=(300, 300), resolutionunit="INCH")
    tifffile.imwrite(tmp_path / "b.tif", RGB)
    tifffile.imwrite(tmp_path / "c.ome.tif", RGB)
    Image.fromarray(RGB).save(tmp_path / "d.png", dpi=(300, 300))
    assert [read_pixel_size(path) for path in sorted(tmp_path.iterdir())] == [None] * 4


def test_a_description_that_cannot_be_read_tells_no_pixel_size(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", RGB, description="<OME xmlns='x'><Image><Pixels></Image></OME>")
    assert read_pixel_size(tmp_path / "a.tif") is None
