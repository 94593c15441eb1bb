"""Hold fields out for selection, the same ones in every run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from bloodfilm.cells import Field
from bloodfilm.errors import UserError


def split_fields(fields: Sequence[Field], share: float = 0.1) -> tuple[list[Field], list[Field]]:
    """Return the fields to train on and about `share` of them to select on, chosen by a hash of their names.

    Raises
    ------
    UserError
        If there are fewer than two fields.
    """
    if len(fields) < 2:
        raise UserError("Training needs at least two fields, one of them to select on; or give --validation.")
    ranked = sorted(fields, key=lambda field: hashlib.sha256(field.name.encode()).hexdigest())
    held = max(round(share * len(fields)), 1)
    return list(ranked[held:]), list(ranked[:held])
