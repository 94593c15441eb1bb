from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bloodfilm.cells import Field
from bloodfilm.errors import UserError
from bloodfilm.evaluation.report import evaluate
from bloodfilm.vocabulary import LLD, Vocabulary

Annotated = Callable[..., Field]
BOX, OTHER = [[10, 10, 50, 50]], [[100, 100, 150, 150]]


def test_pictures_go_together_by_name(annotated: Annotated) -> None:
    truth = [annotated(BOX, name="a.png", codes=[3]), annotated(OTHER, name="b.png", codes=[7])]
    found = [annotated(OTHER, name="b.png", codes=[7]), annotated(BOX, name="a.png", codes=[3])]
    result = evaluate(truth, found)
    assert result["detection"]["ap"] == 1
    assert result["attributes"]["class"]["accuracy"] == 1


def test_a_picture_that_was_not_searched_found_nothing(annotated: Annotated) -> None:
    result = evaluate([annotated(BOX, name="a.png"), annotated(BOX, name="b.png")], [annotated(BOX, name="a.png")])
    assert (result["detection"]["recall"], result["detection"]["fields"]) == (0.5, 2)
    assert result["protocol"]["not_searched"] == ["b.png"]


def test_a_picture_without_truth_does_not_count(annotated: Annotated) -> None:
    result = evaluate([annotated(BOX)], [annotated(BOX), annotated(OTHER, name="further.png")])
    assert (result["detection"]["false_per_field"], result["detection"]["fields"]) == (0, 1)
    assert (result["protocol"]["not_searched"], result["protocol"]["without_truth"]) == ([], 1)


def test_the_score_limit_reaches_both_parts(annotated: Annotated) -> None:
    truth, found = [annotated(BOX, codes=[3])], [annotated(BOX, codes=[3], scores=[0.4])]
    result = evaluate(truth, found, min_score=0.5)
    assert result["detection"]["recall"] == 0
    assert result["attributes"]["class"]["cells"] == 0


def test_rejected_cells_are_none(annotated: Annotated) -> None:
    field = annotated(BOX + OTHER)
    reviewed = replace(field, cells=replace(field.cells, extra={"review": np.array(["accepted", "rejected"], object)}))
    in_truth = evaluate([reviewed], [field])["detection"]
    assert (in_truth["cells"], in_truth["recall"], in_truth["false_per_field"]) == (1, 1, 1)
    in_found = evaluate([field], [reviewed])["detection"]
    assert (in_found["cells"], in_found["recall"], in_found["false_per_field"]) == (2, 0.5, 0)


@pytest.mark.parametrize("count", [0, 1])
def test_files_without_a_common_picture_are_an_error_that_names_one_of_each(annotated: Annotated, count: int) -> None:
    found = [annotated(BOX, name="other.png")] * count
    with pytest.raises(UserError, match=f"truth has a.png, the found cells {'other.png' if count else 'none'}"):
        evaluate([annotated(BOX)], found)


@pytest.mark.parametrize("other", [Vocabulary(("Blast",), LLD.attributes), Vocabulary(LLD.classes)])
def test_cells_of_two_vocabularies_are_not_compared(annotated: Annotated, other: Vocabulary) -> None:
    with pytest.raises(UserError, match="different vocabularies: read both files with one"):
        evaluate([annotated(BOX, codes=[0])], [annotated(BOX, codes=[0], vocabulary=other)])
    own = annotated(BOX, codes=[0], vocabulary=other)
    assert evaluate([own], [own])["attributes"]["class"]["accuracy"] == 1


def test_a_score_of_cell_and_type_is_not_multiplied_by_the_type_again(annotated: Annotated) -> None:
    truth = [annotated(BOX, codes=[3])]
    found = [annotated(OTHER + BOX, codes=[3, 3], scores=[0.5, 0.6], class_scores=[1.0, 0.7])]
    assert evaluate(truth, found)["types"]["Neutrophil"]["ap50"] == pytest.approx(0.5)
    assert evaluate(truth, found, score_of="cell and type")["types"]["Neutrophil"]["ap50"] == 1


def test_pictures_of_another_size_are_refused(annotated: Annotated) -> None:
    field = annotated([[10, 10, 50, 50]])
    with pytest.raises(UserError, match=r"a.png has 200 x 200 px in the truth, 100 x 100 in the found cells"):
        evaluate([field], [replace(field, width=100, height=100)])


def test_a_size_that_is_but_what_holds_the_cells_is_not_compared(annotated: Annotated) -> None:
    truth = replace(annotated(BOX, name="a.png"), width=50, height=50)
    assert evaluate([truth], [annotated(BOX, name="a.png")])["detection"]["ap"] == 1
