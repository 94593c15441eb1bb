"""Which found picture is which annotated one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence

from bloodfilm.cells import Field
from bloodfilm.io.lld.names import key

SIGNS: tuple[Callable[[Field], object], ...] = (
    lambda field: field.path.resolve() if field.path.is_file() else None,
    lambda field: field.name,
    lambda field: key(field.name),
)
"""What tells a picture, the surest first: its file, its name, and what LLD's spellings of its name have in common."""


def pair(truth: Sequence[Field], found: Sequence[Field]) -> list[Field | None]:
    """Return of each of `truth` the one of `found` on the same picture, or None.

    The surest sign counts that both sides have; only if no other picture of its side has it too.
    """
    pairs: dict[int, int] = {}
    for sign in SIGNS:
        ours = _singles(truth, sign, pairs.keys())
        theirs = _singles(found, sign, {*pairs.values()})
        pairs |= {ours[said]: theirs[said] for said in ours.keys() & theirs.keys()}
    return [found[pairs[row]] if row in pairs else None for row in range(len(truth))]


def _singles(fields: Sequence[Field], sign: Callable[[Field], object], done: Collection[int]) -> dict[object, int]:
    """Return the rows of `fields` that are not `done` by their sign, of those that no other has."""
    signs = {row: sign(field) for row, field in enumerate(fields) if row not in done}
    counts = Counter(signs.values())
    return {said: row for row, said in signs.items() if said is not None and counts[said] == 1}
