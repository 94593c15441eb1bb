"""The command line trains, and imports weights."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_line import call, run
from typer.testing import CliRunner

from bloodfilm.cells import Field
from bloodfilm.cli import app
from bloodfilm.cli.training import _read_annotated
from bloodfilm.errors import LabelError, UserError
from bloodfilm.io.coco import read_coco, write_coco
from bloodfilm.io.formats import write_fields
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import read_card
from bloodfilm.training.project import Project
from bloodfilm.training.project import save as save_project
from bloodfilm.training.settings import Settings

WritePicture = Callable[[str], Path]


def test_train_writes_a_checkpoint_that_detect_can_use(labels: Path, tmp_path: Path) -> None:
    options = ("--epochs", 1, "--image-size", 64, "--batch", 2, "--device", "cpu")
    trained = call("train", labels, "--out", tmp_path / "run", *options)
    assert trained.returncode == 0, trained.stderr
    assert "2 fields to train on, 1 to select on, on cpu (" in trained.stderr
    model = tmp_path / "run" / "best.safetensors"
    assert read_card(model).classes == ["Neutrophil"]
    run("detect", labels.parent / "0.png", "--out", tmp_path / "found", "--model", model, "--device", "cpu")
    assert (tmp_path / "found" / "cells.json").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--image-size", "65"),
        ("--size", "z"),
        ("--size", "sm"),
    ],
)
def test_a_size_that_no_network_has_is_the_callers_error(
    labels: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    with pytest.raises(UserError, match="--size is one of n, s, m, l, x"):
        run("train", labels, "--out", tmp_path / "run", "--epochs", 1, *options)


@pytest.mark.slow
def test_train_does_what_a_project_of_the_panel_says(labels: Path, tmp_path: Path) -> None:
    settings = Settings(epochs=1, image_size=64, batch=8, device="cpu")
    save_project(tmp_path / "run", Project(method="attridet", settings=settings), read_coco(labels))
    file = tmp_path / "run" / "project.json"
    trained = call("train", file, "--out", tmp_path / "out")
    assert trained.returncode == 0, trained.stderr
    assert "after: AP50" in trained.stderr
    assert read_card(tmp_path / "out" / "best.safetensors").image_size == 64
    with pytest.raises(UserError, match="leave out --seed"):
        run("train", file, "--out", tmp_path / "other", "--seed", 3)
    with pytest.raises(UserError, match="give --resume"):
        run("train", file, "--out", tmp_path / "out")


def test_fields_that_are_labelled_in_part_are_not_trained_on_as_if_they_were_not(lld: Path, tmp_path: Path) -> None:
    run("convert", lld / "Sparse-LeukemiaAttri", tmp_path / "out")
    with pytest.raises(UserError, match="10 fields are labelled in part only, as is .*_400_"):
        run("train", tmp_path / "out" / "train.json", "--out", tmp_path / "run")


def test_sladet_learns_from_text_with_labelled_regions(lld: Path, tmp_path: Path) -> None:
    options = ("--method", "sladet", "--epochs", 1, "--image-size", 64, "--batch", 10, "--device", "cpu")
    trained = call("train", lld / "Sparse-LeukemiaAttri", "--out", tmp_path / "run", *options)
    assert trained.returncode == 0, trained.stderr
    assert "labelled regions are taken as xyxy pixels: makes sense of 100.0% of the files" in trained.stderr
    assert "Sparse-LeukemiaAttri test: left out." in trained.stderr
    counts = re.search(r"(\d+) fields to train on, (\d+) to select on", trained.stderr)
    assert counts and int(counts[1]) + int(counts[2]) == 10
    assert (tmp_path / "run" / "best.safetensors").exists()


@pytest.mark.parametrize(
    ("method", "init", "guesses", "quiet"),
    [
        ("sladet", None, False, False),
        ("sladet", "wbc-n", False, True),
        ("sladet", "imported", False, False),
        ("sladet-pseudo", "wbc-n", True, False),
    ],
)
def test_regions_are_learned_from_as_the_start_allows(
    method: str, init: str | None, guesses: bool, quiet: bool, tmp_path: Path
) -> None:
    from bloodfilm.cli.training import _method
    from bloodfilm.nets.attridet import AttriDet
    from bloodfilm.nets.checkpoint import Card, save

    if init == "imported":
        save(tmp_path / "imported.safetensors", AttriDet("n", head="none"), Card(name="imported", head="none"))
        init = str(tmp_path / "imported.safetensors")
    options = _method(method, init).options()
    assert options["pseudo"] == guesses
    assert (options["quiet"] > 0) == quiet


def test_wrong_regions_are_told_with_file_and_row_before_anything_is_trained(lld: Path, tmp_path: Path) -> None:
    shutil.copytree(lld / "Sparse-LeukemiaAttri", tmp_path / "sparse")
    file = next(p for p in sorted((tmp_path / "sparse" / "labels" / "train").iterdir()) if p.stat().st_size)
    words = file.read_text().split()
    file.write_text(" ".join([*words[:5], "0", "0", "10", "10", *words[9:16]]) + "\n")
    result = call("train", tmp_path / "sparse", "--method", "sladet", "--out", tmp_path / "run")
    assert result.returncode == 2
    assert f"{file}: line 1: the region 0, 0, 10, 10 does not hold the middle of its cell" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("method", ["attridet", "sladet"])
def test_other_formats_are_to_be_converted(field: Field, tmp_path: Path, method: str) -> None:
    write_fields(tmp_path / "cells.csv", [field])
    with pytest.raises(LabelError, match=r"cells.csv: csv, not COCO: `bloodfilm convert .*cells.json`"):
        _read_annotated([tmp_path / "cells.csv"], method)


def test_one_field_cannot_be_split_for_training(field: Field, tmp_path: Path) -> None:
    write_coco(tmp_path / "labels.json", [field])
    with pytest.raises(UserError, match="at least two fields"):
        run("train", tmp_path / "labels.json", "--out", tmp_path / "run")


def test_a_warning_is_one_line(labels: Path, tmp_path: Path) -> None:
    labels.write_text(labels.read_text().replace("Neutrophil", "Segmented"))
    result = call("train", labels, "--out", tmp_path / "run", "--device", "abacus")
    assert result.returncode == 2
    warning, error = result.stderr.splitlines()
    assert warning.startswith(f"warning: {labels}: no class is called Segmented;")
    assert "abacus" in error


@pytest.fixture
def foreign(network: AttriDet, tmp_path: Path) -> Path:
    """The detector of the untrained network as YOLOv5 keeps one, with a class of its own."""
    names = ["Smudge", *network.vocabulary.classes[1:]]
    torch.save({"model": network.detector.state_dict(), "names": names, "opt": {"imgsz": 96}}, tmp_path / "best.pt")
    return tmp_path / "best.pt"


@pytest.mark.slow
def test_imported_weights_can_be_used_and_trained(
    foreign: Path, labels: Path, write_picture: WritePicture, tmp_path: Path
) -> None:
    model = tmp_path / "new" / "imported.safetensors"
    told = call("import-weights", foreign, model)
    assert told.returncode == 0, told.stderr
    assert told.stderr.startswith("size n, 14 classes, no attributes, 96 px -> ")
    run("detect", write_picture("a.png"), "--out", tmp_path / "out", "--model", model, "--device", "cpu")
    (field,) = read_coco(tmp_path / "out" / "cells.json")
    assert len(field.cells)
    assert json.loads((tmp_path / "out" / "cells.json").read_text())["info"]["score_of"] == "cell and type"
    options = ("--epochs", 1, "--image-size", 64, "--batch", 2, "--device", "cpu", "--init", model)
    trained = call("train", labels, "--out", tmp_path / "run", *options)
    assert trained.returncode == 0, trained.stderr
    assert f"warning: {model}: 349 of 349 tensors fit and are taken over." in trained.stderr
    assert read_card(tmp_path / "run" / "best.safetensors").head == "own"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("best.pt", "best.pt"), "best.pt: call the checkpoint to write something.safetensors"),
        (("best.pt", "a.safetensors", "--published"), "--published says how attributes are read"),
        (("labels.txt", "new/a.safetensors"), "labels.txt is not a whole file of PyTorch"),
        (("best.pt", "new/a.safetensors", "--attributes", "best.pt"), "best.pt is no attribute head of AttriDet"),
        (("best.pt", "old.safetensors"), "old.safetensors: there already"),
    ],
    ids=["order", "published", "text", "head", "there"],
)
def test_what_cannot_be_imported_is_the_callers_error(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.txt").write_text("0 0.5 0.5 0.1 0.1")
    (tmp_path / "old.safetensors").write_text("mine")
    before = foreign.read_bytes()
    with pytest.raises(UserError, match=message):
        run("import-weights", *arguments)
    assert foreign.read_bytes() == before
    assert (tmp_path / "old.safetensors").read_text() == "mine"
    assert not (tmp_path / "new").exists()


@pytest.mark.filterwarnings("ignore:Colours stay as they are")
def test_train_adapts_to_pictures_without_labels(checkpoint: Path, labels: Path, tmp_path: Path) -> None:
    options = ["train", labels, "--method", "adapt", "--out", tmp_path / "run", "--device", "cpu"]
    target = ["--target", labels.parent / "0.png"]
    run(*options, *target, "--init", checkpoint, "--by", "reinhard")
    assert read_card(tmp_path / "run" / "adapted.safetensors").method == "adapt"
    sizes = ("--init", checkpoint, "--image-size", 64)
    for missing in ([*options, "--init", checkpoint], [*options, *target], [*options, *target, *sizes]):
        assert isinstance(CliRunner().invoke(app, [str(each) for each in missing]).exception, UserError)


@pytest.mark.parametrize("method", ["attridet", "sladet"])
def test_missing_pictures_are_left_out_of_the_training_and_told(labels: Path, tmp_path: Path, method: str) -> None:
    content = json.loads(labels.read_text())
    for image in content["images"]:
        image |= {"labelled_regions": [[0, 0, 64, 64]]}
    labels.write_text(json.dumps(content))
    (tmp_path / "0.png").unlink()
    with pytest.warns(UserWarning, match="1 of 3 pictures are missing and left out, for instance 0.png"):
        assert len(_read_annotated([labels], method)) == 2


def test_splits_to_test_on_are_not_trained_on(lld: Path) -> None:
    subset = lld / "LeukemiaAttri_Dataset" / "H_100X_C2"
    with pytest.warns(UserWarning, match="H_100X_C2 test: left out"):
        assert len(_read_annotated([subset], "attridet")) == 10


def test_a_way_to_adapt_is_refused_where_nothing_is_adapted(labels: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--method attridet does not"):
        run("train", labels, "--out", tmp_path / "run", "--by", "teacher")


def test_a_way_to_adapt_that_is_none_is_told_before_anything_is_read(tmp_path: Path) -> None:
    gone = tmp_path / "gone.json"
    with pytest.raises(UserError, match="abacus is no way to adapt"):
        run("train", gone, "--method", "adapt", "--target", gone, "--init", gone, "--by", "abacus", "--out", tmp_path)
