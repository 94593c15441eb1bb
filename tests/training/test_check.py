from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bloodfilm.cells import Field
from bloodfilm.training.check import FEW, Problem, check

LEFT = np.array([[0, 0, 48, 96]], np.float32)
NOTHING = np.empty((0, 4), np.float32)


def said(problems: list[Problem], words: str) -> Problem:
    return next(problem for problem in problems if words in problem.text)


@pytest.fixture
def in_part(fields: list[Field]) -> list[Field]:
    """Four fields of which the left half, with one of two cells, is labelled."""
    return [replace(f, labelled_regions=LEFT, cells=f.cells[f.cells.boxes[:, 0] < 40]) for f in fields]


def test_fields_in_order_give_no_reason_to_stop(in_part: list[Field]) -> None:
    problems = check(in_part)
    assert not any(problem.stops for problem in problems)
    assert "4 cells" in said(problems, "first try").text
    assert not check([replace(field, cells=field.cells[:1]) for field in in_part * FEW])


def test_where_nobody_looked_nothing_begins(fields: list[Field]) -> None:
    (problem,) = check([replace(field, labelled_regions=NOTHING) for field in fields])
    assert problem.stops
    assert "draw a region" in problem.text
    assert check([])[0].stops


def test_regions_without_any_cell_are_not_enough(in_part: list[Field]) -> None:
    bare = [replace(field, cells=field.cells[:0]) for field in in_part]
    problems = check(bare)
    assert problems[0].stops
    assert "no white cell in any region" in problems[0].text
    assert said(problems, "region without a cell").box == (0, 0, 48, 96)


def test_the_stairs_of_one_shape_are_one_region(fields: list[Field]) -> None:
    stairs = np.array([[0, 0, 20, 4], [0, 4, 40, 90], [0, 90, 10, 96]], np.float32)
    assert not any("without a cell" in each.text for each in check([replace(fields[0], labelled_regions=stairs)]))
    empty = replace(fields[0], labelled_regions=stairs, cells=fields[0].cells[:0])
    (problem,) = (each for each in check([empty, fields[1]]) if "without a cell" in each.text)
    assert problem.box == (0, 0, 40, 96)


def test_regions_that_overlap_are_looked_at_each_for_itself(fields: list[Field]) -> None:
    regions = np.array([[0, 0, 48, 96], [40, 80, 60, 96], [0, 0, 48, 96]], np.float32)
    in_part = replace(fields[0], labelled_regions=regions, cells=fields[0].cells[:1])
    (problem,) = (each for each in check([in_part, fields[1]]) if "without a cell" in each.text)
    assert problem.box == (40, 80, 60, 96)


def test_cells_outside_regions_are_told_with_their_place(fields: list[Field]) -> None:
    problem = said(check([replace(fields[0], labelled_regions=LEFT), *fields[1:]]), "outside the regions")
    assert not problem.stops
    assert problem.field == 0
    assert problem.box == tuple(fields[0].cells.boxes[1])


def test_regions_that_leave_the_picture_stop(in_part: list[Field]) -> None:
    in_part[2] = replace(in_part[2], labelled_regions=np.array([[10, 10, 120, 40]], np.float32))
    problem = check(in_part)[0]
    assert problem.stops
    assert (problem.field, problem.box) == (2, (10, 10, 120, 40))


def test_cells_without_type_are_told(fields: list[Field]) -> None:
    problem = said(check(fields), "without a type")
    assert problem.text.startswith(f"{len(fields)} cells")
    assert (problem.field, problem.box) == (0, tuple(fields[0].cells.boxes[1]))


def test_too_few_fields_to_judge_by_are_told(fields: list[Field]) -> None:
    assert any("flatter" in problem.text for problem in check(fields[:2]))
    assert not any("flatter" in problem.text for problem in check(fields[:3]))
