from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bloodfilm.cells import Field
from bloodfilm.evaluation.pairing import pair

NAME = "4_8_1000_ALL.png"


def names(pairs: list[Field | None]) -> list[str | None]:
    return [field and field.name for field in pairs]


def test_one_file_is_one_picture_whatever_its_name(
    annotated: Callable[..., Field], write_picture: Callable[[str], Path]
) -> None:
    here, there = write_picture("here/a.png"), write_picture("there/a.png")
    truth = [replace(annotated(name=f"x/{at.parent.name}.png"), path=at) for at in (here, there)]
    found = [replace(annotated(name="a.png"), path=there), replace(annotated(name="b.png"), path=here)]
    assert names(pair(truth, found)) == ["b.png", "a.png"]


def test_a_name_counts_more_than_what_is_left_of_it_without_folder(annotated: Callable[..., Field]) -> None:
    truth = [annotated(name=f"{split}/a.png") for split in ("train", "test")]
    found = [annotated(name=f"{split}/a.png") for split in ("test", "train")]
    assert names(pair(truth, found)) == ["train/a.png", "test/a.png"]


@pytest.mark.parametrize(
    "other", ["C:\\LLD\\Images\\test\\" + NAME, f"Images/test/{NAME}", "4_8_1000_all.PNG", "4_8_1000_ALL`.png"]
)
def test_spellings_of_the_data_set_are_one_picture(annotated: Callable[..., Field], other: str) -> None:
    assert names(pair([annotated(name=other)], [annotated(name=NAME)])) == [NAME]
    assert names(pair([annotated(name=NAME)], [annotated(name=other)])) == [other]


def test_a_spelling_that_two_pictures_share_tells_neither(annotated: Callable[..., Field]) -> None:
    assert pair([annotated(name=NAME)], [annotated(name=f"{split}/{NAME}") for split in ("train", "test")]) == [None]
