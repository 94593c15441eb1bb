from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bloodfilm.training.augment import HED_FROM_RGB, TRANSFORMS, Transform, add_noise, compress, disturb, turn
from bloodfilm.training.labels import Targets

COUNT = 16


def batch() -> tuple[Tensor, Targets]:
    """Return light images with one dark rectangle each, off the middle, and its box."""
    images = torch.full((COUNT, 3, 64, 64), 0.9)
    boxes = torch.tensor([[5.0, 8, 25, 18]]).repeat(COUNT, 1)
    images[:, :, 8:18, 5:25] = torch.tensor([0.35, 0.2, 0.5]).view(1, 3, 1, 1)
    codes = torch.arange(COUNT)
    table = codes[:, None].repeat(1, 8)
    return images, Targets(codes, boxes, torch.zeros_like(codes), table, codes, boxes.clone(), codes)


def bounds(image: Tensor) -> list[int]:
    rows, columns = torch.nonzero(image.mean(0) < (image.mean(0).max() + image.mean(0).min()) / 2, as_tuple=True)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def augment(images: Tensor, targets: Targets, generator: torch.Generator) -> tuple[Tensor, Targets]:
    """Turn images with their labels, and give each another microscope, as training does."""
    images, targets = turn(images, targets, generator)
    return disturb(images, generator), targets


def test_boxes_follow_the_turns() -> None:
    images, targets = turn(*batch(), generator())
    assert [box.tolist() for box in targets.boxes] == [bounds(image) for image in images]
    assert torch.equal(targets.unknown, targets.boxes)


def test_all_eight_turns_happen() -> None:
    boxes = [box for seed in range(8) for box in turn(*batch(), generator(seed))[1].boxes.tolist()]
    shares = [boxes.count(box) / len(boxes) for box in map(list, set(map(tuple, boxes)))]
    assert len(shares) == 8
    assert 0.05 < min(shares) < max(shares) < 0.2


def test_labels_are_left_as_they_are() -> None:
    images, before = batch()
    _, after = augment(images, before, generator())
    for name in ("image", "kinds", "codes", "unknown_image", "unknown_kinds"):
        assert torch.equal(getattr(after, name), getattr(before, name))


def test_each_cell_of_an_image_is_turned_with_it() -> None:
    images, targets = batch()
    index = torch.tensor([3, 0, 3, 1])
    _, turned = augment(images, targets._replace(image=index, boxes=targets.boxes[:4]), generator())
    assert torch.equal(turned.boxes[0], turned.boxes[2])


def test_a_batch_without_cells_is_augmented() -> None:
    images, targets = batch()
    none = Targets(*(column[:0] for column in targets))
    after, targets = augment(images, none, generator())
    assert targets.boxes.shape == (0, 4)
    assert not torch.equal(after, images)


def test_the_same_generator_gives_the_same_batch() -> None:
    first, second = (augment(*batch(), generator(5)) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1].boxes, second[1].boxes)
    assert not torch.equal(first[0], augment(*batch(), generator(6))[0])


def test_the_given_images_are_not_changed() -> None:
    images, targets = batch()
    before = images.clone()
    augment(images, targets, generator())
    assert torch.equal(images, before)


every_transform = pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda transform: transform.__name__)


@every_transform
def test_colours_stay_in_range_and_finite(transform: Transform) -> None:
    images = torch.rand(COUNT, 3, 16, 16, generator=generator())
    images[:, :, :4] = 0
    images[:, :, 4:8] = 1
    changed = transform(images, generator())
    assert (changed.shape, changed.dtype) == (images.shape, images.dtype)
    assert torch.isfinite(changed).all()
    assert changed.min() >= 0
    assert changed.max() <= 1 + 1e-5


@every_transform
def test_each_image_is_changed_by_itself(transform: Transform) -> None:
    images, _ = batch()
    changed = transform(images, generator())
    assert not torch.equal(changed, images)
    assert torch.equal(images, batch()[0])
    assert len({tuple(image.flatten().tolist()) for image in changed}) > COUNT / 2


@every_transform
def test_a_stained_cell_stays_where_it_is_and_darker_than_the_ground(transform: Transform) -> None:
    changed = transform(batch()[0], generator())
    assert (changed[:, :, 12, 15].mean(1) < changed[:, :, 40, 50].mean(1) - 0.1).all()


@pytest.mark.parametrize("name", ["restain", "change_camera"])
def test_pixels_of_one_colour_get_one_colour(name: str) -> None:
    transform = next(each for each in TRANSFORMS if each.__name__ == name)
    inside = transform(batch()[0], generator())[:, :, 9:17, 6:24].flatten(2)
    assert (inside.amax(2) - inside.amin(2)).max() < 1e-5


def test_the_stain_matrix_is_that_of_scikit_image() -> None:
    colour = pytest.importorskip("skimage.color")
    torch.testing.assert_close(HED_FROM_RGB.double(), torch.from_numpy(colour.hed_from_rgb), atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("transform", [each for each in TRANSFORMS if each not in (compress, add_noise)])
def test_transforms_work_where_the_images_are(transform: Transform) -> None:
    images = torch.empty((2, 3, 64, 64), device="meta")
    assert transform(images, generator()).device == images.device
