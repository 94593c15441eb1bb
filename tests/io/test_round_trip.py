"""Every format gives back what it promises, whatever the cells; and an error for whatever it cannot read."""

from __future__ import annotations

import itertools
import json
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import films, vocabularies

from bloodfilm.cells import Cells, Field, Origin
from bloodfilm.errors import UserError
from bloodfilm.io.formats import FORMATS, losses, read_fields, write_fields
from bloodfilm.io.lld.attributes import ARTEFACT, SIZE
from bloodfilm.io.lld.text import SIDE
from bloodfilm.io.table import read_csv
from bloodfilm.review.states import kept
from bloodfilm.vocabulary import AUXILIARY, LLD, UNKNOWN, Vocabulary

SUFFIX = {"coco": ".json", "csv": ".csv", "geojson": "", "lld-json": ".json", "txt12": "", "yolo": ""}
HERE = Path("pictures")
few = settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
COLUMNS = ("boxes", "codes", "scores", "class_scores", "attributes", "attribute_scores")


def again(kind: str, fields: list[Field]) -> list[Field]:
    """Return `fields` after they were written and read as `kind`, with the warnings on missing pictures left out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"cells{SUFFIX[kind]}"
        write_fields(path, fields, kind)
        if kind == "geojson" and not fields:
            return []
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*pictures are not")
            return read_fields(path, kind)


def assert_same_cells(after: Cells, before: Cells, *columns: str) -> None:
    for name in columns or COLUMNS:
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name), err_msg=name)


def by_name(fields: list[Field]) -> list[Field]:
    return sorted(fields, key=lambda field: field.name)


def known_columns(cells: Cells) -> dict[str, list[object]]:
    """Return the further columns that have a value, missing ones as None."""
    columns = {name: [None if v != v else v for v in column.tolist()] for name, column in cells.extra.items()}
    return {name: column for name, column in columns.items() if any(v is not None for v in column)}


@few
@given(films(HERE), st.sampled_from(["coco", "geojson"]))
def test_coco_and_geojson_hold_everything(before: list[Field], kind: str) -> None:
    after = again(kind, before)
    if kind == "geojson":
        before, after = by_name(before), by_name(after)
    for one, other in zip(after, before, strict=True):
        assert_same_cells(one.cells, other.cells)
        assert known_columns(one.cells) == known_columns(other.cells)
        assert one.cells.vocabulary == other.cells.vocabulary
        assert (one.cells.scale, one.cells.novelty) == (other.cells.scale, other.cells.novelty)
        for name in ("name", "width", "height", "source", "complete"):
            assert getattr(one, name) == getattr(other, name)
        assert other.origin in (None, one.origin)
        np.testing.assert_array_equal(one.ignored, other.ignored)
        for kind_ in AUXILIARY:
            none = np.empty((0, 4))
            np.testing.assert_array_equal(one.auxiliary.get(kind_, none), other.auxiliary.get(kind_, none))
        assert (one.labelled_regions is None) == (other.labelled_regions is None)
        if other.labelled_regions is not None:
            np.testing.assert_array_equal(one.labelled_regions, other.labelled_regions)


@few
@given(st.data(), vocabularies())
def test_csv_holds_the_cells_and_their_novelty(data: st.DataObject, vocabulary: Vocabulary) -> None:
    before = [field for field in data.draw(films(HERE, vocabulary)) if len(field.cells)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.csv"
        write_fields(path, before)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*pictures are not")
            after, words = FORMATS["csv"].read(path), read_csv(path, vocabulary)
    for one, own, other in zip(words, after, before, strict=True):
        assert_same_cells(one.cells, other.cells)
        assert_same_cells(own.cells, other.cells, "boxes", "scores", "class_scores")
        assert own.cells.class_names == other.cells.class_names
        assert (one.name, one.cells.novelty) == (other.name, other.cells.novelty)
        for name in {"area µm²", "lobes", "accepted", "depth"} & set(known_columns(other.cells)):
            assert known_columns(one.cells)[name] == pytest.approx(known_columns(other.cells)[name])


@few
@given(films(HERE, LLD))
def test_llds_json_holds_types_and_attributes(before: list[Field]) -> None:
    for one, other in zip(again("lld-json", before), before, strict=True):
        assert_same_cells(one.cells, other.cells, "boxes", "codes")
        assert one.cells.attributes.tolist() == sized(other.cells).tolist()
        assert (one.name, one.width, one.height) == (other.name, other.width, other.height)


@few
@given(films(HERE, LLD))
def test_text_of_12_columns_holds_types_and_attributes_of_typed_cells(before: list[Field]) -> None:
    for one, other in zip(by_name(again("txt12", before)), by_name(before), strict=True):
        typed = other.cells[other.cells.codes != UNKNOWN]
        np.testing.assert_allclose(one.cells.boxes, typed.boxes, rtol=0, atol=1e-6)
        assert one.cells.codes.tolist() == typed.codes.tolist()
        assert one.cells.attributes.tolist() == sized(typed).tolist()
        assert (one.name, one.width, one.height) == (other.name, other.width, other.height)


@few
@given(films(HERE))
def test_yolo_holds_boxes_and_types(before: list[Field]) -> None:
    for one, other in zip(by_name(again("yolo", before)), by_name(before), strict=True):
        np.testing.assert_allclose(one.cells.boxes, other.cells.boxes, rtol=0, atol=1e-6)
        assert one.cells.class_names == other.cells.class_names
        assert one.cells.vocabulary.classes == other.cells.vocabulary.classes
        assert (one.name, one.width, one.height) == (other.name, other.width, other.height)


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_a_rejected_cell_never_comes_back_as_a_real_one(kind: str) -> None:
    review = np.array(["accepted", "rejected", ""], object)
    cells = Cells([[1, 2, 30, 40], [5, 5, 50, 50], [60, 60, 90, 99]], [3, 3, 4], extra={"review": review})
    before = [Field(HERE / "a.png", cells, 100, 100, name="a.png")]
    (after,) = again(kind, before)
    assert kept(after.cells).boxes.tolist() == cells.boxes[[0, 2]].tolist()
    assert "rejected" in after.cells.extra.get("review", []) or any("rejected" in each for each in losses(before, kind))


def test_a_listing_that_is_broken_is_refused_with_its_row_and_one_of_others_is_passed_over(tmp_path: Path) -> None:
    before = [Field(HERE / "a.png", Cells([[1, 2, 30, 40]], [3]), 100, 80, name="a.png")]
    write_fields(tmp_path / "text", before, "yolo")
    listing = tmp_path / "text" / "pictures.csv"
    listing.write_text("labels,picture,width,height\na.txt,a.png,100,none\n")
    with pytest.raises(UserError, match=r"pictures.csv: row 2: 'a.txt,a.png,100,none' does not say"):
        read_fields(tmp_path / "text", "yolo")
    listing.write_text("file,url\na.txt,b\n")
    with pytest.warns(UserWarning, match="640 x 640"):
        assert read_fields(tmp_path / "text", "yolo")[0].width == SIDE


def sized(cells: Cells) -> np.ndarray:
    """Return the attributes as LLD's numbers hold them: no size of an artefact, nor without another attribute."""
    alone = (np.delete(cells.attributes, SIZE, axis=1) == UNKNOWN).all(1) | (cells.codes == ARTEFACT)
    attributes = cells.attributes.copy()
    attributes[alone, SIZE] = UNKNOWN
    return attributes


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bytes of one good file of each format."""
    cells = Cells(
        [[1, 2, 30, 40], [5, 5, 50.5, 50]], [-1, 3], [0.5, 1], None, [[0] * 7] * 2, extra={"lobes": np.array([1, 2])}
    )
    box = np.array([[1, 1, 9, 9]], np.float32)
    field = Field(HERE / "a.png", cells, SIDE, SIDE, box, name="a.png", auxiliary={"platelet": box})
    folder, content = tmp_path_factory.mktemp("written"), {}
    for kind in FORMATS:
        path = folder / f"{kind}{SUFFIX[kind]}"
        write_fields(path, [replace(field, name="a.png")], kind)
        content[kind] = path.read_bytes() if path.is_file() else next(path.glob("a.*")).read_bytes()
    return content


def refuse_or_read(kind: str, content: bytes) -> None:
    """Read `content` as a file of `kind`: as anything at all, or with an error that names the file."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name = f"a{FORMATS[kind].suffix or '.txt'}"
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            read_fields(path if FORMATS[kind].suffix else folder, kind)
        except UserError as error:
            assert str(folder) in str(error)


