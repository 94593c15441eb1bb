"""A training as it lies in its folder: what somebody labelled and how to learn from it; known without torch."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from bloodfilm.cells import Field
from bloodfilm.errors import LabelError, UserError
from bloodfilm.io.coco import read_coco, write_coco
from bloodfilm.io.files import read_labels, replacing
from bloodfilm.training.regions import labelled
from bloodfilm.training.settings import Settings

PROJECT, FIELDS, LOG, COMPARISON = "project.json", "fields.json", "log.csv", "comparison.json"
LOCK = ".training.lock"
"""Held by the program that trains in a folder."""

ENOUGH_TO_HOLD_OUT = 3
"""Fields with a cell from which on one is held out to judge by."""

MethodName = Literal["attridet", "sladet"]


class Project(BaseModel):
    """How to learn from the fields in ``fields.json`` beside it.

    Parameters
    ----------
    method : {"attridet", "sladet"}
    settings : Settings
    minutes : float, optional
        Training stops after so long, with the best weights kept.
    judged_by : list of str
        Pictures of the fields that are held out to judge by; without any, those that are learned from judge.
    pictures : dict of str
        SHA-256 of each field's picture, noted when it is loaded for the first time.
    """

    model_config = ConfigDict(extra="forbid")

    method: MethodName
    settings: Settings
    minutes: float | None = None
    judged_by: list[str] = []
    pictures: dict[str, str] = {}


def taught(fields: Sequence[Field]) -> list[Field]:
    """Return the fields of which somebody looked at a part or all, with the cells there only."""
    looked = [field for field in fields if len(labelled(field))]
    return [replace(field, cells=field.cells[field.looked_at(field.cells.boxes)]) for field in looked]


def choose_method(fields: Sequence[Field], judges: Sequence[str] = ()) -> tuple[MethodName, str]:
    """Return the way to learn from `fields`, but for those whose pictures are `judges`, and why."""
    learned = [field for field in fields if str(field.path.absolute()) not in judges]
    in_part = sum(field.is_labelled_in_part for field in learned)
    if in_part:
        return "sladet", f"SLA-Det: {in_part} of {len(learned)} fields to learn from are labelled in part"
    return "attridet", f"AttriDet: all {len(learned)} fields to learn from are labelled everywhere"


def choose_judges(fields: Sequence[Field]) -> list[str]:
    """Return the pictures of the fields to judge by: one with a cell, if there are enough, by a hash of names."""
    with_cells = [field for field in fields if len(field.cells)]
    ranked = sorted(with_cells, key=lambda field: hashlib.sha256(field.name.encode()).hexdigest())
    return [str(field.path.absolute()) for field in ranked[:1]] if len(ranked) >= ENOUGH_TO_HOLD_OUT else []


def save(folder: Path, project: Project, fields: Sequence[Field]) -> None:
    """Write `project` and its `fields`, whose pictures stay where they are; those in `folder` may move with it.

    Raises
    ------
    UserError
        If `folder` holds a project.
    """
    if (folder / PROJECT).exists():
        raise UserError(f"{folder} holds a training already: go on with it, or choose another folder.")
    fields = [replace(field, name=_name(folder, field.path)) for field in fields]
    if len({field.name for field in fields}) < len(fields):
        raise UserError("Two fields show one picture; leave one of them out.")
    folder.mkdir(parents=True, exist_ok=True)
    write_coco(folder / FIELDS, fields)
    _write(folder, project.model_copy(update={"judged_by": [_name(folder, Path(path)) for path in project.judged_by]}))


def load(folder: Path) -> tuple[Project, list[Field]]:
    """Return the project in `folder` and its fields, each called as its picture.

    Raises
    ------
    UserError
        If there is none, or a picture is gone or another one since.
    """
    project, fields = read(folder)
    hashes = {field.name: _sha256(field.path) for field in fields}
    if not project.pictures:
        project = project.model_copy(update={"pictures": hashes})
        _write(folder, project)
    for name, value in hashes.items():
        if project.pictures.get(name) != value:
            raise UserError(f"{name} is not the picture that was labelled; the training cannot go on with it.")
    return project, fields


def read(folder: Path) -> tuple[Project, list[Field]]:
    """Do what `load` does, without a look at the pictures."""
    return read_project(folder), read_coco(folder / FIELDS, vocabulary=None)


def read_project(folder: Path) -> Project:
    """Return the project in `folder` without its fields; raises as `load`."""
    path = folder / PROJECT
    try:
        return Project.model_validate_json(read_labels(path))
    except LabelError:
        raise UserError(f"{folder} holds no training; its {PROJECT} cannot be read.") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise LabelError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None


def rows_done(folder: Path) -> list[dict[str, float]]:
    """Return what was reported of each epoch of the training in `folder` that is over.

    Rows that were cut when a program was killed are left out.
    """
    rows = []
    try:
        with (folder / LOG).open(newline="") as file:
            for row in csv.DictReader(file):
                with suppress(ValueError, TypeError):
                    rows.append({name: float(value) for name, value in row.items()})
    except (OSError, UnicodeDecodeError):
        pass
    return rows


def rounds_done(folder: Path) -> int:
    """Return how many epochs of the training in `folder` are over, by the last row that is whole."""
    rows = rows_done(folder)
    return int(rows[-1]["epoch"]) if rows else 0


def unfinished(runs: Path) -> list[Path]:
    """Return the folders in `runs` whose training can be gone on with and is not going on now, the latest first."""
    folders = sorted((path.parent for path in runs.glob(f"*/{LOG}")), key=lambda path: -(path / LOG).stat().st_mtime)
    rounds = [(folder, rounds_done(folder), _epochs(folder)) for folder in folders]
    begun = [(folder, done < whole) for folder, done, whole in rounds if 0 < done <= whole]
    left = [folder for folder, stopped in begun if stopped or not (folder / COMPARISON).exists()]
    return [folder for folder in left if not _goes_on(folder)]


def _goes_on(folder: Path) -> bool:
    """Tell if a program trains in `folder` now."""
    if not (folder / LOCK).exists():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True


def _epochs(folder: Path) -> int:
    """Return how many epochs a training has; 0 if that cannot be read."""
    try:
        return read_project(folder).settings.epochs
    except UserError:
        return 0


def _name(folder: Path, path: Path) -> str:
    """Return what a picture is called in the project in `folder`: its way from there if it lies there."""
    path, folder = path.absolute(), folder.absolute()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _write(folder: Path, project: Project) -> None:
    with replacing(folder / PROJECT) as temporary:
        temporary.write_text(project.model_dump_json(indent=1), encoding="utf-8")


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; the training needs this picture.") from None
