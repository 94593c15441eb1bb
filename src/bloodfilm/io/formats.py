"""The formats that cells are written in and read from, and what each of them cannot hold."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bloodfilm.cells import Cells, Field
from bloodfilm.errors import UserError
from bloodfilm.io.coco import looks_like_coco, read_coco, write_coco
from bloodfilm.io.entry import label_files, name_of, shared_vocabulary
from bloodfilm.io.files import way_to
from bloodfilm.io.geojson import looks_like_geojson, read_geojson, write_geojson
from bloodfilm.io.lld.attributes import ARTEFACT, SIZE
from bloodfilm.io.lld.names import origin_of
from bloodfilm.io.lld.text import read_folder, text_columns
from bloodfilm.io.lld.write import write_lld_json, write_text
from bloodfilm.io.table import looks_like_table, read_csv, write_csv
from bloodfilm.vocabulary import LLD, UNKNOWN

REVIEW, REJECTED = "review", "rejected"
"""Column of what a reviewer said of a cell, and what it holds for one that is none."""


def _rejected(cells: Cells) -> npt.NDArray[np.bool_]:
    said = cells.extra.get(REVIEW)
    return np.zeros(len(cells), bool) if said is None else np.asarray(said, object).astype(str) == REJECTED


def _unsized(cells: Cells) -> int:
    """Return how many cells have a size that LLD's numbers do not say: that of an artefact, or known alone."""
    if cells.vocabulary != LLD:
        return 0
    known = cells.attributes != UNKNOWN
    return int((known[:, SIZE] & ((known.sum(1) == 1) | (cells.codes == ARTEFACT))).sum())


LOSSES: dict[str, tuple[str, Callable[[Field], int]]] = {
    "rejected": ("cells that were rejected in review are left out", lambda f: int(_rejected(f.cells).sum())),
    "untyped": ("cells of unknown type are left out", lambda f: int((f.cells.codes == UNKNOWN).sum())),
    "attributes": ("cells lose their attributes", lambda f: int((f.cells.attributes != UNKNOWN).any(1).sum())),
    "size": ("artefacts, or cells without any other attribute, lose their size", lambda f: _unsized(f.cells)),
    "scores": (
        "cells lose their scores",
        lambda f: int(f.cells.scored.sum()),
    ),
    "extra": ("cells lose further columns", lambda f: len(f.cells) if f.cells.extra else 0),
    "others": ("red cells and platelets are left out", lambda f: sum(map(len, f.auxiliary.values()))),
    "ignored": ("ignored cells are left out", lambda f: len(f.ignored)),
    "regions": (
        "pictures look as if they were labelled all over (coco and geojson keep their regions)",
        lambda f: int(f.is_labelled_in_part),
    ),
    "scale": ("pictures lose their scale", lambda f: int(f.cells.scale is not None)),
    "novelty": ("pictures lose their novelty", lambda f: int(f.cells.novelty is not None)),
    "source": ("pictures lose the name of their source", lambda f: int(bool(f.source))),
    "origin": (
        "pictures lose their patient, which their names do not tell",
        lambda f: int(f.origin is not None and f.origin != origin_of(name_of(f))),
    ),
    "folders": ("pictures lose the folders of their names", lambda f: int("/" in name_of(f))),
    "sides": ("pictures that are not there lose their size", lambda f: int(not f.path.is_file())),
    "empty": ("pictures without cells are left out", lambda f: int(len(f.cells) == 0)),
}
"""What may be lost: how it is told, and how much of it a field has."""

OF_THE_PICTURE = {"others", "ignored", "regions", "scale", "source", "origin"}
OF_THE_CELL = {"rejected", "scores", "extra", "novelty"}


