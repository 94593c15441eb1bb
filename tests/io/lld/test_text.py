from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bloodfilm.cells import Cells, Field
from bloodfilm.errors import LabelError, Mended
from bloodfilm.io.lld.dataset import read_lld
from bloodfilm.io.lld.listing import Listed
from bloodfilm.io.lld.text import count_columns, read_field, read_folder, text_columns
from bloodfilm.io.lld.write import write_text

BOX = "0.5 0.25 0.2 0.1"
SEVEN = [2, 0, 1, 1, 0, 1, 0]
WORDS = " ".join(map(str, SEVEN))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "4_8_1000_ALL.txt"


@pytest.mark.parametrize(
    ("row", "attributes"),
    [
        (f"6 {BOX}", [-1] * 7),
        (f"6 {BOX} 0 1 1 0 1 0", [-1, *SEVEN[1:]]),
        (f"6 {BOX} {WORDS}", SEVEN),
        (f"6 {BOX} 10 20 300 400 {WORDS}", SEVEN),
        (f"6.0\t{BOX}   {WORDS}  ", SEVEN),
        (f"6 {BOX} 2 2 1 4 0 1 0", [2, -1, 1, -1, 0, 1, 0]),
        (f"6 {BOX} 4 0 1 1 0 1 0", [-1, *SEVEN[1:]]),
        (f"6 {BOX} 2 2 2 2 2 2 2", [-1] * 7),
        (f"0 {BOX} 2 2 2 2 2 2 2", [-1] * 7),
        (f"0 {BOX} 1 0 2 2 2 2 2", [-1, 0, *[-1] * 5]),
    ],
    ids=["5", "11", "12", "16", "spaced", "some", "no size", "nothing applies", "None", "None with a value"],
)
def test_rows_of_every_width_are_read(file: Path, row: str, attributes: list[int]) -> None:
    file.write_text(f"\n{row}\n")
    field, regions = read_field(file, None)[:2]
    np.testing.assert_allclose(field.cells.boxes, [[256, 128, 384, 192]], atol=1e-3)
    assert field.cells.attributes.tolist() == [attributes]
    assert field.cells.codes.tolist() == [int(row[0])]
    assert np.isfinite(regions).all() == (len(row.split()) == 16)


def test_boxes_are_shares_of_the_pictures_own_size(file: Path) -> None:
    Image.new("RGB", (100, 50)).save(file.with_suffix(".png"))
    file.write_text(f"6 {BOX}")
    field = read_field(file, file.with_suffix(".png")).field
    np.testing.assert_allclose(field.cells.boxes, [[40, 10, 60, 15]], atol=1e-4)
    assert (field.width, field.height) == (100, 50)


def test_without_its_picture_a_field_has_the_size_of_the_data_set(file: Path) -> None:
    file.write_text("")
    field = read_field(file, None).field
    assert (field.width, field.height, len(field.cells)) == (640, 640, 0)
    assert field.path == file.with_suffix(".png")
    assert field.origin is not None
    assert field.origin.patient == "4"


def test_boxes_are_cut_at_the_edge_and_left_out_without_area(file: Path) -> None:
    file.write_text("6 0 0 0.2 0.2\n6 1.5 0.5 0.1 0.1\n6 0.5 0.5 0 0.1\n")
    with pytest.warns(UserWarning, match=r"4_8_1000_ALL.txt: 2 boxes have no area"):
        field, regions = read_field(file, None)[:2]
    np.testing.assert_allclose(field.cells.boxes, [[0, 0, 64, 64]])
    assert len(regions) == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("6 0.5 0.5 0.1", "it has 4 numbers; rows of labels have 5, 11, 12 or 16"),
        ("6 0.5 0.5 0.1 wide", "is not a row of numbers"),
        ("6 0.5 nan 0.1 0.1", "is not finite"),
        ("14 0.5 0.5 0.1 0.1", "no class has the number 14"),
        ("-1 0.5 0.5 0.1 0.1", "no class has the number -1"),
        ("1.5 0.5 0.5 0.1 0.1", "no class has the number 1.5"),
    ],
)
def test_a_broken_row_is_an_error_with_its_place(file: Path, row: str, reason: str) -> None:
    file.write_text(f"6 {BOX}\n{row}\n")
    with pytest.raises(LabelError, match=f"4_8_1000_ALL.txt: line 2: .*{reason}"):
        read_field(file, None)


