"""Reports of films as files."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pandas as pd

from bloodfilm.errors import UserError
from bloodfilm.film.page import cohort_page, film_page
from bloodfilm.film.summary import Summary
from bloodfilm.film.tables import to_dict, to_row
from bloodfilm.io.files import replacing

SUFFIXES = (".html", ".json", ".csv")
NOTE = "Research software: not a diagnosis."


def write_report(path: str | Path, summaries: Summary | Sequence[Summary]) -> list[Path]:
    """Write the report of one film, or of several, as the suffix of `path` says; return what was written.

    ``.html`` is one page that needs nothing else, pictures included; of several films it has a row for each, and
    their pages are in a folder beside it (``cohort-films`` beside ``cohort.html``). ``.json`` holds all numbers,
    ``.csv`` a row for each film.

    Raises
    ------
    UserError
        If the suffix is another one, or there is no film.
    """
    path, films = Path(path), [summaries] if isinstance(summaries, Summary) else list(summaries)
    check_suffix(path)
    if not films:
        raise UserError("There is no film to report.")
    if path.suffix.lower() == ".html":
        return _write_pages(path, films)
    if path.suffix.lower() == ".json":
        content = {"note": NOTE, "films": [to_dict(film) for film in films]}
        return [_write(path, json.dumps(content, indent=1, ensure_ascii=False, default=str))]
    types = list(dict.fromkeys(name for film in films for name in film.counts.types.index))
    rows = pd.DataFrame([to_row(film, types) for film in films])
    rows = rows.astype(dict.fromkeys(("blasts_count", *(f"{name} count" for name in types)), "Int64"))
    return [_write(path, rows.to_csv(index=False, lineterminator="\n"))]


def check_suffix(path: Path) -> None:
    """Raise `UserError` if no report can be written to a file of this name."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path}: call the report something.html, .json or .csv.")


def _write_pages(path: Path, films: list[Summary]) -> list[Path]:
    if len(films) == 1:
        return [_write(path, film_page(films[0]))]
    folder = path.with_name(f"{path.stem}-films")
    names = _file_names([film.film.name for film in films])
    pages = [_write(folder / name, film_page(film, f"../{path.name}")) for name, film in zip(names, films, strict=True)]
    return [_write(path, cohort_page(films, [f"{folder.name}/{name}" for name in names])), *pages]


def _file_names(names: list[str]) -> list[str]:
    """Return a name of a page for each film, with letters, digits, - and _ only, none twice."""
    used: dict[str, str] = {}
    for name in names:
        stem = re.sub(r"[^\w-]+", "-", name).strip("-")[:80] or "film"
        free = next(new for n in count(1) if (new := f"{stem}-{n}" if n > 1 else stem).lower() not in used)
        used[free.lower()] = f"{free}.html"
    return list(used.values())


def _write(path: Path, text: str) -> Path:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