@dataclass(frozen=True)
class Format:
    """One way to write cells.

    Parameters
    ----------
    suffix : str
        Of its files; "" for a folder with a file a picture. Without its suffix, GeoJSON is such a folder, too.
    read, write : callable
        A file or folder to fields, and back; `write` takes the provenance as well.
    lacks : set of str
        What of `LOSSES` it has no place for.
    only_lld : bool
        If it holds LLD's types and attributes only.
    """

    name: str
    title: str
    suffix: str
    read: Callable[[Path], list[Field]]
    write: Callable[[Path, Sequence[Field], dict[str, Any]], None]
    lacks: frozenset[str] = frozenset()
    only_lld: bool = False

    def is_folder(self, path: Path) -> bool:
        return self.name in ("geojson", "txt12", "yolo") and path.suffix.lower() not in SUFFIXES


_LISTED = (
    Format("coco", "COCO with attributes", ".json", lambda path: read_coco(path, None), write_coco),
    Format(
        "csv",
        "CSV with attributes",
        ".csv",
        read_csv,
        lambda path, fields, _: write_csv(path, fields),
        frozenset({"empty", "sides"} | OF_THE_PICTURE),
    ),
    Format("geojson", "GeoJSON for QuPath", ".geojson", read_geojson, lambda path, f, _: write_geojson(path, f)),
    Format(
        "lld-json",
        "LLD's json",
        ".json",
        read_coco,
        lambda path, fields, _: write_lld_json(path, fields),
        frozenset({"size", "folders"} | OF_THE_PICTURE | OF_THE_CELL),
        only_lld=True,
    ),
    Format(
        "txt12",
        "LLD's text of 12 columns",
        "",
        read_folder,
        lambda path, fields, _: write_text(path, fields, 12),
        frozenset({"untyped", "size"} | OF_THE_PICTURE | OF_THE_CELL),
        only_lld=True,
    ),
    Format(
        "yolo",
        "YOLO text",
        "",
        read_folder,
        lambda path, fields, _: write_text(path, fields, 5),
        frozenset({"attributes"} | OF_THE_PICTURE | OF_THE_CELL),
    ),
)
FORMATS = {each.name: each for each in _LISTED}
SUFFIXES = {each.suffix: each.name for each in reversed(_LISTED) if each.suffix}


def named(kind: str) -> Format:
    """Return the format called `kind`; raise `UserError` if there is none."""
    if kind not in FORMATS:
        raise UserError(f"--format {kind}: give one of {', '.join(FORMATS)}.")
    return FORMATS[kind]


def recognise(path: str | Path) -> str | None:
    """Return the format of a file or folder by its contents, "coco" for LLD's json too; None for any other."""
    path = Path(path)
    tests = {"coco": looks_like_coco, "csv": looks_like_table, "geojson": looks_like_geojson}
    if path.is_dir():
        return "geojson" if looks_like_geojson(path) else {5: "yolo", 12: "txt12"}.get(text_columns(path))
    kind = SUFFIXES.get(path.suffix.lower())
    return kind if kind and tests[kind](path) else None


def read_fields(path: str | Path, kind: str | None = None) -> list[Field]:
    """Read the cells of a file or folder of any of `FORMATS`; `kind` is found by suffix and contents by default.

    Raises
    ------
    LabelError
        If it cannot be read.
    UserError
        If no format is called `kind`, or it is none of them.
    """
    path = Path(path)
    kind = kind or SUFFIXES.get(path.suffix.lower()) or recognise(path)
    if kind is None:
        raise UserError(f"{path}: give a file ({', '.join(SUFFIXES)}), or a folder of GeoJSON or text labels.")
    return named(kind).read(path)


def write_fields(
    path: str | Path, fields: Sequence[Field], kind: str | None = None, info: dict[str, Any] | None = None
) -> None:
    """Write `fields` as one of `FORMATS`, by default what the suffix of `path` says; `info` tells where they are from.

    A file is written in place of an older one, a folder only where there is none. Cells that were rejected in review
    are left out where the format has no place for the review.

    Raises
    ------
    UserError
        If `check` says so, or the folder is there already.
    """
    path = Path(path)
    kind = kind or SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise UserError(f"{path}: give a name that ends with one of {', '.join(SUFFIXES)}, or say the format.")
    check(kind, path, fields)
    if named(kind).is_folder(path) and path.exists():
        raise UserError(f"{path}: there already; move it away or give another name.")
    try:
        named(kind).write(path, _kept(fields, kind), info or {})
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from None


