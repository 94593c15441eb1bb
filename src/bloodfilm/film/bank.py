"""The morphology bank: which values the attributes of a film's cells have, and that as a text."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bloodfilm.film.count import COUNTED, Differential
from bloodfilm.vocabulary import Vocabulary, number_of

ALL = "all types"
MIXED, NOT_ASSESSED = "mixed", "not assessed"
MARGIN = 0.1
"""By more than this share of the cells the most frequent value must lead the next, or the attribute is mixed."""

MIN_CELLS = 20
"""With fewer cells of a known type none is called predominant: the interval of a half is then wider than 30 to 70 %."""

SENTENCES = {
    "cell_size": "Cell size is {}.",
    "nuclear_chromatin": "The nuclear chromatin is {}",
    "nuclear_shape": " and the nuclear shape {}.",
    "nucleolus": "Nucleoli are {},",
    "cytoplasm": " the cytoplasm is {}",
    "cytoplasmic_basophilia": " and its basophilia {}.",
    "cytoplasmic_vacuoles": "Vacuoles are {}.",
}
"""Our wording of the papers' masked text for the attributes of LLD."""


def morphology_bank(table: pd.DataFrame, vocabulary: Vocabulary) -> pd.DataFrame:
    """Return how often each value of each attribute was read, over all types and for each type found.

    Parameters
    ----------
    table : DataFrame
        From `bloodfilm.film.count.cell_table`; only what is counted counts.

    Returns
    -------
    DataFrame
        ``type``, ``attribute``, ``value``, ``count``, ``of`` (cells of which the attribute is known) and ``share``
        (NaN where it is known of none).
    """
    names = list(vocabulary.attribute_names)
    counted = table.loc[table["status"] == COUNTED, ["class", *names]].astype(str)
    types = [ALL, *counted["class"].value_counts().index]
    read = pd.concat([counted.assign(**{"class": ALL}), counted]).melt("class", names, "attribute", "value")
    values = [(kind, a.name, value) for kind in types for a in vocabulary.attributes for value in a.values]
    index = pd.MultiIndex.from_tuples(values, names=["type", "attribute", "value"])
    counts = read.groupby(["class", "attribute", "value"]).size().reindex(index, fill_value=0)
    bank = counts.rename("count").reset_index()
    bank["of"] = bank.groupby(["type", "attribute"])["count"].transform("sum")
    return bank.assign(share=bank["count"] / bank["of"].where(bank["of"] > 0))


def majority(bank: pd.DataFrame) -> pd.DataFrame:
    """Return the word of each type (rows) for each attribute: a value, "mixed" or "not assessed"."""
    key = ["type", "attribute"]
    ranked = bank.sort_values("count", ascending=False, kind="stable")
    place = ranked.groupby(key).cumcount()
    first = ranked[place == 0].set_index(key)
    second = ranked[place == 1].set_index(key)["count"].reindex(first.index, fill_value=0)
    mixed = first["count"] - second <= MARGIN * first["of"]
    words = np.select([first["of"] == 0, mixed], [NOT_ASSESSED, MIXED], first["value"])
    table = pd.Series(words, first.index, dtype=object).unstack()
    return table.reindex(index=bank["type"].unique(), columns=bank["attribute"].unique())


def dominant_types(counts: Differential) -> list[str]:
    """Return the most frequent types, more than one only if as many cells have them; none of too few cells."""
    types = counts.types if counts.total >= MIN_CELLS else counts.types[:0]
    return list(types.index[types["count"] == types["count"].max()])


def masked_text(
    counts: Differential, words: pd.DataFrame, fields: int, sizes: dict[str, str] | None = None
) -> list[str]:
    """Return what the film shows in paragraphs: the count, the dominant type's morphology, that of all cells.

    With fewer than `MIN_CELLS` of a known type it lists these, and says what is missing. `words` are those of
    `majority`, `fields` the number of pictures that were searched, `sizes` a sentence on the measured size by type.
    """
    total, where = counts.total + counts.unknown, f"on {number_of(fields, 'field')}"
    if not total:
        return [f"No white cell was counted {where}."]
    first = f"{number_of(total, 'white cell')} {'was' if total == 1 else 'were'} counted {where}"
    if counts.total < MIN_CELLS:
        if not counts.total:
            return [f"{first}, none with a known type."]
        listed = [f"{name.lower()} {count}" for name, count in counts.types["count"].items()]
        listed += [f"unknown type {counts.unknown}"] if counts.unknown else []
        return [f"{first}: {', '.join(listed)}.", _too_few(counts)]
    lead = dominant_types(counts)
    morphology = [
        " ".join(filter(None, [_morphology(name, words.loc[name]), (sizes or {}).get(name)]))
        for name in (*lead, ALL)
        if len(words)
    ]
    leader = counts.types.loc[lead[0]]
    share, interval = f"{leader['share']:.0%}", f"95% interval {leader['low']:.0%} to {leader['high']:.0%}"
    rest = counts.types.drop(index=lead)
    if len(lead) > 1:
        first += f"; the predominant types are {' and '.join(map(str.lower, lead))} ({share} each"
    else:
        first += f"; the predominant type is {lead[0].lower()} ({share}"
    first += f" of {number_of(counts.total, 'cell')} with a known type, {interval})"
    first += f", followed by {rest.index[0].lower()} ({rest['share'].iloc[0]:.0%})." if len(rest) else "."
    return [first, *morphology]


def _too_few(counts: Differential) -> str:
    return (
        "That is too few to name a predominant type or to sum up the film's morphology. It takes "
        f"{number_of(MIN_CELLS - counts.total, 'cell')} more with a known type, {MIN_CELLS} in all."
    )


def _morphology(name: str, words: pd.Series) -> str:
    """Return the sentences with the words of one type in their slots; attributes of others' vocabularies are listed."""
    if (words == NOT_ASSESSED).all():
        return f"{name.capitalize()}: morphology was not assessed."
    if set(words.index) == set(SENTENCES):
        text = " ".join(template.format(words[name]) for name, template in SENTENCES.items())
        return f"{name.capitalize()}: {text.replace('  ', ' ')}"
    return f"{name.capitalize()}: " + ", ".join(f"{a.replace('_', ' ')} {word}" for a, word in words.items()) + "."
