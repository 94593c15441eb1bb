"""A training as it lies in its folder: what somebody labelled and how to learn from it; known without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bloodfilm.cells import Field
from bloodfilm.errors import LabelError, UserError
from bloodfilm.io.coco import read_coco, write_coco
from bloodfilm.io.files import replacing
from bloodfilm.training.settings import Settings

PROJECT, FIELDS, LOG = "project.json", "fields.json", "log.csv"
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
        SHA-256 of each field's picture.
    """

    model_config = ConfigDict(extra="forbid")

    method: MethodName
    settings: Settings
    minutes: float | None = None
    judged_by: list[str] = []
    pictures: dict[str, str] = {}


def choose_method(fields: Sequence[Field]) -> tuple[MethodName, str]:
    """Return the way to learn from `fields`, and why."""
    in_part = sum(field.is_labelled_in_part for field in fields)
    if in_part:
        return "sladet", f"SLA-Det: {in_part} of {len(fields)} fields are labelled in part"
    return "attridet", f"AttriDet: all {len(fields)} fields are labelled everywhere"


def choose_judges(fields: Sequence[Field]) -> list[str]:
    """Return the pictures of the fields to judge by: one with a cell, if there are enough, by a hash of names."""
    with_cells = [field for field in fields if len(field.cells)]
    ranked = sorted(with_cells, key=lambda field: hashlib.sha256(field.name.encode()).hexdigest())
    return [str(field.path.absolute()) for field in ranked[:1]] if len(ranked) >= ENOUGH_TO_HOLD_OUT else []


def save(folder: Path, project: Project, fields: Sequence[Field]) -> None:
    """Write `project` and its `fields`, whose pictures stay where they are.

    Raises
    ------
    UserError
        If `folder` holds a project.
    """
    if (folder / PROJECT).exists():
        raise UserError(f"{folder} holds a training already: go on with it, or choose another folder.")
    fields = [replace(field, name=str(field.path.absolute())) for field in fields]
    names = {field.name: field.path for field in fields}
    if len(names) < len(fields):
        raise UserError("Two fields show one picture; leave one of them out.")
    folder.mkdir(parents=True, exist_ok=True)
    write_coco(folder / FIELDS, fields)
    hashes = {name: _sha256(path) for name, path in names.items()}
    with replacing(folder / PROJECT) as temporary:
        temporary.write_text(project.model_copy(update={"pictures": hashes}).model_dump_json(indent=1))


def load(folder: Path) -> tuple[Project, list[Field]]:
    """Return the project in `folder` and its fields, each called as its picture.

    Raises
    ------
    UserError
        If there is none, or a picture is gone or another one since.
    """
    project = read_project(folder)
    fields = read_coco(folder / FIELDS, vocabulary=None)
    for field in fields:
        if project.pictures.get(field.name, "") != _sha256(field.path):
            raise UserError(f"{field.path} is not the picture that was labelled; the training cannot go on with it.")
    return project, fields


def read_project(folder: Path) -> Project:
    """Return the project in `folder` without its fields; raises as `load`."""
    path = folder / PROJECT
    try:
        return Project.model_validate_json(path.read_bytes())
    except OSError:
        raise UserError(f"{folder} holds no training; its {PROJECT} cannot be read.") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise LabelError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None


def epochs_done(folder: Path) -> int:
    """Return how many epochs of the training in `folder` are over."""
    try:
        return sum(1 for line in (folder / LOG).read_text().splitlines() if line) - 1
    except OSError:
        return 0


def unfinished(runs: Path) -> list[Path]:
    """Return the folders in `runs` whose training can be gone on with, the latest first."""
    folders = sorted((path.parent for path in runs.glob(f"*/{LOG}")), key=lambda path: -(path / LOG).stat().st_mtime)
    whole = [folder for folder in folders if (folder / PROJECT).exists()]
    return [folder for folder in whole if 0 < epochs_done(folder) < read_project(folder).settings.epochs]


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; the training needs this picture.") from None