@few
@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_damaged_bytes_are_an_error_of_the_user(written: dict[str, bytes], kind: str, data: st.DataObject) -> None:
    good = written[kind]
    start = data.draw(st.integers(0, len(good)))
    length = data.draw(st.integers(0, 30) | st.just(len(good)))
    refuse_or_read(kind, good[:start] + data.draw(st.binary(max_size=20)) + good[start + length :])


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


def places(content: object, here: tuple = ()) -> Iterator[tuple]:
    """Yield the way to everything inside a JSON document."""
    yield here
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    yield from itertools.chain.from_iterable(places(value, (*here, key)) for key, value in inner)


@settings(few, max_examples=80)
@given(st.sampled_from(["coco", "geojson", "lld-json"]), st.data())
def test_json_that_says_something_else_is_an_error_of_the_user(
    written: dict[str, bytes], kind: str, data: st.DataObject
) -> None:
    content = {"": json.loads(written[kind])}
    way = ("", *data.draw(st.sampled_from(list(places(content[""])))))
    inside = content
    for key in way[:-1]:
        inside = inside[key]
    inside[way[-1]] = data.draw(ANYTHING)
    refuse_or_read(kind, json.dumps(content[""]).encode())


@settings(few, max_examples=50)
@given(st.data())
def test_a_table_that_says_something_else_is_an_error_of_the_user(
    written: dict[str, bytes], data: st.DataObject
) -> None:
    rows = [line.split(",") for line in written["csv"].decode().splitlines()]
    row = data.draw(st.integers(0, len(rows) - 1))
    rows[row][data.draw(st.integers(0, len(rows[0]) - 1))] = data.draw(st.text(max_size=5) | st.floats().map(str))
    refuse_or_read("csv", "\n".join(map(",".join, rows)).encode())


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        ("coco", '{"images": [{"id": 1, "file_name": "a"}]}', r"a.json: images.0.width: Field required"),
        ("csv", "image,x0,y0,x1\na,1,2,3\n", r"a.csv: not a table of cells: it has no column y1"),
        ("csv", "image,x0,y0,x1,y1\na,1,2,3,4\nb,1,2,three,4\n", r"a.csv: row 3: x1 is 'three', not a number"),
        ("csv", "image,x0,y0,x1,y1\na,9,9,1,1\n", r"a.csv: rows 2 to 2, a: Box 0 is .* needs x0 < x1"),
        ("geojson", '{"features": [{"geometry": {"type": "Polygon", "coordinates": [[["x", 1]]]}}]}',
         r"a.geojson: features.0.geometry.Polygon.coordinates.0.0.0: Input should be a valid number"),
        ("yolo", "3 0.5 0.5 0.1\n", r"a.txt: line 1: it has 4 numbers"),
    ],
)  # fmt: skip
def test_an_error_names_the_place(tmp_path: Path, kind: str, content: str, reason: str) -> None:
    file = tmp_path / f"a{FORMATS[kind].suffix or '.txt'}"
    file.write_text(content)
    with pytest.raises(UserError, match=reason):
        read_fields(file if FORMATS[kind].suffix else tmp_path, kind)


def test_a_patient_that_a_name_does_not_tell_is_told_to_be_lost(field: Field) -> None:
    known = replace(field, origin=Origin("7", 1, None, 1000, "AML"))
    assert "csv: pictures lose their patient, which their names do not tell: 1." in losses([known], "csv")
    assert not any("patient" in each for each in losses([field], "csv") + losses([known], "coco"))
