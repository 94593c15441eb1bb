"""The command line scores what was found."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run
from typer.testing import CliRunner

from bloodfilm.cells import Cells, Field
from bloodfilm.cli import app
from bloodfilm.errors import LabelError, UserError
from bloodfilm.io.coco import write_coco
from bloodfilm.io.formats import write_fields
from bloodfilm.io.lld.dataset import read_lld


def test_evaluate_scores_a_file_against_another(field: Field, tmp_path: Path) -> None:
    certain = Field(field.path, field.cells[[0, 2]], 200, 160, field.ignored, name="a.png")
    write_coco(tmp_path / "truth.json", [Field(field.path, field.cells, 200, 160, field.ignored, name="a.png")])
    write_coco(tmp_path / "found.json", [certain])
    options = ("evaluate", "--truth", tmp_path / "truth.json", "--found", tmp_path / "found.json")
    result = json.loads(run(*options, "--json"))
    assert result["detection"]["recall"] == pytest.approx(2 / 3)
    assert result["attributes"]["class"]["accuracy"] == 1
    shown = run(*options)
    assert "0.667" in shown
    assert "cell_size" in shown


def test_evaluate_tells_which_pictures_were_not_searched(field: Field, tmp_path: Path) -> None:
    fields = [Field(field.path, field.cells, 200, 160, name=f"{number}.png") for number in range(14)]
    write_coco(tmp_path / "truth.json", fields)
    write_coco(tmp_path / "found.json", fields[:2])
    options = ("evaluate", "--truth", tmp_path / "truth.json", "--found", tmp_path / "found.json")
    shown = " ".join(run(*options).split())
    assert "NOT SEARCHED: 12 of 14 pictures" in shown
    assert "2.png, 3.png" in shown
    assert "11.png, ..." in shown
    assert "NOT SEARCHED" not in run("evaluate", "--truth", tmp_path / "found.json", "--found", tmp_path / "truth.json")


def test_a_score_that_is_not_there_is_still_json(field: Field, tmp_path: Path) -> None:
    bare = Field(field.path, Cells(field.cells.boxes), 200, 160, name="a.png")
    write_coco(tmp_path / "both.json", [bare])
    shown = run("evaluate", "--truth", tmp_path / "both.json", "--found", tmp_path / "both.json", "--json")

    def refuse(word: str) -> Any:
        raise ValueError(word)

    assert json.loads(shown, parse_constant=refuse)["attributes"]["class"]["macro_f1"] is None


@pytest.mark.parametrize(
    ("scores", "types", "review", "told"),
    [
        ((0.9, 0.8, 1), None, ("", "", ""), "2 cells"),
        ((1, 1, 1), (0.7, np.nan, np.nan), ("", "", ""), "1 cell "),
        ((0.9, 0.8, 1), None, ("accepted", "", ""), "1 cell "),
        ((1, 1, 1), None, ("", "", ""), ""),
    ],
)
def test_finds_that_nobody_reviewed_are_told(
    field: Field, scores: Any, types: Any, review: Sequence[str], told: str, tmp_path: Path
) -> None:
    cells = replace(field.cells, scores=scores, class_scores=types, extra={"review": np.array(review, object)})
    write_coco(tmp_path / "cells.json", [replace(field, cells=cells)])
    options = ("evaluate", "--truth", tmp_path / "cells.json", "--found", tmp_path / "cells.json")
    said = CliRunner().invoke(app, [str(each) for each in options]).stderr
    assert (f"Taken for true: {told}" in said) if told else "Taken for true" not in said


def test_a_table_is_to_be_converted_before_it_is_scored(field: Field, tmp_path: Path) -> None:
    write_coco(tmp_path / "truth.json", [field])
    write_fields(tmp_path / "found cells.csv", [field])
    with pytest.raises(LabelError, match=r"csv, not COCO: `bloodfilm convert '.*found cells.csv' 'found cells.json'`"):
        run("evaluate", "--truth", tmp_path / "truth.json", "--found", tmp_path / "found cells.csv")


def test_evaluate_refuses_what_was_trained_on(tmp_path: Path) -> None:
    name = "4_1_1000_ALL.png"
    write_coco(tmp_path / "truth.json", [Field(Path(name), Cells([[1, 1, 20, 20]]), 64, 64, name=name)])
    file = tmp_path / "truth.json"
    refused = CliRunner().invoke(app, ["evaluate", *map(str, ("--truth", file, "--found", file, "--trained-on", file))])
    assert "patients 4" in str(refused.exception)
    assert "Without intervals of confidence: 1 patient" in run("evaluate", "--truth", file, "--found", file)


def test_the_matrix_scores_each_model_on_each_truth(checkpoint: Path, labels: Path, tmp_path: Path) -> None:
    options = ["evaluate", "--matrix", "--out", tmp_path / "matrix", "--device", "cpu"]
    options += ["--model", f"a={checkpoint}", "--truth", f"a={labels}", "--truth", f"b={labels}"]
    result = json.loads(run(*options, "--json"))
    assert [(row["model"], row["truth"]) for row in result["scores"]] == [("a", "a"), ("a", "b")]
    assert "does not say which patients" in run(*options)
    assert {path.name for path in (tmp_path / "matrix").iterdir()} == {
        f"matrix.{s}" for s in ("csv", "json", "svg", "html")
    }


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--truth", "a=x.json"), "takes --model"),
        (("--truth", "x.json", "--model", "a=b", "--out", "o"), "NAME=FILE"),
        (("--truth", "a=x.json", "--model", "a=b", "--model", "a=c", "--out", "o"), "given twice"),
    ],
)
def test_an_unusable_matrix_is_refused(options: tuple[str, ...], said: str) -> None:
    refused = CliRunner().invoke(app, ["evaluate", "--matrix", *options])
    assert isinstance(refused.exception, UserError)
    assert said in str(refused.exception)


def test_a_picture_that_is_listed_again_and_again_is_scored_once(field: Field, tmp_path: Path) -> None:
    write_coco(tmp_path / "whole.json", [field])
    write_coco(tmp_path / "split.json", [replace(field, cells=field.cells[[row]]) for row in range(3)])
    for truth in ("whole.json", "split.json"):
        scores = json.loads(run("evaluate", "--truth", tmp_path / truth, "--found", tmp_path / "split.json", "--json"))
        assert (scores["detection"]["ap50"], scores["detection"]["fields"], scores["detection"]["cells"]) == (1, 1, 3)


@pytest.mark.filterwarnings("ignore:.*:UserWarning:bloodfilm")
def test_labels_of_the_data_set_are_truth_as_they_are(lld: Path, tmp_path: Path) -> None:
    subset = lld / "LeukemiaAttri_Dataset" / "H_100X_C2"
    test = next(part for part in read_lld(subset).parts if part.split == "test").fields
    searched = [replace(each, name=each.path.name) for each in test]
    write_coco(tmp_path / "found.json", searched, {"pictures": str(test[0].path.parent)})
    run("convert", subset, tmp_path / "converted")
    text, zipped = subset / "txt_labels" / "AttriDet" / "test", tmp_path / "labels.zip"
    for truth in (tmp_path / "converted" / "test.json", subset / "json_labels" / "test.json", subset, text):
        scores = json.loads(run("evaluate", "--truth", truth, "--found", tmp_path / "found.json", "--json"))
        assert scores["protocol"]["not_searched"] == []
        assert (scores["detection"]["fields"], scores["detection"]["recall"]) == (4, 1)
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.write(subset / "json_labels" / "test.json", "json_labels/test.json")
    options = ("--found", tmp_path / "found.json", "--trained-on", subset)
    assert "No patient was trained on and tested" in run("evaluate", "--truth", zipped, *options)


@pytest.mark.parametrize(("score_of", "precision"), [("cell", 0.5), ("cell and type", 1)])
def test_the_found_file_says_of_what_its_scores_are(tmp_path: Path, score_of: str, precision: float) -> None:
    cells = Cells([[1, 1, 20, 20], [30, 30, 50, 50]], codes=[3, 3], scores=[0.6, 0.5], class_scores=[0.7, 1.0])
    found = Field(Path("a.png"), cells, 64, 64, name="a.png")
    write_coco(tmp_path / "found.json", [found], {"score_of": score_of})
    write_coco(tmp_path / "truth.json", [replace(found, cells=Cells(cells.boxes[:1], codes=[3]))])
    options = ("--truth", tmp_path / "truth.json", "--found", tmp_path / "found.json", "--json")
    assert json.loads(run("evaluate", *options))["types"]["Neutrophil"]["ap50"] == pytest.approx(precision)