def check_ending(dest: Path, kind: str | None) -> None:
    """Raise `UserError` if `dest` ends like a file of no format; a folder that is there may be called anything."""
    own = dest.suffix.lower()
    if own and own not in SUFFIXES and not dest.is_dir() and not (kind and named(kind).suffix == ""):
        raise UserError(
            f"{dest}: no format of cells ends with {dest.suffix}; give a name with one of {', '.join(SUFFIXES)} at the "
            f"end, or a folder, with --format one of {', '.join(FORMATS)}."
        )


def place_in(dest: Path, kind: str, name: str) -> Path:
    """Return `dest` if it names a file, or a folder that `kind` makes, else the file `name` in that folder."""
    if dest.suffix.lower() in SUFFIXES or named(kind).is_folder(dest):
        return dest
    return dest / f"{name}{named(kind).suffix}"


def write_new(targets: Mapping[Path, Sequence[Field]], kind: str, info: dict[str, Any]) -> list[Path]:
    """Write several files or folders of which none is there, nothing if one cannot be written; return them.

    Pictures that are there are named by their path from the file, so that they are found again.
    """
    for path, fields in targets.items():
        if path.exists():
            raise UserError(f"{path}: there already; move it away or give another DEST.")
        check(kind, path, fields)
    from_file, written = kind in ("coco", "csv"), []
    try:
        for path, fields in targets.items():
            called = [_named_from(path.parent, field) for field in fields] if from_file else fields
            write_fields(path, called, kind, info)
            written.append(path)
    except BaseException:
        for path in written:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        raise
    return written


def _named_from(folder: Path, field: Field) -> Field:
    if not field.path.is_file():
        return field
    return replace(field, name=way_to(field.path, folder))


def check(kind: str, path: Path, fields: Sequence[Field]) -> None:
    """Raise `UserError` if `fields` cannot be written to `path` as `kind`."""
    wanted = named(kind)
    if wanted.suffix != path.suffix.lower() and not wanted.is_folder(path):
        how = f"saved with {wanted.suffix} at the end" if wanted.suffix else "a folder of text files, not one file"
        raise UserError(f"{path}: cells as {wanted.name} are {how}.")
    if wanted.only_lld and any(len(field.cells) and field.cells.vocabulary != LLD for field in fields):
        raise UserError(f"{path}: {kind} holds LLD's types and attributes only; these cells have others.")
    if kind != "geojson":
        shared_vocabulary(fields)
    if kind != "geojson" or wanted.is_folder(path):
        check_names(kind, [name_of(field) for field in fields])


def check_names(kind: str, names: Sequence[str]) -> None:
    """Raise `UserError` if `kind` cannot tell pictures of these names apart."""
    if kind == "csv" and len(set(names)) < len(names):
        name, count = Counter(names).most_common(1)[0]
        raise UserError(f"{count} pictures are called {name}: give them different names to write a table.")
    if kind not in ("coco", "csv"):
        label_files(names, ".txt", kind in ("lld-json", "txt12"))


def losses(fields: Sequence[Field], kind: str) -> list[str]:
    """Tell what of `fields` a format has no place for."""
    lacks, kept = named(kind).lacks, _kept(fields, kind)
    told = (
        (what, sum(map(count, fields if key == "rejected" else kept)))
        for key, (what, count) in LOSSES.items()
        if key in lacks
    )
    return [f"{kind}: {what}: {count}." for what, count in told if count]


def _kept(fields: Sequence[Field], kind: str) -> Sequence[Field]:
    """Return `fields` without the cells that were rejected in review, if `kind` has no place to say so of them."""
    if "rejected" not in named(kind).lacks:
        return fields
    return [replace(field, cells=field.cells[~_rejected(field.cells)]) for field in fields]
