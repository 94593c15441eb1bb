from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bloodfilm.errors import LabelError
from bloodfilm.io.coco import read_coco
from bloodfilm.io.polygons import rectangles
from bloodfilm.io.sparse import read_sparse


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Return a function that writes a COCO file of one picture of 100 x 80 px."""

    def write(boxes: list[list[float]], **image: Any) -> Path:
        Image.fromarray(np.zeros((80, 100, 3), np.uint8)).save(tmp_path / "a.png")
        content = {
            "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 80} | image],
            "annotations": [{"id": i, "image_id": 1, "category_id": 1, "bbox": box} for i, box in enumerate(boxes)],
            "categories": [{"id": 1, "name": "Monocyte"}],
        }
        (tmp_path / "a.json").write_text(json.dumps(content))
        return tmp_path / "a.json"

    return write


def test_regions_are_rectangles_or_polygons(write: Any) -> None:
    (field,), notes = read_sparse(write([[10, 10, 8, 8]], labelled_regions=[[0, 0, 30, 30], [50, 0, 90, 0, 90, 40]]))
    assert notes == []
    regions = field.labelled_regions
    assert regions is not None
    assert regions[0].tolist() == [0, 0, 30, 30]
    assert (regions[1:].min(0) >= [50, 0, 50, 0]).all()
    areas = (regions[1:, 2:] - regions[1:, :2]).prod(1)
    assert areas.sum() == pytest.approx(40 * 40 / 2, rel=0.03)


@pytest.mark.parametrize(
    ("boxes", "image", "message"),
    [
        ([[10, 10, 8, 8]], {"labelled_regions": [[0, 0, 30, 0]]}, r"images\.0\.labelled_regions\.0: .* is empty"),
        ([[10, 10, 8, 8]], {"labelled_regions": [[0, 0, 30, 30, 9]]}, r"labelled_regions\.0: .*a polygon"),
        ([[10, 10, 8, 8]], {"labelled_regions": [[0, 0, 30, 30, 9, 9]]}, r"labelled_regions\.0: .*has an area"),
        ([[10, 10, 8, 8]], {"labelled_regions": [[0, 0, 50, 90]]}, r"labelled_regions\.0: .* leaves a\.png, 100 x 80"),
        (
            [[10, 10, 8, 8], [60, 60, 9, 9]],
            {"labelled_regions": [[0, 0, 30, 30]]},
            r"a\.json: annotations\.1: .* lies in no labelled region of a\.png",
        ),
        ([[10, 10, 8, 8]], {"labelled_regions": []}, r"annotations\.0: .* lies on a picture without labelled region"),
        ([[10, 10, 8, 8]], {}, r"a\.json: no picture says which region of it was labelled"),
    ],
    ids=["empty", "five numbers", "line", "outside the picture", "cell outside", "cell without region", "no region"],
)
def test_what_does_not_fit_is_named(write: Any, boxes: list[list[float]], image: dict[str, Any], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        read_sparse(write(boxes, **image))


def test_all_wrong_rows_are_named(write: Any) -> None:
    with pytest.raises(LabelError) as told:
        read_sparse(write([[60, 60, 9, 9]] * 30, labelled_regions=[[0, 0, 30, 30]]))
    lines = str(told.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "... and 10 more."


@pytest.fixture
def text(lld: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(lld / "Sparse-LeukemiaAttri", tmp_path / "Sparse-LeukemiaAttri"))


def with_region(folder: Path, change: Any) -> str:
    """Change the region in the first row of a file in which it makes sense in one order only; return its place."""
    files = [path for path in sorted((folder / "labels" / "train").iterdir()) if path.stat().st_size]
    file = next(path for path in files if float(path.read_text().split()[5]) > float(path.read_text().split()[6]))
    first, *rows = file.read_text().splitlines()
    words = first.split()
    words[5:9] = [f"{value:g}" for value in change([float(word) for word in words[5:9]])]
    file.write_text("\n".join([" ".join(words), *rows]) + "\n")
    return f"{file}: line 1"


def test_text_is_read_without_its_test_split(text: Path) -> None:
    fields, notes = read_sparse(text)
    assert len(fields) == 10
    assert any(note.startswith("labelled regions are taken as xyxy pixels: makes sense of 100.0%") for note in notes)
    assert "Sparse-LeukemiaAttri test: left out." in notes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: [r[2], r[1], r[0], r[3]], "is empty"),
        (lambda r: [r[0], r[1], 700, r[3]], "leaves the picture"),
        (lambda r: [0, 0, 3, 3], "does not hold the middle of its cell"),
        (lambda r: [r[0], r[2], r[1], r[3]], "the order of the columns is mixed"),
    ],
    ids=["empty", "outside the picture", "cell outside", "mixed orders"],
)
def test_a_row_of_text_that_does_not_fit_is_named(text: Path, change: Any, message: str) -> None:
    place = with_region(text, change)
    if message.endswith("mixed"):
        file = Path(place.removesuffix(": line 1"))
        rows = [row.split() for row in file.read_text().splitlines()]
        for row in rows[1:]:
            row[6], row[7] = row[7], row[6]
        file.write_text("\n".join(" ".join(row) for row in rows) + "\n")
    with pytest.raises(LabelError) as told:
        read_sparse(text)
    first = str(told.value).splitlines()[0]
    assert first.startswith(place)
    assert message in first


def test_full_labels_have_no_region(lld: Path) -> None:
    with pytest.raises(LabelError, match="no picture says which region"):
        read_sparse(lld / "LeukemiaAttri_Dataset" / "H_100X_C2")


def test_a_polygon_round_trips_as_rectangles(write: Any, tmp_path: Path) -> None:
    from bloodfilm.io.coco import write_coco

    (field,) = read_coco(write([], labelled_regions=[[0, 0, 60, 0, 30, 60]]))
    write_coco(tmp_path / "b.json", [field])
    (again,) = read_coco(tmp_path / "b.json")
    np.testing.assert_allclose(again.labelled_regions, field.labelled_regions, atol=1e-3)


def test_a_circle_is_covered_to_a_percent() -> None:
    angle = np.linspace(0, 2 * np.pi, 100)
    found = rectangles(np.stack([50 + 40 * np.cos(angle), 60 + 20 * np.sin(angle)], 1).ravel().tolist())
    assert (found[:, 2:] - found[:, :2]).prod(1).sum() == pytest.approx(np.pi * 40 * 20, rel=0.01)
    assert len(rectangles([0, 0, 10, 0, 10, 5, 0, 5])) == 1
    assert len(rectangles([0, 0, 10, 0, 20, 0])) == 0


@pytest.mark.parametrize("outside", [{"extra": {"review": "rejected"}}, {"category_id": 2}])
def test_rejected_and_red_cells_may_lie_outside_of_the_regions(write: Any, outside: dict[str, Any]) -> None:
    path = write([[10, 10, 8, 8], [60, 60, 8, 8]], labelled_regions=[[0, 0, 30, 30]])
    content = json.loads(path.read_text())
    content["categories"].append({"id": 2, "name": "red blood cell"})
    content["annotations"][1] |= outside
    path.write_text(json.dumps(content))
    assert len(read_sparse(path)[0]) == 1
