from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from bloodfilm.cells import Field
from bloodfilm.errors import UserError
from bloodfilm.evaluation.leakage import check_leakage, check_patients, leaking, patients_of
from bloodfilm.evaluation.report import evaluate
from bloodfilm.io.coco import read_coco
from bloodfilm.io.lld.names import origin_of

Annotated = Callable[..., Field]


def named(annotated: Annotated, *names: str) -> list[Field]:
    return [replace(annotated(name=name), origin=origin_of(name)) for name in names]


def test_a_patient_on_both_sides_is_refused_by_number_across_subsets(annotated: Annotated) -> None:
    trained = named(annotated, "H_100X_C1/4_8_1000_ALL.png", "H_100X_C1/12_1_1000_AML.png")
    tested = named(annotated, "L_40X_C2/4_9_2_400_ALL.png", "L_40X_C2/5_1_1_400_ALL.png")
    with pytest.raises(UserError, match="1 of the 2 fields .* patients 4; the first is L_40X_C2/4_9_2_400_ALL.png"):
        check_leakage(trained, tested)
    assert leaking(trained, tested) == tested[:1]


def test_disjoint_patients_are_told_to_be_so(annotated: Annotated) -> None:
    sides = named(annotated, "4_8_1000_ALL.png"), named(annotated, "5_8_1000_ALL.png")
    assert check_leakage(*sides) == "No patient was trained on and tested."


def test_it_says_where_it_cannot_know(annotated: Annotated) -> None:
    said = check_leakage(named(annotated, "4_8_1000_ALL.png", "scan.png"), named(annotated, "film.png"))
    assert "unknown of 1 fields trained on and 1 tested" in said


def test_a_copy_under_another_name_is_found(annotated: Annotated, write_picture: Callable[[str], Path]) -> None:
    first, second = write_picture("train/a.png"), write_picture("test/b.png")
    other = write_picture("test/c.png")
    other.write_bytes(other.read_bytes()[:-1] + b"x")
    trained = [replace(annotated(), path=first)]
    tested = [replace(annotated(name=path.name), path=path) for path in (second, other)]
    assert leaking(trained, tested) == tested[:1]


def test_evaluation_refuses_a_leak_and_says_when_it_did_not_look(annotated: Annotated) -> None:
    (field,) = named(annotated, "4_8_1000_ALL.png")
    with pytest.raises(UserError, match="patients 4"):
        evaluate([field], [field], trained_on=[field])
    assert "not checked" in evaluate([field], [field])["protocol"]["leakage"]


def test_fields_of_patients_on_a_card_are_left_out(annotated: Annotated) -> None:
    tested = named(annotated, "4_8_1000_ALL.png", "5_8_1000_ALL.png")
    assert check_patients(["4"], tested) == (tested[1:], "none")
    assert check_patients([], tested)[1].startswith("unknown: the model does not say")
    assert "1 fields" in check_patients(["4"], [*tested, *named(annotated, "a.png")])[1]


def test_splits_of_a_subset_of_lld_share_no_patient(lld: Path) -> None:
    labels = lld / "LeukemiaAttri_Dataset"
    train, test = (read_coco(labels / "H_100X_C2" / "json_labels" / f"{name}.json") for name in ("train", "test"))
    assert patients_of(train) and patients_of(test)
    assert not patients_of(train) & patients_of(test)


def test_each_picture_is_read_once_however_many_are_of_one_size(
    annotated: Annotated, write_picture: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, digest = [], hashlib.file_digest

    def counted(file: BinaryIO, name: str) -> Any:
        read.append(file.name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    sides = [[replace(annotated(), path=write_picture(f"{side}/{i}.png")) for i in range(5)] for side in ("one", "two")]
    for number, field in enumerate([*sides[0], *sides[1][:4]]):
        field.path.write_bytes(field.path.read_bytes()[:-1] + bytes([number]))
    sides[1][4].path.write_bytes(sides[0][4].path.read_bytes())
    assert leaking(*sides) == sides[1][4:]
    assert len(read) == 10


def test_pictures_that_are_not_there_are_compared_by_name(annotated: Annotated) -> None:
    with pytest.raises(UserError, match="1 of the 2 fields .*; the first is a.png"):
        check_leakage(named(annotated, "a.png"), named(annotated, "a.png", "b.png"))
    other = [replace(field, width=400) for field in named(annotated, "a.png")]
    said = check_leakage(named(annotated, "a.png"), other)
    assert said.endswith("2 pictures that are not there were compared by name only.")
