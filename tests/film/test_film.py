from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bloodfilm import read_films, write_coco
from bloodfilm.cells import Field
from bloodfilm.errors import LabelError


def write(path: Path, fields: list[Field], *names: str) -> Path:
    write_coco(path, [replace(field, name=name) for field, name in zip(fields, names, strict=False)], {"model": "m"})
    return path


def films(path: Path, by: str = "auto") -> dict[str, int]:
    return {film.name: len(film.fields) for film in read_films(path, by)}  # type: ignore[arg-type]


def test_patients_are_films_where_all_names_tell_them(fields: list[Field], tmp_path: Path) -> None:
    names = ("x/4_8_1000_ALL.png", "y/4_9_1000_ALL.png", "x/31_2_1000_CML.png")
    path = write(tmp_path / "cells.json", fields, *names)
    assert films(path) == {"patient 4": 2, "patient 31": 1}
    assert films(path, "folder") == {"x": 2, "y": 1}
    assert films(path, "file") == {tmp_path.name: 3}


def test_folders_are_films_of_those_that_tell_no_patient(fields: list[Field], tmp_path: Path) -> None:
    path = write(tmp_path / "found.json", fields, "b/images/1.png", "4_8_1000_ALL.png", "film 10/1.png", "film 9/2.png")
    assert list(films(path)) == ["b", "film 9", "film 10", "patient 4"]
    assert films(path, "folder") == {"b": 1, "film 9": 1, "film 10": 1, "found": 1}
    path = write(tmp_path / "found.json", fields, "test/images/1.png", "train/1.png", "control/1.png")
    assert films(path, "folder") == {"control": 1, "test": 1, "train": 1}


def test_patients_stay_apart_beside_pictures_that_tell_none(fields: list[Field], tmp_path: Path) -> None:
    path = write(tmp_path / "found.json", fields, "4_8_1000_ALL.png", "31_2_1000_CML.png", "x/1.png")
    assert [(film.name, film.grouped_by) for film in read_films(path)] == [
        ("patient 4", "patient"),
        ("patient 31", "patient"),
        ("x", "folder"),
    ]


def test_a_film_is_named_after_the_folder_of_its_pictures(field: Field, tmp_path: Path) -> None:
    home = tmp_path / "film 7"
    (home / "images").mkdir(parents=True)
    field.path.rename(home / "images" / "a.png")
    out = tmp_path / "results"
    write_coco(out / "cells.json", [replace(field, name="a.png")], {"pictures": "../film 7/images"})
    assert list(films(out)) == ["film 7"]
    (home / "images" / "a.png").unlink()
    assert list(films(out)) == ["film 7"]


def test_what_is_given_twice_counts_once_and_is_told(fields: list[Field], tmp_path: Path) -> None:
    path = write(tmp_path / "one" / "cells.json", fields, "a.png")
    copy = tmp_path / "copy.json"
    copy.write_bytes(path.read_bytes())
    with pytest.warns(UserWarning) as told:
        found = read_films([tmp_path / "one", path, copy])
    assert [film.name for film in found] == ["one"]
    assert [str(each.message).split(": ")[1] for each in told] == [
        "given twice; it counts once.",
        f"the same as {path}; it counts once.",
    ]


def test_pictures_in_several_files_are_told(field: Field, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_coco(tmp_path / name / "cells.json", [field], {"pictures": "..", "model": name})
    with pytest.warns(UserWarning, match="in several of the files: 1, for instance .*field.png"):
        assert len(read_films([tmp_path / "a", tmp_path / "b"])) == 2


def test_what_is_no_file_of_reports_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "found.csv").touch()
    with pytest.raises(LabelError, match="nowhere: no such file or folder"):
        read_films(tmp_path / "nowhere")
    with pytest.raises(LabelError, match=r"no cells.json in it; give the --out of detect, or a COCO file"):
        read_films(tmp_path)
    with pytest.raises(
        LabelError, match=r"found.csv: reports are made of COCO files. `bloodfilm convert .*found.json`"
    ):
        read_films(tmp_path / "found.csv")


def test_a_patient_that_no_name_tells_is_named(fields: list[Field], tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", fields, "4_8_1000_ALL.png", "stranger.png")
    with pytest.raises(LabelError, match=r"stranger\.png tells no patient"):
        read_films(path, "patient")


def test_a_folder_of_results_and_several_files_are_read(fields: list[Field], tmp_path: Path) -> None:
    write(tmp_path / "one" / "cells.json", fields, "a.png")
    write(tmp_path / "two" / "cells.json", fields[1:], "a.png", "b.png")
    found = read_films([tmp_path / "one", tmp_path / "two" / "cells.json"])
    assert [film.name for film in found] == ["one", "two"]
    assert found[0].provenance["model"] == "m"
    assert len(found[0].provenance["file_sha256"]) == 64


def test_films_of_one_name_are_told_apart(fields: list[Field], tmp_path: Path) -> None:
    paths = [write(tmp_path / name, fields[place:], "x/a.png") for place, name in enumerate(("p.json", "q.json"))]
    names = [film.name for film in read_films(paths)]
    assert len(set(names)) == 2
    assert names == ["x (p)", "x (q)"]


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "Invalid JSON"), ('{"images": []}', "lists no pictures"), ("[]", "a.json"), (None, "no such file")],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "a.json").write_text(content)
    with pytest.raises(LabelError, match=message) as error:
        read_films(tmp_path / "a.json")
    assert "a.json" in str(error.value)


@pytest.mark.parametrize("info", [None, [1], "x"])
def test_an_odd_info_is_no_provenance(fields: list[Field], tmp_path: Path, info: object) -> None:
    path = write(tmp_path / "a.json", fields, "a.png")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"info": info}))
    assert set(read_films(path)[0].provenance) == {"file", "file_sha256"}


def test_pictures_are_found_where_the_file_says_or_the_caller(field: Field, tmp_path: Path) -> None:
    out = tmp_path / "results" / "today"
    for info, given, found in (({"pictures": "../.."}, None, True), ({}, None, False), ({}, tmp_path, True)):
        write_coco(out / "cells.json", [field], info)
        assert read_films(out, pictures=given)[0].fields[0].path.is_file() == found
