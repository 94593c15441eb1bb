"""What `write_lld` promises: the same seed, LLD's pictures, nothing written over. Its faults: tests/io/lld."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from bloodfilm.errors import UserError
from bloodfilm.io.coco import read_coco
from bloodfilm.synth.lld import write_lld


def contents(root: Path) -> dict[str, bytes]:
    """Return every file below `root`, but zips, which hold times."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and path.suffix != ".zip")
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_the_same_seed_writes_the_same_and_another_another(tmp_path: Path) -> None:
    for name, seed in {"a": 3, "b": 3, "c": 4}.items():
        write_lld(tmp_path / name, 1, seed)
    same, other = contents(tmp_path / "b"), contents(tmp_path / "c")
    assert contents(tmp_path / "a") == same
    assert set(same) == set(other)
    assert same != other


def test_pictures_are_squares_in_which_red_cells_are_squeezed(lld: Path) -> None:
    (field, *_) = read_coco(lld / "LeukemiaAttri_Dataset" / "H_100X_C2" / "json_labels" / "train.json")
    with Image.open(field.path) as picture:
        assert (picture.size, picture.mode) == ((640, 640), "RGB")
    sides = field.cells.boxes[:, 2:] - field.cells.boxes[:, :2]
    assert 0.45 < (sides[:, 0] / sides[:, 1]).mean() < 0.75


def test_what_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(UserError, match="there is something already"):
        write_lld(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
