"""The Large Leukemia Dataset's labels: how its COCO files write attributes, and where their pictures are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bloodfilm.vocabulary import UNKNOWN, Vocabulary, normalise

MISSPELT = {"nuclear chromatio": "nuclear chromatin", "nuclear chromatins": "nuclear chromatin", "nucleus": "nucleolus"}
IMAGES = "[Ii][Mm][Aa][Gg][Ee][Ss]"


def lld_words(values: Mapping[str, Any], vocabulary: Vocabulary) -> list[int]:
    """Return the codes of one cell's attributes, given by name as words or as LLD's numbers.

    LLD spells some names in several ways. A number that is no value of its attribute (2 or 4 of a binary
    one) means "not applicable"; cell size 2 is a value unless all other attributes are not applicable.
    """
    names = [normalise(name) for name in vocabulary.attribute_names]
    spelt = {MISSPELT.get(normalise(name), normalise(name)): value for name, value in values.items()}
    given = {name: value for name, value in spelt.items() if name in names}
    codes = []
    for attribute in vocabulary.attributes:
        value = given.get(normalise(attribute.name))
        if isinstance(value, int | float) and not isinstance(value, bool):
            codes.append(int(value) if 0 <= value < len(attribute.values) else UNKNOWN)
        else:
            codes.append(attribute.code(value))
    others = [code for name, code in zip(names, codes, strict=True) if name != "cell size"]
    in_numbers = any(isinstance(value, int | float) for value in given.values())
    if in_numbers and others and all(code == UNKNOWN for code in others):
        return [UNKNOWN] * len(codes)
    return codes


def picture_folders(labels: Path) -> list[Path]:
    """Return the folders where the pictures of the file `labels` can be: beside it and LLD's.

    LLD keeps ``<subset>/json_labels/train.json`` apart from ``<subset>/Images/train/``; the case of folder
    names differs between subsets.
    """
    above = (labels.parent, labels.absolute().parent.parent)
    folders = [labels.parent, *(path for each in above for path in sorted(each.glob(IMAGES)))]
    return [inside for folder in folders for inside in (folder, folder / labels.stem)]


def first_there(folders: Iterable[Path], name: str) -> Path | None:
    """Return the file `name` in the first of `folders` that has it, or None."""
    return next((folder / name for folder in folders if (folder / name).is_file()), None)