def test_a_picture_without_readable_size_is_an_error(file: Path) -> None:
    file.write_text("")
    file.with_suffix(".png").write_bytes(b"broken")
    with pytest.raises(LabelError, match=r"4_8_1000_ALL.png: its size cannot be read"):
        read_field(file, file.with_suffix(".png"))


def test_columns_are_those_of_the_first_row_there_is(tmp_path: Path) -> None:
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    files[0].write_text("\n")
    files[1].write_text(f"6 {BOX} {WORDS}\n")
    assert (count_columns(files), count_columns(files[:1])) == (12, 0)


def test_a_folder_with_what_macos_left_behind_is_read(field: Field, tmp_path: Path) -> None:
    write_text(tmp_path / "out", [field], 5)
    (tmp_path / "out" / "._a.txt").write_bytes(b"\x00\x05\x16\x07 2 3")
    assert text_columns(tmp_path / "out") == 5
    assert [each.name for each in read_folder(tmp_path / "out")] == ["images/field.png"]


def test_a_listed_size_goes_before_that_of_the_picture(file: Path) -> None:
    file.write_text(f"6 {BOX}")
    file.with_suffix(".png").write_bytes(b"broken")
    field = read_field(file, file.with_suffix(".png"), listed=Listed("a.png", 100, 50)).field
    assert (field.width, field.height) == (100, 50)


def write_listed(folder: Path, name: str) -> Path:
    """Write text of a picture of 100 x 50 px called `name`, with a table that says so."""
    write_text(folder, [Field(Path("x"), Cells([[40, 10, 60, 15]], [3]), 100, 50, name=name)], 12)
    return folder


def test_boxes_fit_a_picture_of_another_size_than_is_listed(tmp_path: Path) -> None:
    folder = write_listed(tmp_path / "labels", "a.png")
    Image.new("RGB", (200, 25)).save(folder / "a.png")
    with pytest.warns(
        Mended, match="labels.pictures.csv: 1 pictures have another size than it says.*a.png, 200 x 25 px instead of"
    ):
        (field,) = read_folder(folder)
    dataset = read_lld(folder)
    assert any("another size than it says" in line for line in dataset.report.fixed)
    for each in (field, *dataset.fields):
        assert (each.path, each.width, each.height) == (folder / "a.png", 200, 25)
        np.testing.assert_allclose(each.cells.boxes, [[80, 5, 120, 7.5]], atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*count as missing")
def test_a_picture_of_the_same_name_elsewhere_is_another_one_if_its_size_is_not_listed(tmp_path: Path) -> None:
    folder = write_listed(tmp_path / "labels", "gone/a.png")
    Image.new("RGB", (100, 50)).save(folder / "a.png")
    assert [field.path for field in (*read_folder(folder), *read_lld(folder).fields)] == [folder / "a.png"] * 2
    Image.new("RGB", (200, 25)).save(folder / "a.png")
    with pytest.warns(UserWarning, match="labels.pictures.csv: 1 pictures count as missing"):
        (field,) = read_folder(folder)
    for each in (field, *read_lld(folder, keep_missing=True).fields):
        assert (each.path, each.width, each.height) == (folder / "gone" / "a.png", 100, 50)
        np.testing.assert_allclose(each.cells.boxes, [[40, 10, 60, 15]], atol=1e-4)
    with pytest.raises(LabelError, match="none of its 1 pictures is there"):
        read_lld(folder)


def test_attributes_that_mean_nothing_are_counted(file: Path) -> None:
    file.write_text(f"3 {BOX} 1 3 0.5 1 9 0 1")
    text = read_field(file, None)
    assert text.unread == 3
    assert text.field.cells.attributes.tolist() == [[1, -1, -1, 1, -1, 0, 1]]
    with pytest.warns(UserWarning, match="3 values of attributes mean nothing"):
        read_folder(file.parent)
