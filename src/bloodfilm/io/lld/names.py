"""What names of the Large Leukemia Dataset's files and folders say."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path, PurePosixPath

from bloodfilm.cells import Origin
from bloodfilm.vocabulary import normalise

SPLITS = {"train", "test", "val", "valid", "validation"}
IMAGES = "images"
CONTAINERS = {"json labels", "txt labels", "labels", "annotations", "attridet", "wbc detection", "coco dataset"}
"""Folders inside a subset that hold labels, as `normalise` gives their names."""

_NAME = re.compile(
    r"(?P<patient>\d+)_(?P<field>\d+)(?:_(?P<view>\d+))?_(?P<power>\d+)_(?P<diagnosis>ALL|AML|APML|CLL|CML)", re.I
)


def tidy(name: str) -> str:
    """Return `name` without stray back-ticks and spaces."""
    return name.replace("`", "").strip()


def key(name: str) -> str:
    """Return what two names of one picture, or of its labels, have in common: no folder, suffix or letter case."""
    return unicodedata.normalize("NFC", Path(tidy(name.replace("\\", "/"))).stem.strip().lower())


def folder_of(name: str) -> str:
    """Return the folders before the name of a picture, in small letters."""
    folder = PurePosixPath(tidy(name.replace("\\", "/"))).parent.as_posix().lower()
    return "" if folder == "." else folder


def origin_of(name: str) -> Origin | None:
    """Return what a name such as ``4_8_1000_ALL.png`` or ``10_14_33_400_AML.png`` tells; None for any other."""
    found = _NAME.fullmatch(key(name))
    if not found:
        return None
    view = int(found["view"]) if found["view"] else None
    return Origin(found["patient"], int(found["field"]), view, int(found["power"]), found["diagnosis"].upper())


def is_hidden(name: str) -> bool:
    """Tell if `name` is one that macOS or the like left behind."""
    return name.startswith(".") or name == "__MACOSX"


def split_of(folder: Path) -> str:
    """Return the innermost of train, test ... that `folder` lies in, or ""."""
    return next((part.lower() for part in reversed(folder.parts) if part.lower() in SPLITS), "")


def split_named(name: str) -> str:
    """Return the split that is a word of the `name` of a json such as ``instances_test.json``, else the whole name."""
    whole = key(name)
    return next((word for word in re.split(r"[^a-z]+", whole) if word in SPLITS), whole)


def home_of(folder: Path) -> Path:
    """Return the subset's folder of a `folder` of labels or pictures."""
    folder = folder.absolute()
    while normalise(folder.name) in CONTAINERS | SPLITS | {IMAGES}:
        folder = folder.parent
    return folder
