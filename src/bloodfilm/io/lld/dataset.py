"""Read the Large Leukemia Dataset, or any part of it, as it was downloaded."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bloodfilm.cells import Field
from bloodfilm.errors import LabelError, Mended
from bloodfilm.io.coco import parse_coco, pictures_of, to_fields
from bloodfilm.io.lld.clean import clean_cells, drop_misplaced
from bloodfilm.io.lld.discover import Found, Source, discover
from bloodfilm.io.lld.names import tidy
from bloodfilm.io.lld.pictures import pictures_in
from bloodfilm.io.lld.regions import check_reading, misfits, resolve_regions
from bloodfilm.io.lld.report import Report
from bloodfilm.io.lld.text import TextField, find_listed, read_field
from bloodfilm.io.merge import merge_pictures
from bloodfilm.vocabulary import LLD


@dataclass
class Part:
    """One split of one subset; `source` says which labels its fields have, `info` what their file says of itself.

    `subset` is the name of the subset's folder; where several have that name, the way to it from what was read.
    """

    source: Source
    fields: list[Field]
    texts: list[TextField] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    subset: str = ""

    def __post_init__(self) -> None:
        self.subset = self.subset or self.source.home.name

    @property
    def split(self) -> str:
        return self.source.split

    def __str__(self) -> str:
        return f"{self.subset} {self.split}".strip()


@dataclass(frozen=True)
class Dataset:
    """The parts that were read, and what is to be said about them.

    `misfits` tell of each row whose labelled region makes no sense where it was read.
    """

    parts: list[Part]
    report: Report
    misfits: list[str] = field(default_factory=list)

    @property
    def fields(self) -> list[Field]:
        return [field for part in self.parts for field in part.fields]

    def parts_to(self, test: bool) -> tuple[list[Part], list[str]]:
        """Return the parts to test on, or to learn from, and what to say of those left out.

        Of several splits that is test, or all others; of a single one it is that one.
        """
        parts = [part for part in self.parts if (part.split == "test") == test] or self.parts
        return parts, [f"{part}: left out." for part in self.parts if part not in parts]


def read_lld(path: str | Path, clean: bool = False, keep_missing: bool = False, regions: str | None = None) -> Dataset:
    """Read what lies at or below `path`: the data set's root, a subset, a json file, a folder of text labels, a zip.

    Where a split has several kinds of labels, json goes before text and more columns before fewer. Red cells,
    scores and all else that COCO files of bloodfilm hold are read too.

    Parameters
    ----------
    path : str or Path
    clean : bool
        Drop boxes that are known to be wrong, see `bloodfilm.io.lld.clean`.
    keep_missing : bool
        Keep labels of pictures that are not there; in text their boxes are taken as on 640 x 640 px.
    regions : str, optional
        How to read labelled regions, one of `bloodfilm.io.lld.regions.READINGS`; by default as fits best.

    Raises
    ------
    LabelError
        If there are no labels, none that can be read, or none whose picture is there. It tells all that is there.
    """
    path = Path(path).absolute()
    root = path if path.is_dir() else path.parent
    found, report = discover(path), Report()
    parts = [part for sources in _by_split(found) if (part := _read_first(sources, clean, report))]
    if not parts:
        _tell_others(found, parts, report)
        told = str(report.relative_to(root)).splitlines()
        raise LabelError("\n".join([f"{path}: no labels of cells that can be read.", *told]))
    _tell_apart(parts, root)
    wrong = _resolve(parts, regions, report)
    _tell_others(found, parts, report)
    listed = [field for part in parts for field in part.fields]
    for part in parts:
        if clean:
            _clean(part, report)
        _finish(part, keep_missing, report)
    if not any(part.fields for part in parts):
        raise LabelError(
            f"{path}: none of its {len(listed)} pictures is there, for instance {listed[0].name}: put them beside the "
            "labels, or convert with --keep-missing."
        )
    return Dataset(parts, report.relative_to(root), wrong)


def _by_split(found: Found) -> list[list[Source]]:
    """Return the sources of each split of each subset, the best first."""
    groups = defaultdict(list)
    for source in found.sources:
        groups[source.home, source.split].append(source)
    return [sorted(group, key=lambda each: (each.is_text, -each.columns, each.is_zipped)) for group in groups.values()]


def _read_first(sources: list[Source], clean: bool, report: Report) -> Part | None:
    """Read the first of `sources` that can be read."""
    for number, source in enumerate(sources, start=1):
        try:
            with _warnings_to(report):
                part = _read_text(source, report) if source.is_text else _read_json(source, clean, report)
        except LabelError as error:
            report.skipped.append(str(error))
        else:
            report.notes += [f"{each}: not read, {source} serves." for each in sources[number:]]
            return part
    return None


def _tell_apart(parts: list[Part], root: Path) -> None:
    """Name subsets whose folders have one name by the way to them from `root`."""
    names = Counter(home.name for home in {part.source.home for part in parts})
    for part in parts:
        home = part.source.home
        if names[home.name] > 1 and root in home.parents:
            part.subset = home.relative_to(root).as_posix()


@contextmanager
def _warnings_to(report: Report) -> Iterator[None]:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield
    for each in told:
        (report.fixed if issubclass(each.category, Mended) else report.skipped).append(str(each.message))


def _read_json(source: Source, clean: bool, report: Report) -> Part:
    (file,) = source.files
    content = parse_coco(file)
    if clean:
        dropped = drop_misplaced(content, source.home.name, source.split)
        report.fix(file, "annotations known to be misplaced are dropped", dropped)
    told = pictures_of(content, Path(str(file)))
    listed = to_fields(
        content, Path(str(file)), lambda name: told.find(name) or source.pictures.find(name), content.vocabulary or LLD
    )
    fields = merge_pictures(replace(each, name=tidy(each.name)) for each in listed)
    report.fix(file, "entries of pictures that are listed more than once are joined", len(content.images) - len(fields))
    strange = [each.path.name for each in fields if each.path.name != Path(each.name).name and each.path.is_file()]
    report.fix(file, "pictures are written otherwise than in the labels", strange)
    return Part(source, fields, info=content.info)


def _read_text(source: Source, report: Report) -> Part:
    rows = [source.listing.get(file.name) for file in source.files]
    found = find_listed(Path(str(source)), source.files, rows, lambda _, name: source.pictures.find(name))
    texts = [read_field(file, at, listed=row) for file, (row, at) in zip(source.files, found, strict=True)]
    names = zip(source.files, texts, strict=True)
    strange = [file.name for file, text in names if Path(file.name).stem != text.field.path.stem]
    report.fix(source, "text files are written otherwise than their pictures", strange)
    unread = sum(text.unread for text in texts)
    report.skip(source, "values of attributes mean nothing and count as unknown", unread)
    return Part(source, [text.field for text in texts], texts)


def _resolve(parts: list[Part], reading: str | None, report: Report) -> list[str]:
    """Say of all fields with labelled regions together what these are; return the rows that do not fit."""
    check_reading(reading)
    sparse = [part for part in parts if any(np.isfinite(text.regions).any() for text in part.texts)]
    if not sparse:
        return []
    texts = [text for part in sparse for text in part.texts]
    fields, readings, unfit = resolve_regions(texts, reading)
    report.notes.append(f"labelled regions are taken as {readings[0]}.")
    report.notes += [f"instead of {each}." for each in readings[1:]]
    report.skip(
        "labelled regions", f"pictures have one that is not {readings[0].name}: unknown what was labelled", unfit
    )
    for part in sparse:
        part.fields, fields = fields[: len(part.texts)], fields[len(part.texts) :]
    return misfits(texts, readings[0].name)


def _clean(part: Part, report: Report) -> None:
    dropped: Counter[str] = Counter()
    for number, each in enumerate(part.fields):
        cells, counts = clean_cells(each.cells)
        part.fields[number] = replace(each, cells=cells)
        dropped += counts
    for what, count in dropped.items():
        report.fix(part, f"{what} are dropped", count)


def _finish(part: Part, keep_missing: bool, report: Report) -> None:
    """Leave out fields without a picture, name the subset, and count."""
    missing = [each for each in part.fields if not each.path.is_file()]
    report.skip(part, "pictures are missing", [each.name for each in missing])
    if not keep_missing:
        part.fields = [each for each in part.fields if each.path.is_file()]
    part.fields = [replace(each, source=each.source or part.subset) for each in part.fields]
    artefacts = sum(each.cells.class_names.count("None") for each in part.fields)
    patients = {each.origin.patient for each in part.fields if each.origin}
    report.rows.append(
        {
            "subset": part.subset,
            "split": part.split,
            "labels": f"text {part.source.columns}" if part.source.is_text else "json",
            "pictures": len(part.fields),
            "missing": len(missing),
            "patients": len(patients),
            "cells": sum(len(each.cells) for each in part.fields),
            "None": artefacts,
        }
    )


def _tell_others(found: Found, parts: list[Part], report: Report) -> None:
    """Report what nothing was read from."""
    used = {each.path for part in parts for each in part.fields}
    folders = {path.parent for path in used if path.is_file()}
    for folder in sorted(folders | set(found.pictures)):
        pictures = found.pictures.get(folder) or pictures_in(folder)
        report.skip(folder, "pictures have no labels", [path.name for path in pictures if path.absolute() not in used])
    report.skip("not used", "zips cannot be opened: extract or download them again", found.broken_zips)
    report.skip("not used", "pictures are still in a zip: extract them", found.zipped_pictures)
    report.note("not used", "text files belong to no picture", found.other_texts)
    report.note("not used", "files that macOS left", found.left_by_macos)
