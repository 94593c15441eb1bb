from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bloodfilm.cells import Cells, Scale, concatenate
from bloodfilm.vocabulary import LLD, NOT_ANNOTATED, NOT_PREDICTED, UNKNOWN, Attribute, Vocabulary

BOX = [[0, 0, 5, 5]]
COLUMNS = ("boxes", "codes", "scores", "class_scores", "attributes", "attribute_scores")


def assert_same(a: Cells, b: Cells) -> None:
    assert a.vocabulary == b.vocabulary
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), name)


def test_columns_that_are_not_given_are_unknown() -> None:
    cells = Cells(BOX)
    assert cells.codes.tolist() == [UNKNOWN]
    assert cells.scores.tolist() == [1]
    assert np.isnan(cells.class_scores).all()
    assert cells.attributes.tolist() == [[UNKNOWN] * 7]
    assert np.isnan(cells.attribute_scores).all()


def test_columns_take_the_types_of_the_table() -> None:
    cells = Cells([[0, 0, 5, 5]], codes=[3], scores=[1])
    assert (cells.boxes.dtype, cells.codes.dtype, cells.scores.dtype) == (np.float32, np.int16, np.float32)


@pytest.mark.parametrize(
    "box", [[5, 0, 5, 5], [0, 6, 5, 5], [0, 0, np.nan, 5], [0, 0, np.inf, 5], [-np.inf, 0, 5, 5]], ids=str
)
def test_a_box_without_a_finite_area_is_refused_by_its_row(box: list[float]) -> None:
    with pytest.raises(ValueError, match="Box 1 is"):
        Cells([*BOX, box])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"codes": [14]}, "from -1 to 13"),
        ({"codes": [-2]}, "from -1 to 13"),
        ({"attributes": [[0, 2, 0, 0, 0, 0, 0]]}, "outside its attribute"),
        ({"attributes": [[-2, 0, 0, 0, 0, 0, 0]]}, "outside its attribute"),
        ({"scores": [np.nan]}, "from 0 to 1"),
        ({"scores": [np.inf]}, "from 0 to 1"),
        ({"scores": [1.01]}, "from 0 to 1"),
        ({"class_scores": [-0.01]}, "from 0 to 1"),
        ({"attribute_scores": [[np.nan] * 6 + [1.01]]}, "from 0 to 1"),
        ({"codes": [1, 2]}, "codes has the shape"),
        ({"attributes": [[0, 0]]}, "attributes has the shape"),
        ({"extra": {"note": np.array(["a", "b"])}}, "Column note has 2 values for 1 cells"),
    ],
)
def test_values_outside_their_range_and_wrong_lengths_are_refused(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Cells(BOX, **columns)


@pytest.mark.parametrize("rows", [[2, 0], slice(None, None, -2), np.array([True, False, True])], ids=str)
def test_rows_are_chosen_by_number_slice_and_mask(cells: Cells, rows: Any) -> None:
    cells = Cells(**{n: getattr(cells, n) for n in COLUMNS}, extra={"number": np.arange(3)})
    chosen = cells[rows]
    wanted = np.arange(3)[rows]
    assert chosen.extra["number"].tolist() == wanted.tolist()
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(chosen, name), getattr(cells, name)[wanted])


def test_no_rows_choose_no_cells(cells: Cells) -> None:
    assert len(cells[[]]) == 0


def test_order_is_by_falling_score_then_top_to_bottom_then_left_to_right() -> None:
    corners = np.array([[9, 9], [5, 0], [0, 5], [0, 0], [1, 1]])
    cells = Cells(np.hstack((corners, corners + 3)), scores=[0.9, 0.5, 0.5, 0.5, 0.1])
    assert cells.in_order().boxes[:, :2].tolist() == [[9, 9], [0, 0], [5, 0], [0, 5], [1, 1]]


def test_shifting_moves_boxes_and_nothing_else(cells: Cells) -> None:
    moved = cells.shifted(10, -5)
    np.testing.assert_array_equal(moved.boxes - cells.boxes, np.tile([10, -5, 10, -5], (3, 1)))
    np.testing.assert_array_equal(moved.attributes, cells.attributes)


def test_a_frame_gives_the_cells_back(cells: Cells) -> None:
    assert_same(Cells.from_frame(cells.boxes, cells.to_frame()), cells)


def test_a_frame_says_words(cells: Cells) -> None:
    frame = cells.to_frame()
    assert frame["class"].tolist() == ["Neutrophil", "unknown type", "Myeloblast"]
    assert frame["cell_size"].tolist() == ["large", NOT_PREDICTED, NOT_PREDICTED]
    assert set(cells.to_frame(NOT_ANNOTATED)["nucleolus"]) == {"prominent", NOT_ANNOTATED}


