from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bloodfilm.cells import Cells
from bloodfilm.training.proposals import Proposal, Sized, propose
from bloodfilm.vocabulary import LLD

FIELD = SimpleNamespace(width=400, height=300)
BASOPHIL = LLD.class_code("Basophil")


def fields(count: int) -> list[Sized]:
    return [FIELD] * count


def cells(*places: tuple[float, float], score: float = 0.5, novelty: float | None = None, code: int = -1) -> Cells:
    boxes = np.array([[x - 20, y - 20, x + 20, y + 20] for x, y in places], np.float32).reshape(-1, 4)
    count = len(boxes)
    sure = np.full(count, np.nan if code < 0 else 0.9)
    return Cells(boxes, codes=[code] * count, scores=[score] * count, class_scores=sure, novelty=novelty)


def shared(first: Proposal, second: Proposal) -> float:
    a, b = np.array(first.region), np.array(second.region)
    area = (np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(min=0).prod()
    return float(area / (a[2:] - a[:2]).prod()) if first.field == second.field else 0.0


@pytest.mark.parametrize("share", [0.05, 0.2, 1.0])
def test_patches_have_the_share_and_the_aspect_of_their_field_and_lie_in_it(share: float) -> None:
    random = np.random.default_rng(0)
    found = [cells(*random.uniform(20, 280, (9, 2)).tolist(), score=float(s)) for s in random.uniform(0.05, 1, 6)]
    proposals = propose(fields(6), found, 6, share)
    assert len(proposals) == 6
    for proposal in proposals:
        x0, y0, x1, y1 = proposal.region
        assert (x1 - x0) * (y1 - y0) == pytest.approx(share * 400 * 300, rel=1e-3)
        assert (x1 - x0) / (y1 - y0) == pytest.approx(4 / 3, rel=1e-3)
        assert x0 >= 0 and y0 >= 0 and x1 <= 400.01 and y1 <= 300.01


def test_what_is_probably_a_cell_comes_before_what_is_hardly_one_and_that_before_nothing() -> None:
    found = [cells(), cells((200, 150), score=0.05), cells((200, 150), score=0.99), cells((200, 150), score=0.5)]
    proposals = propose(fields(4), found, 4)
    assert {proposal.field for proposal in proposals[:2]} == {2, 3}
    assert [proposal.field for proposal in proposals[2:]] == [1, 0]
    assert {proposal.field: proposal.why for proposal in proposals} == {
        0: "nothing found yet",
        1: "1 doubtful cell",
        2: "1 cell",
        3: "1 doubtful cell",
    }


def test_fields_with_a_cell_are_as_useful_as_crowded_ones_and_come_in_no_order() -> None:
    crowd = cells(*[(x, y) for x in (160, 200, 240) for y in (120, 160)])
    found = [crowd if index < 10 else cells((200, 150), score=0.9) for index in range(40)]
    proposals = propose(fields(40), found, 20)
    assert {proposal.use for proposal in proposals} == {1.0}
    assert 1 <= sum(proposal.field < 10 for proposal in proposals) < 10
    assert propose(fields(40), found, 20) == proposals


def test_the_fullest_patch_of_a_field_is_taken() -> None:
    found = cells((40, 40), (320, 220), (360, 260))
    assert propose(fields(1), [found], 1)[0].why == "2 doubtful cells"


def test_a_field_unlike_what_the_model_knows_is_told() -> None:
    first = propose(fields(1), [cells((200, 150), score=0.9, code=BASOPHIL, novelty=1.8)], 1)[0]
    assert first.why == "1 Basophil, unlike what the model knows"


def test_other_fields_come_before_a_second_patch_of_one() -> None:
    crowd = cells(*[(x, y) for x in (60, 200, 340) for y in (60, 240)])
    found = [crowd, cells((200, 150)), cells((200, 150))]
    assert sorted(proposal.field for proposal in propose(fields(3), found, 3)) == [0, 1, 2]


def test_no_cell_is_cut_where_it_can_be_whole() -> None:
    found = cells((30, 30), (130, 60), (215, 40), (320, 250))
    x0, y0, x1, y1 = propose(fields(1), [found], 1)[0].region
    inside = (found.boxes[:, :2] >= [x0, y0]).all(1) & (found.boxes[:, 2:] <= [x1, y1]).all(1)
    apart = (found.boxes[:, :2] >= [x1, y1]).any(1) | (found.boxes[:, 2:] <= [x0, y0]).any(1)
    assert (inside | apart).all() and inside.sum() == 2


@pytest.mark.parametrize("novelty", [None, 3.0])
def test_fields_in_which_nothing_is_found_get_patches_in_their_middle(novelty: float | None) -> None:
    proposals = propose(fields(3), [cells(novelty=novelty)] * 3, 3)
    assert sorted(proposal.field for proposal in proposals) == [0, 1, 2]
    assert np.allclose([np.add(p.region[:2], p.region[2:]) / 2 for p in proposals], [200, 150], atol=1)
    assert all(proposal.why.startswith("nothing found yet") for proposal in proposals)


def test_what_is_labelled_or_skipped_is_not_proposed_again() -> None:
    found = [cells((100, 100)), cells((300, 200), score=0.9)]
    first = propose(fields(2), found, 1)[0]
    taken = [np.array([first.region]), np.empty((0, 4))]
    second = propose(fields(2), found, 1, taken=taken)[0]
    assert (first.field, second.field) == (0, 1)
    everything = [np.array([[0, 0, 400, 300]])] * 2
    assert propose(fields(2), found, 3, taken=everything) == []


def test_patches_of_one_field_keep_apart_until_there_is_no_room() -> None:
    found = cells(*np.random.default_rng(0).uniform(20, 280, (30, 2)).tolist())
    proposals = propose(fields(1), [found], 20)
    assert 3 <= len(proposals) < 20
    assert max(shared(a, b) for i, a in enumerate(proposals) for b in proposals[:i]) <= 0.2501


def test_nothing_to_choose_from_is_no_error() -> None:
    assert propose([], [], 5) == []
    assert propose(fields(1), [cells()], 0) == []
    with pytest.raises(ValueError, match="Each field"):
        propose(fields(2), [cells()], 1)
