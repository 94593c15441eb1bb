"""Which fields make a film."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from bloodfilm.cells import Field
from bloodfilm.errors import LabelError
from bloodfilm.io.coco import parse_coco, pictures_of, to_fields
from bloodfilm.io.lld.names import CONTAINERS, IMAGES, SPLITS
from bloodfilm.vocabulary import LLD, normalise

By = Literal["auto", "patient", "folder", "file"]

COMMON_NAMES = {"cells", "candidates", "fields", "annotations", "labels", "instances", *SPLITS}
"""Names of files that say nothing about the film; its folder's name is taken instead."""


@dataclass(frozen=True, eq=False)
class Film:
    """The fields of one film.

    Parameters
    ----------
    name : str
    fields : tuple of Field
    grouped_by : str
        What made them one film: ``patient``, ``folder`` or ``file``.
    provenance : dict
        What the file says about its origin, for the reader: model, versions, thresholds, date.
    """

    name: str
    fields: tuple[Field, ...]
    grouped_by: str = "file"
    provenance: dict[str, Any] = field(default_factory=dict)


def read_films(paths: str | Path | Iterable[str | Path], by: By = "auto", pictures: Path | None = None) -> list[Film]:
    """Read COCO files, or folders of results with a ``cells.json``, and return their films by name.

    Parameters
    ----------
    paths : path or several
        A film never spans two of them.
    by : str
        ``patient``: the fields of one patient are a film, as the names of LLD's pictures tell; ``folder``: those of
        one folder; ``file``: those of one file. ``auto``: by patient if every picture tells one, else by folder.
    pictures : Path, optional
        Folder to look for the pictures in first; by default the folders that `bloodfilm.read_coco` knows.

    Raises
    ------
    LabelError
        If a file cannot be read, has no pictures, or does not tell the patients that `by` asks for.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    films = [film for path in given for film in _films_of(Path(path), by, pictures)]
    names = [film.name for film in films]
    return [film if names.count(film.name) == 1 else _renamed(film) for film in films]


def _films_of(path: Path, by: By, pictures: Path | None) -> list[Film]:
    path = path / "cells.json" if path.is_dir() else path
    content = parse_coco(path)
    found = pictures_of(content, path, pictures).find
    fields = to_fields(content, path, found, content.vocabulary or LLD)
    if not fields:
        raise LabelError(f"{path}: it lists no pictures, so there is nothing to report.")
    strangers = [each.name for each in fields if not each.origin]
    if by == "patient" and strangers:
        raise LabelError(f"{path}: the name {strangers[0]} tells no patient; group by folder or file.")
    chosen = by if by != "auto" else "folder" if strangers else "patient"
    provenance = {"file": path.name, "file_sha256": hashlib.sha256(path.read_bytes()).hexdigest(), **content.info}
    groups: dict[str, list[Field]] = {}
    for each in fields:
        groups.setdefault(_key(each, chosen) or _file_name(path), []).append(each)
    return [Film(name, tuple(groups[name]), chosen, provenance) for name in sorted(groups, key=_natural)]


def _key(field: Field, by: str) -> str:
    if by == "patient" and field.origin:
        return f"patient {field.origin.patient}"
    folder = PurePosixPath(field.name.replace("\\", "/")).parent
    while normalise(folder.name) in CONTAINERS | SPLITS | {IMAGES}:
        folder = folder.parent
    return str(folder).strip("./") if by == "folder" else ""


def _file_name(path: Path) -> str:
    return path.absolute().parent.name if normalise(path.stem) in COMMON_NAMES else path.stem


def _natural(name: str) -> list[int | str]:
    """Return a key that sorts "film 10" behind "film 9"."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _renamed(film: Film) -> Film:
    return Film(f"{film.name} ({film.provenance['file_sha256'][:8]})", film.fields, film.grouped_by, film.provenance)
