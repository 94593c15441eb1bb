"""What lies in the folder that results are to be written to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bloodfilm.cells import Field
from bloodfilm.errors import UserError
from bloodfilm.io.coco import read_coco
from bloodfilm.io.formats import write_fields

WritePicture = Callable[[str], Path]


def test_results_of_an_earlier_run_do_not_stay(detect: Callable[..., Path], write_picture: WritePicture) -> None:
    good = write_picture("good.png")
    bad = good.with_name("bad.png")
    bad.write_bytes(b"broken")
    out = detect(good, bad, "--keep-candidates", status=3)
    (out / "notes.txt").touch()
    assert len(list(out.iterdir())) == 5
    detect(good, "--format", "coco")
    assert sorted(path.name for path in out.iterdir()) == ["cells.json", "notes.txt"]


@pytest.mark.parametrize("state", ["accepted", ""])
@pytest.mark.parametrize("name", ["cells.json", "cells.csv", "candidates.json"])
def test_what_napari_saved_is_neither_replaced_nor_removed(
    detect: Callable[..., Path], write_picture: WritePicture, name: str, state: str
) -> None:
    picture = write_picture("in/a.png")
    out = detect(picture, "--keep-candidates")
    info = json.loads((out / "cells.json").read_text())["info"]
    (field,) = read_coco(out / "cells.json")
    cells = replace(field.cells, extra={"review": np.array(["", *[state] * (len(field.cells) - 1)], object)})
    write_fields(out / name, [replace(field, cells=cells)], info=info)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for formats in ("coco", "csv", "coco,csv"):
        with pytest.raises(UserError, match=rf"{name}: there already, .*saved by napari"):
            detect(picture, "--format", formats)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cells.json", "{broken"),
        ("candidates.json", "[1, 2]"),
        ("cells.csv", "patient,leukocytes\n7,12\n"),
        ("cells.csv", "image,x0,y0,x1,y1,class,score\na.png,1,2,30,40,Monocyte,1.0\n"),
        ("cells.csv", ""),
        ("failed.csv", "experiment\n7\n"),
    ],
)
def test_a_file_of_another_origin_is_neither_replaced_nor_removed(
    detect: Callable[..., Path], write_picture: WritePicture, tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text(content)
    with pytest.raises(UserError, match=f"{name}: there already"):
        detect(write_picture("a.png"))
    assert [(path.name, path.read_text()) for path in (tmp_path / "out").iterdir()] == [(name, content)]


@pytest.mark.parametrize("name", ["cells.json", "cells.csv"])
def test_labels_are_not_taken_for_results(detect: Callable[..., Path], field: Field, tmp_path: Path, name: str) -> None:
    by_hand = replace(field.cells, scores=np.ones(3, np.float32), class_scores=np.full(3, np.nan, np.float32))
    write_fields(tmp_path / "out" / name, [replace(field, cells=by_hand)], info={"bloodfilm": "1", "source": "x.csv"})
    with pytest.raises(UserError, match=f"{name}: there already"):
        detect(field.path)


def test_results_without_a_cell_are_replaced(
    detect: Callable[..., Path], write_picture: WritePicture, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"broken")
    detect(tmp_path / "broken.png", status=3)
    out = detect(write_picture("a.png"))
    assert sorted(path.name for path in out.iterdir()) == ["cells.csv", "cells.json"]
