"""GeoJSON as QuPath reads it, and as QuPath writes it."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from bloodfilm.cells import Cells, Field, Scale
from bloodfilm.errors import Mended, UserError
from bloodfilm.io.geojson import looks_like_geojson, read_geojson, write_geojson
from bloodfilm.vocabulary import LLD, UNKNOWN, Attribute, Vocabulary

SQUARE = [[[10, 20], [60, 20], [60, 80], [10, 80], [10, 20]]]


def exported(path: Path, *features: dict[str, Any], wrap: bool = True) -> Path:
    """Write features as QuPath does: each with a UUID, an object type and a geometry."""
    listed = [
        {"type": "Feature", "id": str(uuid.uuid4()), "geometry": {"type": "Polygon", "coordinates": SQUARE}} | each
        for each in features
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": listed} if wrap else listed))
    return path


def annotation(**properties: Any) -> dict[str, Any]:
    return {"properties": {"objectType": "annotation"} | properties}


def test_a_feature_is_what_qupath_expects(field: Field, tmp_path: Path) -> None:
    write_geojson(tmp_path / "a.geojson", [replace(field, cells=replace(field.cells, scores=[1, 0.5, 0.7]))])
    content = json.loads((tmp_path / "a.geojson").read_text())
    first, second, _, ignored = content["features"]
    assert content["type"] == "FeatureCollection"
    assert str(uuid.UUID(first["id"])) == first["id"]
    assert first["geometry"] == {"type": "Polygon", "coordinates": SQUARE}
    told = first["properties"]
    assert told["classification"] == {"name": "Neutrophil", "color": [0, 194, 168]}
    assert told["measurements"]["class_score"] == 0.8
    assert told["metadata"]["cell_size"] == "large"
    assert "classification" not in second["properties"]
    assert [each["properties"]["objectType"] for each in (first, second)] == ["annotation", "detection"]
    assert ignored["properties"]["classification"]["name"] == "Ignore*"
    numbers = [v for each in content["features"] for v in each["properties"].get("measurements", {}).values()]
    assert all(isinstance(value, float) and np.isfinite(value) for value in numbers)


def test_cells_survive_qupath(field: Field, tmp_path: Path) -> None:
    regions = np.array([[0, 0, 150, 150]], np.float32)
    scale = Scale((0.1, 0.1), 0.01, 20, True, (1, 1))
    known = replace(field, cells=replace(field.cells, scale=scale), labelled_regions=regions)
    write_geojson(tmp_path / "field.geojson", [known])
    content = json.loads((tmp_path / "field.geojson").read_text())
    del content["bloodfilm"]
    content["features"][2]["properties"]["classification"] = {"name": "Lymphoblast", "color": [1, 2, 3]}
    (tmp_path / "images" / "field.geojson").write_text(json.dumps(content))
    (back,) = read_geojson(tmp_path / "images" / "field.geojson")
    assert (back.name, back.width, back.height, back.path) == ("field.png", 200, 160, field.path)
    assert back.cells.class_names == ["Neutrophil", "unknown type", "Lymphoblast"]
    assert back.cells.vocabulary == LLD
    for name in ("boxes", "scores", "class_scores", "attributes", "attribute_scores"):
        np.testing.assert_array_equal(getattr(back.cells, name), getattr(field.cells, name))
    assert list(back.cells.extra) == ["diameter_um"]
    np.testing.assert_array_equal(back.ignored, field.ignored)
    np.testing.assert_array_equal(back.labelled_regions, regions)


@pytest.mark.parametrize("wrap", [True, False])
def test_what_was_drawn_in_qupath_are_cells(tmp_path: Path, wrap: bool) -> None:
    circle = [[30 + 10 * np.cos(a), 40 + 20 * np.sin(a)] for a in np.linspace(0, 2 * np.pi, 81)]
    ellipse = {"geometry": {"type": "Polygon", "isEllipse": True, "coordinates": [circle]}}
    parts = {"geometry": {"type": "MultiPolygon", "coordinates": [SQUARE, [[[70, 5], [90, 5], [90, 9]]]]}}
    measured = annotation(measurements=[{"name": "score", "value": 0.5}], classification={"names": ["Myeloblast"]})
    inside = annotation(classification={"name": "Monocyte", "colorRGB": -1}, childObjects=[annotation() | parts])
    inside["properties"]["childObjects"][0]["type"] = "Feature"
    path = exported(tmp_path / "a.geojson", ellipse | annotation(), measured, inside, wrap=wrap)
    with pytest.warns(UserWarning, match="a.geojson: 1 pictures are not beside it"):
        (field,) = read_geojson(path)
    assert field.cells.boxes.tolist() == [[20, 20, 40, 60], [10, 20, 60, 80], [10, 20, 60, 80], [10, 5, 90, 80]]
    assert field.cells.class_names == ["unknown type", "Myeloblast", "Monocyte", "unknown type"]
    assert field.cells.scores.tolist() == [1, 0.5, 1, 1]


@pytest.mark.parametrize("name", ["film 1.ome", "slide.v2", "film 1.ome.tif"])
def test_a_picture_with_dots_in_its_name_is_found(tmp_path: Path, name: str) -> None:
    picture = tmp_path / (name.removesuffix(".tif") + ".tif")
    tifffile.imwrite(picture, np.zeros((90, 120, 3), np.uint8), photometric="rgb")
    (field,) = read_geojson(exported(tmp_path / f"{name}.geojson", annotation()))
    assert (field.path, field.width, field.height) == (picture, 120, 90)


def test_a_labelled_region_keeps_its_shape(tmp_path: Path) -> None:
    """A circle stays one within its stairs, a tilted or plain rectangle what it was; what is read is written again."""
    around = [[100 + 50 * np.cos(a), 60 + 50 * np.sin(a)] for a in np.linspace(0, 2 * np.pi, 90)]
    plain = [[200, 10], [240, 10], [240, 30], [200, 30], [200, 10]]
    region = {"classification": {"name": "Region*"}}
    shapes = [annotation(**region) | {"geometry": {"type": "Polygon", "coordinates": [c]}} for c in (around, plain)]
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": shapes}))
    with pytest.warns(UserWarning, match="pictures are not beside"):
        (field,) = read_geojson(tmp_path / "a.geojson")
    assert field.labelled_regions is not None
    assert field.labelled_regions[-1].tolist() == [200, 10, 240, 30]
    areas = (field.labelled_regions[:, 2:] - field.labelled_regions[:, :2]).prod(1)
    assert areas[:-1].sum() == pytest.approx(np.pi * 50**2, rel=0.02)
    whole = replace(field, width=640, height=640)
    near = np.array([[98, 58, 102, 62], [52, 12, 56, 16], [218, 18, 222, 22]], np.float32)
    assert whole.looked_at(near).tolist() == [True, False, True]
    write_geojson(tmp_path / "again.geojson", [field])
    (again,) = read_geojson(tmp_path / "again.geojson")
    np.testing.assert_array_equal(again.labelled_regions, field.labelled_regions)


def test_a_hole_in_a_region_is_told(tmp_path: Path) -> None:
    hole = [[12, 12], [14, 12], [14, 14], [12, 12]]
    shape = {"geometry": {"type": "Polygon", "coordinates": [*SQUARE, hole]}}
    content = [annotation(classification={"name": "Region*"}) | shape]
    (tmp_path / "a.geojson").write_text(json.dumps(content))
    with pytest.warns(UserWarning, match=r"labelled regions with holes, which count as labelled, too: 1"):
        read_geojson(tmp_path / "a.geojson")


def test_types_that_lld_lacks_keep_their_names(tmp_path: Path) -> None:
    named = [annotation(classification={"name": name, "color": [1, 2, 3]}) for name in ("Smudge", "Neutrophil")]
    with pytest.warns(UserWarning, match="not beside"):
        (field,) = read_geojson(exported(tmp_path / "a.geojson", *named))
    assert field.cells.class_names == ["Smudge", "Neutrophil"]


def test_points_and_lines_are_left_out_and_told(tmp_path: Path) -> None:
    point = {"geometry": {"type": "Point", "coordinates": [1, 2]}} | annotation()
    with pytest.warns(UserWarning) as told:
        (field,) = read_geojson(exported(tmp_path / "a.geojson", point, annotation()))
    assert "1 features without area, points or lines, are left out" in str(told[0].message)
    assert len(field.cells) == 1


def test_a_type_named_like_an_auxiliary_cell_is_a_cell(field: Field, tmp_path: Path) -> None:
    vocabulary = Vocabulary(("Platelet",), (Attribute("size", ("s",)),))
    cells = replace(field.cells[:1], codes=[0], attributes=[[0]], attribute_scores=[[1]], vocabulary=vocabulary)
    write_geojson(tmp_path / "a.geojson", [replace(field, cells=cells)])
    assert read_geojson(tmp_path / "a.geojson")[0].cells.class_names == ["Platelet"]


def test_several_pictures_are_a_folder_with_a_file_each(field: Field, tmp_path: Path) -> None:
    second = replace(field, name="deep/er/second.png", cells=field.cells[:0])
    write_geojson(tmp_path / "out", [field, second])
    assert (tmp_path / "out" / "deep" / "er" / "second.geojson").is_file()
    assert [each.name for each in read_geojson(tmp_path / "out")] == ["deep/er/second.png", "images/field.png"]
    with pytest.raises(UserError, match=r"a.geojson: QuPath has a file for each picture, here are 2: give a folder"):
        write_geojson(tmp_path / "a.geojson", [field, second])
    with pytest.raises(UserError, match=r"b.tif: another picture has labels called b.geojson"):
        write_geojson(tmp_path / "twice", [replace(field, name="b.png"), replace(field, name="b.tif")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "out"]


@pytest.mark.parametrize(
    ("content", "ours"),
    [
        ('{"features": [{"properties": {"objectType": "cell"}}]}', True),
        ('[{"properties": {"objectType": "cell"}}]', True),
        ('{"features": [{"properties": {"city": "Lahore"}}]}', False),
        ('{"features": 3}', False),
        ("{", False),
    ],
)
def test_maps_are_left_to_other_programs(tmp_path: Path, content: str, ours: bool) -> None:
    (tmp_path / "a.geojson").write_text(content)
    assert looks_like_geojson(tmp_path / "a.geojson") is ours
    assert looks_like_geojson(tmp_path) is ours


def test_unknown_codes_stay_unknown(field: Field, tmp_path: Path) -> None:
    write_geojson(tmp_path / "a.geojson", [field])
    assert read_geojson(tmp_path / "a.geojson")[0].cells.codes.tolist() == [3, UNKNOWN, 1]


def test_a_folder_with_what_macos_left_behind_is_read(field: Field, tmp_path: Path) -> None:
    write_geojson(tmp_path / "out", [field])
    (tmp_path / "out" / "__MACOSX").mkdir()
    for name in ("__MACOSX/._a.geojson", "._a.geojson"):
        (tmp_path / "out" / name).write_bytes(b"\x00\x05\x16\x07")
    assert looks_like_geojson(tmp_path / "out")
    assert [each.name for each in read_geojson(tmp_path / "out")] == ["images/field.png"]


def test_what_is_said_of_a_picture_of_another_size_is_scaled_to_it(field: Field, tmp_path: Path) -> None:
    regions = np.array([[0, 0, 150, 150]], np.float32)
    scale = Scale((0.1, 0.1), 0.01, 20, True, (1, 1))
    write_geojson(
        tmp_path / "a.geojson",
        [replace(field, cells=replace(field.cells, scale=scale), name="a.png", labelled_regions=regions)],
    )
    Pillow.new("RGB", (400, 80)).save(tmp_path / "a.png")
    with pytest.warns(Mended, match="1 pictures have another size than it says.*a.png, 400 x 80 px instead of 200 x"):
        (back,) = read_geojson(tmp_path / "a.geojson")
    twice = np.array([2, 0.5, 2, 0.5])
    assert (back.path, back.width, back.height) == (tmp_path / "a.png", 400, 80)
    np.testing.assert_allclose(back.cells.boxes, field.cells.boxes * twice)
    np.testing.assert_allclose(back.ignored, field.ignored * twice)
    np.testing.assert_allclose(back.labelled_regions, regions * twice)
    assert back.cells.scale is None


def test_a_picture_of_the_same_name_elsewhere_is_another_one_if_its_size_is_not_what_is_said(
    field: Field, tmp_path: Path
) -> None:
    write_geojson(tmp_path / "a.geojson", [replace(field, name="gone/a.png")])
    Pillow.new("RGB", (200, 160)).save(tmp_path / "a.png")
    assert read_geojson(tmp_path / "a.geojson")[0].path == tmp_path / "a.png"
    Pillow.new("RGB", (400, 80)).save(tmp_path / "a.png")
    with pytest.warns(UserWarning, match="1 pictures count as missing"):
        (back,) = read_geojson(tmp_path / "a.geojson")
    assert (back.path, back.width, back.height) == (tmp_path / "gone" / "a.png", 200, 160)
    np.testing.assert_array_equal(back.cells.boxes, field.cells.boxes)


def test_utf_16_with_its_mark_is_read(field: Field, tmp_path: Path) -> None:
    write_geojson(tmp_path / "a.geojson", [field])
    (tmp_path / "a.geojson").write_text((tmp_path / "a.geojson").read_text(), encoding="utf-16")
    assert looks_like_geojson(tmp_path / "a.geojson")
    assert [back.name for back in read_geojson(tmp_path / "a.geojson")] == [field.name]


def test_boxes_are_cut_at_the_edge_of_their_picture(field: Field, tmp_path: Path) -> None:
    cells = Cells([[-5, 10, 20, 30], [190, 150, 220, 180], [210, 10, 230, 30]])
    write_geojson(tmp_path / "a.geojson", [replace(field, cells=cells)])
    with pytest.warns(UserWarning, match="a.geojson: 1 boxes have no area inside"):
        (again,) = read_geojson(tmp_path / "a.geojson")
    assert again.cells.boxes.tolist() == [[0, 10, 20, 30], [190, 150, 200, 160]]
