"""Which fields make a film."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from bloodfilm.cells import Field
from bloodfilm.errors import LabelError
from bloodfilm.io.coco import parse_coco, pictures_of, to_fields
from bloodfilm.io.files import read_labels
from bloodfilm.io.lld.names import CONTAINERS, IMAGES, SPLITS, home_of
from bloodfilm.vocabulary import LLD, normalise

By = Literal["auto", "patient", "folder", "file"]

RESULTS = "cells.json"
"""What `detect` calls the file in a folder of results."""

COMMON_NAMES = {"cells", "candidates", "fields", "annotations", "labels", "instances", *SPLITS}
"""Names of files that say nothing about the film; the folder's of the pictures is taken instead."""


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

    A file that is given twice, by another name or as a copy, is read once, with a warning; another warns of pictures
    that are in several of the files.

    Parameters
    ----------
    paths : path or several
        A film never spans two of them.
    by : str
        ``patient``: the fields of one patient are a film, as the names of LLD's pictures tell; ``folder``: those of
        one folder; ``file``: those of one file. ``auto``: by patient those whose names tell one, the others by folder.
    pictures : Path, optional
        Folder to look for the pictures in first; by default the folders that `bloodfilm.read_coco` knows.

    Raises
    ------
    LabelError
        If a file cannot be read, has no pictures, or does not tell the patients that `by` asks for.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    by_file = {file: _films_of(file, by, pictures) for file in _once(map(_label_file, map(Path, given)))}
    _tell_shared(by_file)
    films = [(file, film) for file, own in by_file.items() for film in own]
    for tell in (_place, lambda file: _digest(file)[:8]):
        names = Counter(film.name for _, film in films)
        films = [
            (f, film if names[film.name] == 1 else replace(film, name=f"{film.name} ({tell(f)})")) for f, film in films
        ]
    return [film for _, film in films]


def _label_file(path: Path) -> Path:
    """Return the COCO file that is meant by `path`, a file or a folder of results."""
    if not path.exists():
        raise LabelError(f"{path}: no such file or folder.")
    if path.is_dir():
        if not (path / RESULTS).is_file():
            raise LabelError(
                f"{path}: there is no {RESULTS} in it; give the --out of detect, or a COCO file by its name."
            )
        return path / RESULTS
    if path.suffix.lower() != ".json":
        raise LabelError(
            f"{path}: reports are made of COCO files. `bloodfilm convert {path} {path.stem}.json` makes one of labels "
            "in another format; detect writes one with --format coco."
        )
    return path


def _once(files: Iterable[Path]) -> list[Path]:
    """Return `files` without those that are one of the others, or have the content of one."""
    kept: dict[str, Path] = {}
    for file in files:
        first = kept.setdefault(_digest(file), file)
        if first is not file:
            same = "given twice" if first.resolve() == file.resolve() else f"the same as {first}"
            warnings.warn(f"{file}: {same}; it counts once.", stacklevel=3)
    return list(kept.values())


def _digest(file: Path) -> str:
    return hashlib.sha256(read_labels(file)).hexdigest()


def _tell_shared(by_file: dict[Path, list[Film]]) -> None:
    own = [
        {each.path.resolve() for film in films for each in film.fields if each.path.is_file()}
        for films in by_file.values()
    ]
    if shared := [path for path, files in Counter(chain.from_iterable(own)).items() if files > 1]:
        warnings.warn(
            f"pictures that are in several of the files: {len(shared)}, for instance {shared[0]}; their cells count in "
            "each film that has them.",
            stacklevel=3,
        )


def _films_of(path: Path, by: By, pictures: Path | None) -> list[Film]:
    content = parse_coco(path)
    found = pictures_of(content, path, pictures).find
    fields = to_fields(content, path, found, content.vocabulary or LLD)
    if not fields:
        raise LabelError(f"{path}: it lists no pictures, so there is nothing to report.")
    strangers = [each.name for each in fields if not each.origin]
    if by == "patient" and strangers:
        raise LabelError(f"{path}: the name {strangers[0]} tells no patient; group by folder or file.")
    provenance = {"file": path.name, "file_sha256": _digest(path), **content.info}
    name = _file_name(path, fields, content.info.get("pictures"))
    groups: dict[tuple[str, str], list[Field]] = {}
    for each in fields:
        rule = by if by != "auto" else "patient" if each.origin else "folder"
        groups.setdefault((_key(each, rule) or name, rule), []).append(each)
    chosen = sorted(groups, key=lambda group: _natural(group[0]))
    return [Film(name, tuple(groups[name, rule]), rule, provenance) for name, rule in chosen]


def _key(field: Field, by: str) -> str:
    if by == "patient" and field.origin:
        return f"patient {field.origin.patient}"
    folder = PurePosixPath(field.name.replace("\\", "/")).parent
    while normalise(folder.name) in CONTAINERS | {IMAGES}:
        folder = folder.parent
    return str(folder).strip("./") if by == "folder" else ""


def _file_name(path: Path, fields: list[Field], told: object) -> str:
    """Return the name of the file; if that says nothing, of the folder of the pictures, which may only be `told`."""
    if normalise(path.stem) not in COMMON_NAMES:
        return path.stem
    folders = {each.path.absolute().parent for each in fields if each.path.is_file()}
    try:
        common = os.path.commonpath(folders) if folders else os.path.abspath(path.parent / str(told or ""))
    except ValueError:
        common = ""
    return home_of(Path(common)).name or path.absolute().parent.name


def _place(path: Path) -> str:
    """Return what tells files with films of one name apart: the file's name, or its folder's."""
    return path.absolute().parent.name if normalise(path.stem) in COMMON_NAMES else path.stem


def _natural(name: str) -> list[int | str]:
    """Return a key that sorts "film 10" behind "film 9"."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
