"""The report of a film, and of several, as pages of HTML that need nothing but themselves."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from bloodfilm.film.bank import MIN_CELLS
from bloodfilm.film.quality import BLURRED
from bloodfilm.film.summary import DOUBTFUL, MOST_DOUBTFUL, Summary
from bloodfilm.film.tables import to_dict
from bloodfilm.palette import UNKNOWN_COLOUR, colours
from bloodfilm.vocabulary import number_of

MOST_ROWS = 300
"""Pictures that are listed on a page; all are in JSON."""

PROVENANCE = {
    "model": "Model",
    "model_sha256": "SHA-256 of the model",
    "software": "Found with",
    "torch": "PyTorch",
    "device": "Device",
    "precision": "Precision",
    "min_score": "Lowest score searched for",
    "max_overlap": "Largest overlap of boxes",
    "tile": "Tile, px",
    "pixel_size": "Pixel size given, µm",
    "types": "Types that the model names",
    "attributes": "Attributes that the model reads",
    "date": "Found at",
    "file": "File",
    "file_sha256": "SHA-256 of the file",
}


def film_page(summary: Summary, index: str = "") -> str:
    """Return the page of one film; `index` is the link back to the page of its cohort."""
    vocabulary = summary.film.fields[0].cells.vocabulary
    shades = colours(vocabulary.classes)
    pictures = summary.pictures
    if len(pictures) > MOST_ROWS:
        pictures = pictures.sort_values("remarks", key=lambda remarks: remarks == "", kind="stable").head(MOST_ROWS)
    return _render(
        "film.html",
        s=summary,
        report=to_dict(summary),
        title=summary.film.name,
        index=index,
        attributes=vocabulary.attributes,
        shades=shades,
        unknown_shade=UNKNOWN_COLOUR,
        bank=_bank(summary),
        sizes=summary.sizes.to_dict("index"),
        contradicted=set(summary.missized.index),
        typical=[(str(name), list(rows.itertuples())) for name, rows in _by_type(summary) if len(rows)],
        missized=list(summary.missized.head(MOST_DOUBTFUL).rename(columns={"class": "type"}).itertuples()),
        doubtful=list(summary.doubtful.head(MOST_DOUBTFUL).rename(columns={"class": "type"}).itertuples()),
        pictures=list(pictures.itertuples()),
        provenance=_provenance(summary.film.provenance),
        blurred=BLURRED,
        doubt=DOUBTFUL,
    )


def cohort_page(summaries: list[Summary], links: list[str]) -> str:
    """Return the page with a row for each film; `links` lead to their pages."""
    films = [to_dict(summary) for summary in summaries]
    found = {row["type"] for film in films for row in film["differential"]}
    vocabularies = dict.fromkeys(summary.film.fields[0].cells.vocabulary for summary in summaries)
    known = {name: shade for each in vocabularies for name, shade in colours(each.classes).items()}
    return _render(
        "cohort.html",
        title=number_of(len(films), "film"),
        few=MIN_CELLS,
        films=list(zip(films, links, strict=True)),
        shades={name: shade for name, shade in known.items() if name in found},
    )


def _render(template: str, **content: Any) -> str:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return _environment().get_template(template).render(version=version("bloodfilm"), now=now, **content)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bloodfilm.film"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": _percent,
        "number": _number,
        "words": lambda name: name.replace("_", " "),
        "fields_reviewed": _fields_reviewed,
    }
    return environment


def _by_type(summary: Summary) -> list[tuple[str, pd.DataFrame]]:
    """Return the typical cells of each type, the most frequent type first."""
    return [(name, summary.typical[summary.typical["class"] == name]) for name in summary.counts.types.index]


def _bank(summary: Summary) -> list[dict[str, Any]]:
    """Return for each type its attributes: the word, and how often each value was read."""
    values = defaultdict(list)
    for value in summary.bank.itertuples():
        values[value.type, value.attribute].append(value)
    return [
        {
            "type": name,
            "attributes": [
                {"word": word, "of": values[name, attribute][0].of, "values": values[name, attribute]}
                for attribute, word in words.items()
            ],
        }
        for name, words in summary.words.to_dict("index").items()
    ]


def _provenance(given: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is known of the origin, in order, in words; what is not known is left out."""
    told = [(label, given[name]) for name, label in PROVENANCE.items() if given.get(name) is not None]
    return [(label, ", ".join(map(str, value)) if isinstance(value, list) else str(value)) for label, value in told]


def _percent(share: float | None) -> str:
    """Return a share in percent, with one digit behind the point where it is small or nearly all."""
    if share is None or pd.isna(share):
        return "–"
    return f"{share:.1%}" if 0 < share < 0.1 or 0.95 < share < 1 else f"{share:.0%}"


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None or pd.isna(value) else f"{value:.{digits}f}"


def _fields_reviewed(pictures: pd.DataFrame) -> str:
    """Return how many pictures were reviewed wholly, in part and not at all; those without cells have no part."""
    some = pictures[pictures["reviewable"] > 0]
    wholly, untouched = (some["reviewed"] == some["reviewable"]).sum(), (some["reviewed"] == 0).sum()
    return f"{wholly} reviewed wholly, {len(some) - wholly - untouched} in part, {untouched} not at all"
