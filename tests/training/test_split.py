from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bloodfilm.cells import Cells, Field, Origin
from bloodfilm.errors import UserError
from bloodfilm.evaluation.leakage import patients_of
from bloodfilm.training.split import split_fields


def fields(count: int) -> list[Field]:
    return [Field(Path(f"{n}.png"), Cells.empty(), 10, 10, name=f"{n}.png") for n in range(count)]


def names(some: list[Field]) -> set[str]:
    return {field.name for field in some}


@pytest.mark.parametrize(("count", "held"), [(2, 1), (9, 1), (10, 1), (50, 5)])
def test_about_a_tenth_is_held_out_and_nothing_lost(count: int, held: int) -> None:
    chosen, kept = split_fields(fields(count))
    assert (len(chosen), len(kept)) == (count - held, held)
    assert names(chosen) | names(kept) == names(fields(count))


def test_the_order_of_the_fields_does_not_matter() -> None:
    assert names(split_fields(fields(50))[1]) == names(split_fields(fields(50)[::-1])[1])


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_fields_cannot_be_split(count: int) -> None:
    with pytest.raises(UserError, match="at least two fields"):
        split_fields(fields(count))


def test_the_fields_of_a_patient_stay_together() -> None:
    all_fields = [replace(f, origin=Origin(str(n // 5), n, None, 1000, "ALL")) for n, f in enumerate(fields(50))]
    chosen, kept = split_fields(all_fields)
    assert len(kept) == 5
    assert len(patients_of(kept)) == 1
    assert not patients_of(chosen) & patients_of(kept)
    with pytest.raises(UserError, match="two patients"):
        split_fields(all_fields[:5])
