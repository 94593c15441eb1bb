from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from bloodfilm.cells import Field
from bloodfilm.errors import LabelError, UserError
from bloodfilm.training.fine_tune import parts
from bloodfilm.training.project import (
    COMPARISON,
    FIELDS,
    LOCK,
    LOG,
    PROJECT,
    Project,
    choose_judges,
    choose_method,
    load,
    rounds_done,
    rows_done,
    save,
    taught,
    unfinished,
)
from bloodfilm.training.settings import Settings

IN_PART = np.array([[0, 0, 30, 30]], np.float32)


@pytest.fixture
def project() -> Project:
    return Project(method="attridet", settings=Settings(epochs=3, scale=(0.7, 1.4)), minutes=2.5)


def test_a_project_comes_back_as_it_was_saved(fields: list[Field], project: Project, tmp_path: Path) -> None:
    sparse = [replace(fields[0], labelled_regions=IN_PART), *fields[1:]]
    save(tmp_path, project, sparse)
    loaded, back = load(tmp_path)
    assert (loaded.method, loaded.settings, loaded.minutes) == ("attridet", project.settings, 2.5)
    assert [field.path for field in back] == [field.path.absolute() for field in fields]
    for before, after in zip(sparse, back, strict=True):
        np.testing.assert_allclose(after.cells.boxes, before.cells.boxes)
        assert (after.cells.codes == before.cells.codes).all()
    assert back[0].labelled_regions is not None
    np.testing.assert_array_equal(back[0].labelled_regions, IN_PART)


def test_a_project_that_an_editor_saved_in_utf_16_is_read(
    fields: list[Field], project: Project, tmp_path: Path
) -> None:
    save(tmp_path, project, fields)
    (tmp_path / PROJECT).write_text((tmp_path / PROJECT).read_text(), encoding="utf-16")
    assert load(tmp_path)[0].settings == project.settings


def test_a_project_is_not_overwritten(fields: list[Field], project: Project, tmp_path: Path) -> None:
    save(tmp_path, project, fields)
    with pytest.raises(UserError, match="go on with it"):
        save(tmp_path, project, fields)


def test_a_picture_that_changed_is_told(fields: list[Field], project: Project, tmp_path: Path) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes(fields[0].path.read_bytes())
    save(tmp_path / "run", project, [replace(fields[0], path=copy), fields[1]])
    load(tmp_path / "run")
    copy.write_bytes(fields[1].path.read_bytes())
    with pytest.raises(UserError, match=r"copy\.png is not the picture that was labelled"):
        load(tmp_path / "run")
    copy.unlink()
    with pytest.raises(UserError, match=r"copy\.png"):
        load(tmp_path / "run")


def test_two_fields_of_one_picture_are_refused(fields: list[Field], project: Project, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one picture"):
        save(tmp_path, project, [fields[0], fields[0]])
    assert not (tmp_path / PROJECT).exists()


def test_a_wrong_project_is_named_with_its_place(fields: list[Field], project: Project, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no training"):
        load(tmp_path)
    save(tmp_path, project, fields)
    content = json.loads((tmp_path / PROJECT).read_text())
    (tmp_path / PROJECT).write_text(json.dumps(content | {"method": "guess"}))
    with pytest.raises(LabelError, match=r"project\.json: method"):
        load(tmp_path)


def test_the_method_follows_from_what_is_labelled(fields: list[Field]) -> None:
    assert choose_method(fields)[0] == "attridet"
    method, reason = choose_method([replace(fields[0], labelled_regions=IN_PART), *fields[1:]])
    assert method == "sladet"
    assert f"1 of {len(fields)}" in reason
    judges = [str(fields[0].path.absolute())]
    assert choose_method([replace(fields[0], labelled_regions=IN_PART), *fields[1:]], judges)[0] == "attridet"


def test_one_field_of_three_judges_whatever_their_order(fields: list[Field], project: Project) -> None:
    assert choose_judges(fields[:2]) == []
    chosen = choose_judges(fields[:3])
    assert len(chosen) == 1
    assert chosen == choose_judges(fields[2::-1])
    named = [replace(field, name=str(field.path.absolute())) for field in fields[:3]]
    learned, judges = parts(project.model_copy(update={"judged_by": chosen}), named)
    assert [str(field.path.absolute()) for field in judges] == chosen
    assert len(learned) == 2
    assert parts(project, fields[:2])[1] == fields[:2]


def test_files_are_json_that_others_can_read(fields: list[Field], project: Project, tmp_path: Path) -> None:
    save(tmp_path, project, fields)
    load(tmp_path)
    assert json.loads((tmp_path / FIELDS).read_text())["images"]
    assert set(json.loads((tmp_path / PROJECT).read_text())["pictures"]) == {str(f.path.absolute()) for f in fields}


def test_trainings_that_can_be_gone_on_with_are_found(fields: list[Field], project: Project, tmp_path: Path) -> None:
    for name, rounds in (("half", 1), ("whole", 3), ("new", 0)):
        save(tmp_path / name, project, fields)
        (tmp_path / name / LOG).write_text("".join(f"{line}\n" for line in ("epoch", *range(1, rounds + 1))))
    shutil.copytree(tmp_path / "whole", tmp_path / "compared")
    (tmp_path / "compared" / COMPARISON).write_text("{}")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / LOG).write_text("epoch\n1\n")
    assert {folder.name for folder in unfinished(tmp_path)} == {"half", "whole"}
    assert unfinished(tmp_path / "nowhere") == []
    with FileLock(tmp_path / "half" / LOCK):
        assert [folder.name for folder in unfinished(tmp_path)] == ["whole"]
    assert {folder.name for folder in unfinished(tmp_path)} == {"half", "whole"}


@pytest.mark.parametrize("cut", ["2", "2,0.4,", "2,0.4,1e-", "2,0.4,0.1,3,0.3,0.2"])
def test_a_row_that_was_cut_is_left_out(tmp_path: Path, cut: str) -> None:
    (tmp_path / LOG).write_text(f"epoch,ap50,ap\n1,0.5,0.25\n{cut}")
    assert rows_done(tmp_path) == [{"epoch": 1, "ap50": 0.5, "ap": 0.25}]
    with (tmp_path / LOG).open("a") as file:
        file.write("\n4,0.5,0.25\n")
    assert rounds_done(tmp_path) == 4


def test_only_what_somebody_looked_at_is_taught(fields: list[Field]) -> None:
    left = np.array([[0, 0, 48, 96]], np.float32)
    nowhere = replace(fields[1], labelled_regions=np.empty((0, 4), np.float32))
    in_part, whole = taught([replace(fields[0], labelled_regions=left), nowhere, fields[2]])
    np.testing.assert_array_equal(in_part.cells.boxes, fields[0].cells.boxes[:1])
    assert len(whole.cells) == len(fields[2].cells)


def test_a_project_with_its_own_pictures_can_be_moved(fields: list[Field], project: Project, tmp_path: Path) -> None:
    own = tmp_path / "run" / "pictures" / "one.png"
    own.parent.mkdir(parents=True)
    own.write_bytes(fields[0].path.read_bytes())
    judged = project.model_copy(update={"judged_by": [str(own)]})
    save(tmp_path / "run", judged, [replace(fields[0], path=own), fields[1]])
    load(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    loaded, back = load(tmp_path / "moved")
    assert back[0].path == tmp_path / "moved" / "pictures" / "one.png"
    assert loaded.judged_by == ["pictures/one.png"] == [back[0].name]
