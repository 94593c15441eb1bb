"""Pictures that a file lists again and again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from bloodfilm.cells import Field, concatenate
from bloodfilm.io.table import aligned


def merge_pictures(fields: Iterable[Field]) -> list[Field]:
    """Return one field for all `fields` of one path, name and source, with the cells and regions of each of them."""
    by_picture: dict[tuple[str, str, str], list[Field]] = {}
    for field in fields:
        by_picture.setdefault((str(field.path), field.name, field.source), []).append(field)
    return [_merged(group) for group in by_picture.values()]


def _merged(group: list[Field]) -> Field:
    first = group[0]
    if len(group) == 1:
        return first
    regions = [field.labelled_regions for field in group if field.labelled_regions is not None]
    return replace(
        first,
        cells=concatenate(aligned([field.cells for field in group])),
        ignored=np.concatenate([field.ignored for field in group]),
        auxiliary={name: np.concatenate([field.auxiliary[name] for field in group]) for name in first.auxiliary},
        complete=frozenset.intersection(*(field.complete for field in group)),
        labelled_regions=np.concatenate(regions) if len(regions) == len(group) else None,
    )
