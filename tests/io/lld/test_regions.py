from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bloodfilm.cells import Cells, Field
from bloodfilm.errors import LabelError
from bloodfilm.io.lld.dataset import read_lld
from bloodfilm.io.lld.regions import READINGS, resolve_regions
from bloodfilm.io.lld.text import TextField

CORNERS = {"a.png": (100, 300, 386, 586), "b.png": (20, 10, 306, 296), "c.png": (300, 120, 586, 406)}
COLUMNS = {
    "xyxy pixels": lambda x0, y0, x1, y1: (x0, y0, x1, y1),
    "xxyy pixels": lambda x0, y0, x1, y1: (x0, x1, y0, y1),
    "xyxy shares": lambda x0, y0, x1, y1: (x0 / 640, y0 / 640, x1 / 640, y1 / 640),
    "xxyy shares": lambda x0, y0, x1, y1: (x0 / 640, x1 / 640, y0 / 640, y1 / 640),
}


def text(name: str, regions: list[tuple[float, ...]], side: int = 640) -> TextField:
    """Return a field with a cell in the middle of each region of `CORNERS` that is called `name`."""
    x0, y0, x1, y1 = np.array(CORNERS[name]) * side / 640
    box = [(x0 + x1) / 2 - 20, (y0 + y1) / 2 - 30, (x0 + x1) / 2 + 20, (y0 + y1) / 2 + 30]
    field = Field(Path(name), Cells(np.array([box] * len(regions)).reshape(-1, 4)), side, side, name=name)
    return TextField(field, np.array(regions, float).reshape(-1, 4))


@pytest.mark.parametrize("reading", READINGS)
def test_the_reading_that_fits_the_whole_data_set_is_taken(reading: str) -> None:
    texts = [text(name, [COLUMNS[reading](*corners)]) for name, corners in CORNERS.items()]
    fields, readings, unfit = resolve_regions(texts)
    assert (readings[0].name, readings[0].valid, unfit) == (reading, 1, 0)
    assert readings[0].area == pytest.approx(0.2, abs=0.01)
    assert len(readings) == len(READINGS)
    for field in fields:
        assert field.labelled_regions is not None
        np.testing.assert_allclose(field.labelled_regions, [CORNERS[field.name]], atol=1e-3)


def test_one_picture_never_decides_for_itself() -> None:
    texts = [text(name, [corners]) for name, corners in CORNERS.items()]
    odd = text("c.png", [COLUMNS["xxyy pixels"](*CORNERS["c.png"])])
    fields, readings, unfit = resolve_regions([*texts, odd])
    assert (readings[0].name, readings[0].valid, unfit) == ("xyxy pixels", 0.75, 1)
    assert [len(field.labelled_regions) for field in fields if field.labelled_regions is not None] == [1, 1, 1, 0]


def test_the_reading_can_be_chosen() -> None:
    texts = [text(name, [CORNERS[name]]) for name in ("a.png", "b.png")]
    _, readings, unfit = resolve_regions(texts, "xxyy pixels")
    assert (readings[0].name, unfit) == ("xxyy pixels", 1)
    with pytest.raises(LabelError, match="No reading of labelled regions is called yxyx; there are xyxy pixels"):
        resolve_regions(texts, "yxyx")


def test_pixels_are_those_of_the_networks_input() -> None:
    (field,), readings, _ = resolve_regions([text("a.png", [CORNERS["a.png"]], side=1280)])
    assert readings[0].name == "xyxy pixels"
    assert field.labelled_regions is not None
    assert field.labelled_regions.tolist() == [[200, 600, 772, 1172]]


def test_without_a_cell_it_is_unknown_what_was_labelled() -> None:
    fields, _, unfit = resolve_regions([text("a.png", [CORNERS["a.png"]]), text("b.png", [])])
    assert [None if f.labelled_regions is None else f.labelled_regions.shape for f in fields] == [(1, 4), (0, 4)]
    assert unfit == 0


def test_regions_that_no_reading_makes_sense_of_are_an_error() -> None:
    with pytest.raises(LabelError, match="no reading makes sense of any labelled region"):
        resolve_regions([text("a.png", [(9000, 1, 2, 3)])])


def test_a_region_may_leave_the_picture_by_a_pixel_or_two_and_is_cut() -> None:
    (field,), _, _ = resolve_regions([text("c.png", [(300, 120, 642, 406)])])
    assert field.labelled_regions is not None
    assert field.labelled_regions.tolist() == [[300, 120, 640, 406]]


def test_a_reading_that_does_not_exist_is_refused_without_regions_too(tmp_path: Path) -> None:
    (tmp_path / "4_8_1000_ALL.txt").write_text("6 0.5 0.25 0.2 0.1")
    with pytest.raises(LabelError, match="No reading of labelled regions is called sideways"):
        read_lld(tmp_path, keep_missing=True, regions="sideways")


def test_regions_count_wherever_they_begin(tmp_path: Path) -> None:
    box = "6 0.5 0.25 0.2 0.1"
    (tmp_path / "4_1_1000_ALL.txt").write_text(f"{box} 1 1 1 1 1 1 1")
    (tmp_path / "4_2_1000_ALL.txt").write_text(f"{box} 100 100 500 300 1 1 1 1 1 1 1")
    fields = read_lld(tmp_path, keep_missing=True).fields
    assert [None if field.labelled_regions is None else len(field.labelled_regions) for field in fields] == [0, 1]