def test_a_frame_offers_every_word_of_the_vocabulary(cells: Cells) -> None:
    frame = cells.to_frame()
    assert set(LLD.classes) < set(frame["class"].cat.categories)
    assert list(frame["cell_size"].cat.categories) == ["small", "medium", "large", NOT_PREDICTED]


def test_a_frame_with_one_column_leaves_the_rest_unknown(cells: Cells) -> None:
    back = Cells.from_frame(cells.boxes, cells.to_frame()[["nucleolus"]])
    assert_same(back, Cells(cells.boxes, attributes=np.where(np.arange(7) == 3, cells.attributes, UNKNOWN)))


def test_a_score_that_is_missing_in_a_frame_is_that_of_an_annotation(cells: Cells) -> None:
    frame = cells.to_frame().assign(score=[0.9, np.nan, 0.7])
    assert Cells.from_frame(cells.boxes, frame).scores.tolist() == pytest.approx([0.9, 1, 0.7])


def test_further_columns_of_a_frame_are_kept(cells: Cells) -> None:
    frame = cells.to_frame().assign(note=["a", "b", "c"])
    assert Cells.from_frame(cells.boxes, frame).extra["note"].tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("vocabulary", [LLD, Vocabulary(("Blast",)), Vocabulary((), (Attribute("a", ("b",)),))])
def test_no_cells_make_a_frame_and_come_back(vocabulary: Vocabulary) -> None:
    none = Cells.empty(vocabulary)
    assert_same(Cells.from_frame(none.boxes, none.to_frame(), vocabulary), none)


def test_joined_tables_follow_each_other(cells: Cells) -> None:
    assert_same(concatenate([cells[:1], Cells.empty(), cells[1:]]), cells)


def test_joining_keeps_only_columns_that_all_have() -> None:
    with_both = Cells(BOX, extra={"a": np.array([1]), "b": np.array([2])})
    with_one = Cells(BOX, extra={"b": np.array([3])})
    assert {name: column.tolist() for name, column in concatenate([with_both, with_one]).extra.items()} == {"b": [2, 3]}


def test_tables_of_different_vocabularies_are_not_joined() -> None:
    with pytest.raises(ValueError, match="different vocabularies"):
        concatenate([Cells(BOX), Cells(BOX, vocabulary=Vocabulary(("Blast",)))])


SQUEEZED = Scale((0.25, 0.15), 0.01, 40, True, (1.5, 0.9))


def test_a_sure_scale_gives_diameters_that_undo_the_squeeze() -> None:
    cells = Cells([[0, 0, 30, 50], [10, 10, 70, 110]], scale=SQUEEZED)
    np.testing.assert_allclose(cells.diameters_um, [7.5, 15], rtol=1e-5)
    np.testing.assert_allclose(cells[[1]].to_frame()["diameter_um"], [15], rtol=1e-5)


@pytest.mark.parametrize("scale", [None, replace(SQUEEZED, sure=False)])
def test_without_a_sure_scale_no_diameter_is_said(scale: Scale | None) -> None:
    cells = Cells([[0, 0, 30, 50]], scale=scale)
    assert np.isnan(cells.diameters_um).all()
    assert ("diameter_um" in cells.to_frame()) is (scale is not None)


def test_tables_of_one_picture_share_its_scale_and_others_have_none() -> None:
    one, other = Cells([[0, 0, 30, 50]], scale=SQUEEZED), Cells([[0, 0, 9, 9]])
    assert concatenate([one, one]).scale == SQUEEZED
    assert concatenate([one, other]).scale is None


def test_joined_parts_are_as_new_as_the_newest() -> None:
    one, two, none = (Cells([[0, 0, 9, 9]], novelty=novelty) for novelty in (0.5, 2.0, None))
    assert concatenate([one, two, none]).novelty == 2
    assert concatenate([none, none]).novelty is None
    assert two[[0]].novelty == 2


@pytest.mark.parametrize(
    "columns", [{"codes": [65536]}, {"codes": [np.nan]}, {"codes": [1.5]}, {"attributes": [[np.nan] * 7]}], ids=str
)
def test_codes_that_are_no_small_whole_numbers_are_refused(columns: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="are small whole numbers"):
        Cells(BOX, **columns)


def test_boxes_need_four_corners() -> None:
    with pytest.raises(ValueError, match=r"boxes has the shape \(4, 5\); it needs \(N, 4\)"):
        Cells(np.ones((4, 5)))
