from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from bloodfilm.detection.batches import detect_files
from bloodfilm.detection.detector import Detector
from bloodfilm.errors import PictureError, UserError
from bloodfilm.io.images import read_image


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Five pictures of three shapes."""
    paths = []
    for number, (height, width) in enumerate([(96, 96), (64, 96), (96, 96), (104, 80), (64, 96)]):
        noise = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        paths.append(tmp_path / f"{9 - number}.png")
        Image.fromarray(noise).save(paths[-1])
    return paths


@pytest.mark.parametrize("batch", [1, 2, 8])
@pytest.mark.parametrize("tile", [None, 64])
def test_files_come_in_their_order_with_their_own_cells(
    detector: Detector, files: list[Path], batch: int, tile: int | None
) -> None:
    fields = list(detect_files(detector, files, 0.4, tile, batch))
    assert [field.path for field in fields] == files
    for field in fields:
        picture = read_image(field.path)
        assert (field.height, field.width) == picture.shape[:2]
        np.testing.assert_allclose(field.cells.boxes, detector.detect(picture, 0.4, tile).boxes, atol=0.05)


def test_no_files_give_nothing(detector: Detector) -> None:
    assert list(detect_files(detector, [])) == []


@pytest.mark.parametrize("batch", [1, 3])
def test_a_broken_file_is_told_and_the_rest_searched(detector: Detector, files: list[Path], batch: int) -> None:
    files[1].write_bytes(b"broken")
    failures: list[tuple[Path, str]] = []
    fields = list(detect_files(detector, files, batch=batch, failed=lambda *failure: failures.append(failure)))
    assert [field.path for field in fields] == [files[0], *files[2:]]
    assert [path for path, _ in failures] == [files[1]]
    assert "cannot be read" in failures[0][1]


def test_a_broken_file_is_an_error_if_nobody_listens(detector: Detector, files: list[Path]) -> None:
    files[1].write_bytes(b"broken")
    with pytest.raises(PictureError, match=files[1].name):
        list(detect_files(detector, files))


@pytest.mark.parametrize("tile", [None, 64])
def test_only_the_region_is_searched(detector: Detector, files: list[Path], tile: int | None) -> None:
    field = next(detect_files(detector, files[:1], 0.05, tile, region=(20, 30, 90, 70)))
    part = detector.detect(np.ascontiguousarray(read_image(files[0])[30:70, 20:90]), 0.05, tile)
    assert len(part)
    np.testing.assert_allclose(field.cells.boxes, part.shifted(20, 30).boxes, atol=0.05)
    assert (field.width, field.height) == (96, 96)


def test_a_region_outside_a_picture_is_told_with_the_region(detector: Detector, files: list[Path]) -> None:
    failures: list[tuple[Path, str]] = []
    region = (0, 96, 80, 120)
    fields = list(detect_files(detector, files, region=region, failed=lambda *failure: failures.append(failure)))
    assert [field.path for field in fields] == [files[3]]
    assert len(failures) == 4
    assert "(0, 96, 80, 120)" in failures[0][1]


@pytest.mark.parametrize("region", [(0, 0, 90, 3), (0, 0, 1, 90)])
def test_a_region_too_small_for_a_picture_is_refused(
    detector: Detector, files: list[Path], region: tuple[int, int, int, int]
) -> None:
    with pytest.raises(PictureError, match="too small"):
        list(detect_files(detector, files[:1], region=region))


@pytest.mark.parametrize("region", [(-10, 0, 40, 40), (0, -10, 40, 40), (40, 0, 0, 40), (0, 40, 40, 40)], ids=str)
def test_a_region_that_no_picture_has_is_the_callers_error(
    detector: Detector, files: list[Path], region: tuple[int, int, int, int]
) -> None:
    failures: list[tuple[Path, str]] = []
    with pytest.raises(UserError, match="0 <= x0 < x1"):
        list(detect_files(detector, files, region=region, failed=lambda *failure: failures.append(failure)))
    assert not failures


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_of_nothing_is_the_callers_error(detector: Detector, files: list[Path], batch: int) -> None:
    with pytest.raises(UserError, match="give 1 or more"):
        list(detect_files(detector, files, batch=batch))
    with pytest.raises(UserError, match="give 1 or more"):
        detector.detect(read_image(files[0]), batch=batch)


def test_of_large_pictures_few_are_in_memory(detector: Detector, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for path in paths:
        Image.new("RGB", (4104, 16)).save(path)
    found = detect_files(detector, paths, batch=8)
    next(found)
    paths[-1].unlink()
    with pytest.raises(PictureError, match="no such file"):
        list(found)


def test_tiles_come_in_batches_of_the_size_asked_for(detector: Detector, files: list[Path]) -> None:
    sizes: list[int] = []
    hook = detector.network.detector.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    list(detect_files(detector, files[:1], tile=40, batch=2))
    hook.remove()
    assert max(sizes) == 2


def test_pictures_are_read_only_as_far_ahead_as_needed(
    detector: Detector, files: list[Path], write_picture: Callable[[str], Path]
) -> None:
    last = write_picture("last.png")
    found = detect_files(detector, [*files, last], batch=1)
    next(found)
    last.unlink()
    with pytest.raises(PictureError, match="no such file"):
        list(found)


def test_files_say_their_pixel_size_unless_the_caller_does(
    detector: Detector, files: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, read_image(files[0]), resolution=(5000, 5000), resolutionunit="CENTIMETER")
    for given, wanted in ((None, 2.0), (1.5, 1.5)):
        field, other = detect_files(detector, [path, files[0]], 0.4, pixel_size=given)
        assert field.cells.scale is not None
        assert field.cells.scale.um_per_px == pytest.approx((wanted, wanted))
        assert (other.cells.scale is None) == (given is None)
