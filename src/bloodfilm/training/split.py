"""Hold fields out for selection, the same ones in every run."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from bloodfilm.cells import Field
from bloodfilm.errors import UserError

SHARE = 0.1


def split_fields(fields: Sequence[Field]) -> tuple[list[Field], list[Field]]:
    """Return the fields to train on and about a tenth of them to select on, chosen by a hash of their names.

    The fields of one patient stay together, as far as their names tell whose they are.

    Raises
    ------
    UserError
        If there are fewer than two fields, or all are of one patient.
    """
    groups = defaultdict(list)
    for field in fields:
        groups[f"patient {field.origin.patient}" if field.origin else field.name].append(field)
    if len(groups) < 2:
        raise UserError(
            "Training needs at least two fields, of two patients where names tell, one of them to select on; "
            "or give --validation."
        )
    ranked = sorted(groups, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    held = [groups[ranked.pop(0)]]
    while len(ranked) > 1 and sum(map(len, held)) < round(SHARE * len(fields)):
        held.append(groups[ranked.pop(0)])
    return [field for name in ranked for field in groups[name]], [field for group in held for field in group]
