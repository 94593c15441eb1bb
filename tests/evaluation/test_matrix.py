from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from bloodfilm.cells import Field
from bloodfilm.detection.detector import Detector
from bloodfilm.errors import UserError
from bloodfilm.evaluation import matrix
from bloodfilm.evaluation.heat_map import svg
from bloodfilm.evaluation.matrix import Matrix, score_matrix
from bloodfilm.io.coco import read_coco, write_coco
from bloodfilm.io.images import read_image
from bloodfilm.nets.checkpoint import load, save
from bloodfilm.vocabulary import LLD, Vocabulary


@pytest.fixture
def truth(checkpoint: Path, field: Field, tmp_path: Path) -> Path:
    """Labels of two pictures, of patients 4 and 5: what the untrained model finds."""
    names = ("4_1_1000_ALL.png", "5_1_1000_ALL.png")
    for name in names:
        shutil.copy(field.path, tmp_path / name)
    cells = Detector(checkpoint, "cpu").detect(read_image(field.path), min_score=0.1)
    write_coco(tmp_path / "truth.json", [replace(field, name=name, cells=cells) for name in names])
    return tmp_path / "truth.json"


@pytest.fixture
def knowing(checkpoint: Path, tmp_path: Path) -> Path:
    """A model that learned from patient 4."""
    network, card = load(checkpoint)
    save(tmp_path / "knowing.safetensors", network, card.model_copy(update={"patients": ["4"]}))
    return tmp_path / "knowing.safetensors"


def test_each_model_is_scored_on_each_truth_once(
    checkpoint: Path, truth: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    scored: list[str] = []
    score_pair = matrix.score_pair

    def counted(detector: Detector, name: str, *rest: Any) -> dict[str, Any]:
        scored.append(name)
        return score_pair(detector, name, *rest)

    monkeypatch.setattr(matrix, "score_pair", counted)
    out = tmp_path / "out"
    first = score_matrix({"a": checkpoint}, {"x": truth}, out, device="cpu")
    both = score_matrix({"a": checkpoint, "b": checkpoint}, {"x": truth, "y": truth}, out, device="cpu")
    again = score_matrix({"a": checkpoint, "b": checkpoint}, {"x": truth, "y": truth}, out, device="cpu")
    assert scored == ["x", "y", "x", "y"]
    assert first.values("ap50")[0][0] > 0.9
    np.testing.assert_allclose(both.values("ap50"), first.values("ap50")[0][0])
    np.testing.assert_allclose(again.values("ap"), both.values("ap"))
    table = pd.read_csv(out / "matrix.csv")
    assert list(zip(table["model"], table["truth"], strict=True)) == [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]
    for name in ("a", "x", "AP50"):
        assert name in (out / "matrix.html").read_text()
    score_matrix({"a": checkpoint}, {"x": truth}, out, 0.3, device="cpu")
    assert len(scored) == 5
    score_matrix({"a": checkpoint, "b": checkpoint}, {"x": truth, "y": truth}, out, device="cpu")
    assert len(scored) == 5
    assert len(pd.read_csv(out / "matrix.csv")) == 5


def test_unknown_leakage_is_told_beside_fields_that_were_left_out() -> None:
    row = {"model": "a", "truth": "x", "leakage": "unknown for 3 fields", "left_out": 2}
    assert Matrix(["a"], ["x"], [row]).notes == [
        "patients both learned from and tested: unknown for 3 fields (a on x)",
        "fields of patients that the model learned from are left out: 2 (a on x)",
    ]


def test_what_was_scored_is_kept_when_a_later_pair_fails(
    checkpoint: Path, truth: Path, field: Field, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.json"
    write_coco(broken, [replace(field, name="broken.png")])
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(UserError):
        score_matrix({"a": checkpoint}, {"x": truth, "broken": broken}, tmp_path / "out", device="cpu")
    assert len(pd.read_csv(tmp_path / "out" / "matrix.csv")) == 1


def test_missing_pictures_are_left_out_and_told_before_anything_is_scored(
    checkpoint: Path, truth: Path, tmp_path: Path
) -> None:
    (tmp_path / "4_1_1000_ALL.png").rename(tmp_path / "moved.png")
    with pytest.warns(UserWarning, match="1 of 2 pictures are missing and left out, for instance 4_1_1000_ALL.png"):
        (row,) = score_matrix({"a": checkpoint}, {"x": truth}, tmp_path / "out", device="cpu").rows
    assert row["fields"] == 1
    (tmp_path / "moved.png").rename(tmp_path / "4_1_1000_ALL.png")
    (row,) = score_matrix({"a": checkpoint}, {"x": truth}, tmp_path / "out", device="cpu").rows
    assert row["fields"] == 2
    gone = tmp_path / "gone" / "truth.json"
    gone.parent.mkdir()
    gone.write_text(truth.read_text())
    with pytest.raises(UserError, match="none of its 2 pictures is there"):
        score_matrix({"a": checkpoint}, {"x": truth, "y": gone}, tmp_path / "other", device="cpu")
    assert not (tmp_path / "other").exists()


def test_finds_that_nobody_reviewed_are_told(checkpoint: Path, truth: Path, tmp_path: Path) -> None:
    found = read_coco(truth)[:1]
    found = [replace(each, cells=replace(each.cells, scores=np.full(len(each.cells), 0.9))) for each in found]
    write_coco(truth, found)
    with pytest.warns(UserWarning, match=f"x: Taken for true: {len(found[0].cells)} cells that a model found"):
        score_matrix({"a": checkpoint}, {"x": truth}, tmp_path / "out", device="cpu")


def test_patients_that_a_model_learned_from_are_left_out_of_its_tests(
    checkpoint: Path, knowing: Path, truth: Path, tmp_path: Path
) -> None:
    result = score_matrix({"a": checkpoint, "b": knowing}, {"x": truth}, tmp_path / "out", device="cpu")
    assert [(row["fields"], row["left_out"]) for row in result.rows] == [(2, 0), (1, 1)]
    assert any("does not say which patients" in note for note in result.notes)
    assert "fields of patients that the model learned from are left out: 1 (b on x)" in result.notes
    alone = tmp_path / "alone.json"
    write_coco(alone, read_coco(truth)[:1])
    with pytest.raises(UserError, match="learned from every patient of x"):
        score_matrix({"b": knowing}, {"x": alone}, tmp_path / "other", device="cpu")


def test_the_heat_map_is_svg_with_every_score_and_name() -> None:
    drawn = svg(["a & b", "c"], ["x", "a & b"], [[0.5, 1.0], [0.123, math.nan]])
    root = ElementTree.fromstring(drawn)
    words = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert {"a & b", "c", "x", "0.500", "1.000", "0.123", "none"} <= set(words)
    assert drawn.count("stroke=") == 1


def test_types_go_by_the_names_that_a_model_has_for_them(checkpoint: Path, truth: Path, tmp_path: Path) -> None:
    network, card = load(checkpoint)
    turned = Vocabulary(LLD.classes[::-1], LLD.attributes)
    save(tmp_path / "turned.safetensors", network, card.model_copy(update={"vocabulary": turned}))
    models = {"plain": checkpoint, "turned": tmp_path / "turned.safetensors"}
    scores = {row["model"]: row["ap50_all"] for row in score_matrix(models, {"x": truth}, tmp_path, device="cpu").rows}
    assert scores["plain"] > 0.9
    assert scores["turned"] < 0.1
