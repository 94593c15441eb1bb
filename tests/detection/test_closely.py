"""Cells that are looked at closely: their boxes refined, their types and attributes read."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from bloodfilm.detection.detector import Detector
from bloodfilm.errors import UserError
from bloodfilm.nets.attridet import MIN_READ_SCORE, AttriDet
from bloodfilm.nets.checkpoint import Card, Stain
from bloodfilm.nets.reader import cut, middles
from bloodfilm.nets.refiner import STEP
from bloodfilm.vocabulary import LLD, Vocabulary


@pytest.fixture
def picture() -> np.ndarray:
    """A picture that tiles of 64 px cover with two rows of three."""
    return np.random.default_rng(0).integers(0, 256, (96, 120, 3), dtype=np.uint8)


@pytest.mark.parametrize("head", ["own", "exact", "none"])
def test_boxes_that_were_found_are_read_as_they_were_found(detector: Detector, picture: np.ndarray, head: str) -> None:
    if head != "own":
        torch.manual_seed(0)
        network = AttriDet("n", head=head)
        with torch.no_grad():
            for conv in network.detector.detect.m:
                conv.bias.view(3, -1)[:, 4:] += 5
        detector = Detector.from_network(network, detector.card, torch.device("cpu"))
    found = detector.detect(picture, MIN_READ_SCORE)[::-1]
    inside = (found.boxes[:, :2] > 0) & (found.boxes[:, 2:] < picture.shape[1::-1])
    found = found[inside.all(1)]  # those beyond the edge were read beyond it
    assert len(found)
    read = detector.read_boxes(picture, found.boxes)
    np.testing.assert_array_equal(read.boxes, found.boxes)
    np.testing.assert_array_equal(read.codes, found.codes)
    np.testing.assert_array_equal(read.attributes, found.attributes)
    np.testing.assert_allclose(read.attribute_scores, found.attribute_scores, atol=0.02)
    assert (read.scores == 1).all()


def test_cells_are_read_from_the_picture_as_it_is_not_as_it_is_searched(detector: Detector) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (288, 240, 3), dtype=np.uint8)  # is searched at a third of that
    cells = detector.detect(picture, MIN_READ_SCORE)
    with torch.inference_mode():
        types, *values = detector.network.read(cut(picture, cells.boxes) / 255, middles(len(cells)))
    assert len(cells) > 5
    sure = types.softmax(1).amax(1).numpy()
    np.testing.assert_allclose(cells.class_scores[cells.codes >= 0], sure[cells.codes >= 0], atol=1e-3)
    np.testing.assert_array_equal(cells.attributes[:, 0], values[0].argmax(1))


def test_cells_at_the_edge_of_a_tile_are_read_with_what_is_beyond_it(detector: Detector, picture: np.ndarray) -> None:
    cells = detector.detect(picture, MIN_READ_SCORE, tile=64)
    read = detector.read_boxes(picture, cells.boxes)
    np.testing.assert_array_equal(read.codes, cells.codes)
    np.testing.assert_allclose(read.attribute_scores, cells.attribute_scores, atol=1e-3)


def test_cells_are_read_in_the_colours_that_the_network_knows(network: AttriDet) -> None:
    stain = Stain(matrix=torch.eye(3)[[1, 0, 2]].tolist(), offset=[0.0] * 3)  # red and green change places
    card = Card(name="all", image_size=96, classes=list(LLD.classes), attributes=list(LLD.attribute_names))
    picture = np.full((96, 120, 3), (200, 40, 120), np.uint8)

    def said(picture: np.ndarray, **changes: Stain) -> np.ndarray:
        known = card.model_copy(update=changes)
        detector = Detector.from_network(copy.deepcopy(network), known, torch.device("cpu"))
        return detector.read_boxes(picture, [[20, 20, 60, 60]]).attribute_scores

    mapped = said(np.ascontiguousarray(picture[..., [1, 0, 2]]))
    np.testing.assert_allclose(said(picture, stain=stain), mapped, atol=0.05)
    assert np.abs(said(picture) - mapped).max() > 0.1


def test_a_vocabulary_may_do_without_attributes(picture: np.ndarray) -> None:
    network = AttriDet("n", Vocabulary(("a", "b")))
    card = Card(name="bare", image_size=96, vocabulary=network.vocabulary, classes=["a", "b"], attributes=[])
    detector = Detector.from_network(network, card, torch.device("cpu"))
    assert detector.read_boxes(picture, [[20, 20, 60, 60]]).attributes.shape == (1, 0)
    assert detector.detect(picture, 0.0).attributes.shape[1] == 0


def test_boxes_outside_and_pictures_too_large_are_refused(detector: Detector, picture: np.ndarray) -> None:
    with pytest.raises(UserError, match="no area"):
        detector.read_boxes(picture, [[500, 0, 600, 10]])
    with pytest.raises(UserError, match="too many"):
        detector.read_boxes(np.zeros((5000, 10), np.uint8), [[0, 0, 5, 5]])
    assert len(detector.read_boxes(picture, [])) == 0


def refining(detector: Detector, *moves: float, spread: float = 0.0) -> Detector:
    """Return a copy whose refiner moves the sides of boxes by so many widths and heights, and as the cell looks."""
    detector = copy.copy(detector)
    detector.network = copy.deepcopy(detector.network)
    last = detector.network.refiner.last
    torch.manual_seed(0)
    with torch.no_grad():
        last.weight.copy_(spread * torch.randn_like(last.weight))
        last.bias.copy_(torch.tensor(moves) / STEP)
    return detector


@torch.inference_mode()
@pytest.mark.parametrize("tile", [None, 64])
def test_boxes_worth_a_look_are_moved_as_the_refiner_says_and_cut_at_the_edge(
    detector: Detector, picture: np.ndarray, tile: int | None
) -> None:
    plain = detector.detect(picture, 0.03, tile)
    refined = refining(detector, 0.1, -0.2, 0.1, -0.2, spread=0.5)
    tight = refined.detect(picture, 0.03, tile)
    both = np.isin(tight.scores, plain.scores)  # a few others overlapped better ones before
    moves = set()
    for box, score in zip(tight.boxes[both], tight.scores[both], strict=True):
        (before,) = plain.boxes[plain.scores == score]
        if score < MIN_READ_SCORE:
            np.testing.assert_array_equal(box, before)
            continue
        patch = cut(picture, before[None]).float() / 255
        (move,) = refined.network.refiner(patch, middles(1)).numpy()
        wanted = (before + np.tile(before[2:] - before[:2], 2) * move).clip(0, [120, 96, 120, 96])
        left = (wanted[2:] - wanted[:2] > 1).all()
        np.testing.assert_allclose(box, wanted if left else before, atol=1e-2)
        moves.add(round(float(move[0]), 3))
    assert len(moves) > 10
    assert both.mean() > 0.9


def test_a_box_of_which_nothing_would_be_left_stays(detector: Detector, picture: np.ndarray) -> None:
    plain, gone = (each.detect(picture, 0.2) for each in (detector, refining(detector, 1, 0, -1, 0)))
    np.testing.assert_array_equal(plain.boxes, gone.boxes)


def test_boxes_that_come_to_lie_on_each_other_are_one_cell(detector: Detector, picture: np.ndarray) -> None:
    plain, wide = (each.detect(picture, 0.2) for each in (detector, refining(detector, -99, -99, 99, 99)))
    assert len(plain) > 1
    assert wide.boxes.tolist() == [[0, 0, 120, 96]]
    assert wide.scores[0] == plain.scores[0]


def test_cells_are_read_as_their_refined_boxes_would_be(detector: Detector, picture: np.ndarray) -> None:
    refined = refining(detector, 0.1, 0.1, 0.1, 0.1)
    cells = refined.detect(picture, 0.2)
    again = refined.read_boxes(picture, cells.boxes)
    np.testing.assert_array_equal(again.boxes, cells.boxes)
    np.testing.assert_array_equal(again.codes, cells.codes)
    np.testing.assert_allclose(again.attribute_scores, cells.attribute_scores, atol=1e-4)
