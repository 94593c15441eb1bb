from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import box_iou

from bloodfilm.nets.attridet import MIN_READ_SCORE, AttriDet, Found, with_auxiliary
from bloodfilm.vocabulary import LLD, Attribute, Vocabulary


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def found(network: AttriDet, images: Tensor) -> Found:
    return network.find(images, 0.05)


def test_the_test_network_finds_enough_to_test_with(found: Found) -> None:
    assert torch.bincount(found.image, minlength=2).min() > 10


@pytest.mark.parametrize("image", [0, 1])
def test_each_image_of_a_batch_gets_what_it_gets_alone(
    network: AttriDet, images: Tensor, found: Found, image: int
) -> None:
    alone = network.find(images[image : image + 1], 0.05)
    for name, together, single in zip(Found._fields[1:5], found[1:5], alone[1:5], strict=True):
        limit = {"boxes": 0.05, "scores": 1e-3}.get(name, 0.02)
        torch.testing.assert_close(together[found.image == image], single, atol=limit, rtol=0, msg=name)


def test_boxes_lie_inside_their_image_and_have_an_area(found: Found) -> None:
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, 2] <= 96).all()
    assert (found.boxes[:, 3] <= 64).all()
    assert ((found.boxes[:, 2:] - found.boxes[:, :2]) > 1).all()


def test_cells_come_by_falling_score_and_none_below_the_limit(found: Found) -> None:
    assert (found.scores.diff() <= 0).all()
    assert found.scores.min() >= 0.05


@pytest.mark.parametrize("limit", [0.2, 0.45])
def test_no_two_cells_of_an_image_overlap_more_than_allowed(network: AttriDet, images: Tensor, limit: float) -> None:
    found = network.find(images, 0.05, max_overlap=limit)
    for image in (0, 1):
        boxes = found.boxes[found.image == image]
        assert box_iou(boxes, boxes).fill_diagonal_(0).max() <= limit


def test_cells_of_different_images_do_not_suppress_each_other(network: AttriDet, images: Tensor) -> None:
    twice = network.find(images[:1].repeat(2, 1, 1, 1), 0.05)
    first, second = (twice.boxes[twice.image == image] for image in (0, 1))
    torch.testing.assert_close(first, second, atol=0.05, rtol=0)


@pytest.mark.parametrize("count", [1, 5])
def test_the_best_cells_of_each_image_are_kept(network: AttriDet, images: Tensor, found: Found, count: int) -> None:
    best = network.find(images, 0.05, max_cells=count)
    for image in (0, 1):
        wanted = found.boxes[found.image == image][:count]
        torch.testing.assert_close(best.boxes[best.image == image], wanted, atol=0.05, rtol=0)


def test_no_cells_give_empty_columns(network: AttriDet, images: Tensor) -> None:
    found = network.find(images, 1.1)
    assert [tuple(column.shape) for column in found[:5]] == [(0,), (0, 4), (0,), (0, 14), (0, 15)]


def test_cells_that_are_hardly_any_are_found_but_not_read(images: Tensor) -> None:
    torch.manual_seed(0)
    network = AttriDet("n", head="exact").eval()
    with torch.no_grad():
        for level, conv in enumerate(network.detector.detect.m):
            conv.bias.view(3, -1)[:, 4:] += 5 * level
    found = network.find(images, 0.0)
    weak = found.scores < MIN_READ_SCORE
    assert 0 < weak.sum() < len(weak)
    assert (found.attributes[weak] == 0).all()
    for part in torch.split(found.attributes[~weak], list(LLD.value_counts), 1):
        torch.testing.assert_close(part.sum(1), torch.ones(len(part)))


def test_types_and_values_of_each_attribute_are_read_from_the_picture(network: AttriDet, found: Found) -> None:
    assert not found.classes.any()
    assert not found.attributes.any()
    rois = torch.cat((found.image[:, None].float(), found.boxes), 1)
    parts = network.read(torch.rand(2, 3, 64, 96), rois)
    assert [part.shape for part in parts] == [(len(rois), count) for count in (len(LLD.classes), *LLD.value_counts)]


def test_scores_belong_to_their_boxes(network: AttriDet, images: Tensor, found: Found) -> None:
    with torch.inference_mode():
        boxes, objectness, *_ = (x[0] for x in network.detector.decode(network.detector(images[:1]).levels))
    mine = found.image == 0
    place = (objectness.sigmoid() - found.scores[mine, None]).abs().argmin(1)
    shown = boxes[place].clamp(min=0).minimum(torch.tensor([96, 64, 96, 64]))
    torch.testing.assert_close(found.boxes[mine], shown, atol=0.05, rtol=0)


@torch.inference_mode()
def test_folding_batch_normalisation_does_not_change_the_outputs(network: AttriDet, images: Tensor) -> None:
    fused = copy.deepcopy(network).fuse()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    before, after = network.detector(images), fused.detector(images)
    for a, b in zip((*before.levels, *before.taps), (*after.levels, *after.taps), strict=True):
        torch.testing.assert_close(a, b, atol=5e-3, rtol=1e-3)


def test_a_network_can_be_folded_twice(network: AttriDet, images: Tensor) -> None:
    once = copy.deepcopy(network).fuse()
    boxes = once.find(images, 0.05).boxes
    torch.testing.assert_close(once.fuse().find(images, 0.05).boxes, boxes, atol=0.05, rtol=0)


def test_the_outputs_follow_the_vocabulary() -> None:
    vocabulary = Vocabulary(("a", "b", "c"), (Attribute("x", ("p", "q")), Attribute("y", ("p", "q", "r", "s"))))
    found = AttriDet("n", vocabulary).eval().find(torch.rand(1, 3, 64, 64), 0.0, max_cells=4)
    assert (found.classes.shape[1], found.attributes.shape[1]) == (3, 6)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_vocabulary_may_do_without_attributes() -> None:
    found = AttriDet("n", Vocabulary(("a", "b"))).eval().find(torch.rand(1, 3, 64, 64), 0.0, max_cells=4)
    assert found.attributes.shape == (4, 0)


def test_new_auxiliary_kinds_change_nothing_that_was_found(network: AttriDet, images: Tensor, found: Found) -> None:
    larger = with_auxiliary(network, 2).eval().find(images, 0.05)
    for before, after in zip(found[:5], larger[:5], strict=True):
        torch.testing.assert_close(after, before)
    assert len(larger.auxiliary) == 2
