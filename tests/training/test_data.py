from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bloodfilm.cells import Cells, Field
from bloodfilm.training.data import MIN_CELL, PAD, FieldDataset, Sample
from bloodfilm.training.labels import SETTLED, collate, labels_of
from bloodfilm.training.losses import known
from bloodfilm.training.rarity import rarity
from bloodfilm.vocabulary import UNKNOWN

SIDE = 96
SEEDS = range(12)


def dark(image: Tensor) -> Tensor:
    """Return where cells are drawn."""
    return image[1] < 100


def bounds(mask: Tensor) -> list[int]:
    rows, columns = torch.nonzero(mask, as_tuple=True)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


def assert_same(a: Sample, b: Sample) -> None:
    assert torch.equal(a[0], b[0])
    for x, y in zip(a[1], b[1], strict=True):
        assert torch.equal(x, y)


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_a_sample_depends_on_seed_epoch_and_position_only(fields: list[Field], mosaic: float) -> None:
    first, second = (FieldDataset(fields, SIDE, mosaic, seed=3) for _ in range(2))
    for index in reversed(range(4)):
        assert_same(first[index], second[index])
    assert_same(first[2], second[2])
    for other in (FieldDataset(fields, SIDE, mosaic, seed=4), second):
        other.epoch = 1 if other is second else 0
        assert not torch.equal(first[2][0], other[2][0])


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_fields_are_brought_to_one_size_of_red_cells(single: Field, mosaic: float) -> None:
    red_cells = {"red blood cell": np.array([[0, 0, 10, 10], [10, 0, 20, 10], [20, 0, 30, 10.0]])}
    field = replace(single, auxiliary=red_cells)
    sides = []
    for seed in SEEDS:
        _, labels = FieldDataset([field], 2 * SIDE, mosaic, 0.0, (1.0, 1.0), seed, red_cells=5.0)[0]
        boxes = labels.boxes[labels.kinds == 0]
        sides += (boxes[:, 2:] - boxes[:, :2]).prod(1).sqrt().tolist()
    assert np.median(sides) == pytest.approx(37 / 2, rel=0.1)


@pytest.mark.parametrize("scale", [(0.5, 0.5), (1.0, 1.0), (0.4, 1.6)])
def test_the_box_follows_its_cell(single: Field, scale: tuple[float, float]) -> None:
    seen = 0
    for seed in SEEDS:
        image, labels = FieldDataset([single], SIDE, 0.0, 0.0, scale, seed)[0]
        assert image.shape == (3, SIDE, SIDE)
        assert image.dtype == torch.uint8
        if len(labels.boxes):
            seen += 1
            assert labels.boxes[0].tolist() == pytest.approx(bounds(dark(image)), abs=2.5)
            assert labels.codes[:, 0].tolist() == [3]
    assert seen > len(SEEDS) / 2


def test_a_mirrored_field_fills_the_canvas_and_boxes_lie_on_all_its_cells(single: Field) -> None:
    for seed in SEEDS:
        image, labels = FieldDataset([single], SIDE, 0.0, 1.0, (0.4, 0.4), seed)[0]
        assert not (image == PAD).all(0).any()
        assert len(labels.boxes) + len(labels.unknown) >= 4
        told = torch.zeros(SIDE, SIDE, dtype=torch.bool)
        for x0, y0, x1, y1 in torch.cat((labels.boxes, labels.unknown)).round().int().tolist():
            told[max(y0 - 2, 0) : y1 + 2, max(x0 - 2, 0) : x1 + 2] = True
        assert not (dark(image) & ~told).any()
        for x0, y0, x1, y1 in labels.boxes.round().int().tolist():
            assert dark(image)[y0:y1, x0:x1].float().mean() > 0.6


def test_a_cell_cut_by_a_mirrored_edge_is_nothing_to_learn(single: Field) -> None:
    x0, y0, x1, y1 = single.cells.boxes[0]
    at_edge = replace(single, cells=replace(single.cells, boxes=np.array([[0, y0, x1, y1]])))
    _, labels = FieldDataset([at_edge], SIDE, 0.0, 1.0, (0.4, 0.4))[0]
    assert len(labels.boxes) == 0
    assert len(labels.unknown) > 4


def test_cells_stay_large_enough_to_be_seen(single: Field) -> None:
    boxes = [FieldDataset([single], SIDE, 0.0, 1.0, (0.05, 0.5), seed)[0][1].boxes for seed in SEEDS]
    sides = torch.cat([(part[:, 2:] - part[:, :2]).prod(1).sqrt() for part in boxes])
    assert 0.6 * MIN_CELL < sides.min() < 1.5 * MIN_CELL


def with_region(field: Field, share: float) -> Field:
    """Return the field, labelled in a square at a corner that takes this share of its area."""
    side = SIDE * share**0.5
    return replace(field, labelled_regions=np.array([[SIDE - side, SIDE - side, SIDE, SIDE]], np.float32))


def looked_at(dataset: FieldDataset) -> float:
    """Return the share of samples' places where somebody looked."""
    images, targets = collate([dataset[index] for index in range(len(dataset))])
    side = images.shape[2] // 8
    level = known(targets, [torch.Size((len(images), 3, *(side // n,) * 2, 5)) for n in (1, 2, 4)], 1)[0]
    return float(level.looked.float().mean())


@pytest.mark.parametrize("share", [0.06, 0.2, 0.4])
def test_a_collage_is_full_of_labelled_regions(single: Field, share: float) -> None:
    fields = [with_region(single, share)] * 8
    usual = FieldDataset(fields, SIDE, 0.5)
    collage = FieldDataset(fields, SIDE, 0.5, collage=1.0)
    assert looked_at(collage) > max(0.5, 1.2 * looked_at(usual))


def test_a_collage_shows_as_much_as_possible_of_a_region(single: Field) -> None:
    x0, y0, x1, y1 = single.cells.boxes[0]
    field = replace(single, labelled_regions=np.array([[x0 - 4, y0 - 4, x1 + 4, y1 + 4]], np.float32))
    for seed in SEEDS:
        image, labels = FieldDataset([field], SIDE, collage=1.0, scale=(0.5, 1.0), seed=seed)[0]
        assert len(labels.boxes) == (labels.unknown_kinds == SETTLED).sum() * 4
        for x0, y0, x1, y1 in labels.boxes.round().int().tolist():
            assert dark(image)[y0:y1, x0:x1].float().mean() > 0.6


def test_there_is_no_collage_without_regions(single: Field) -> None:
    assert_same(FieldDataset([single], SIDE, seed=1)[0], FieldDataset([single], SIDE, seed=1, collage=1.0)[0])


def test_what_is_rare_is_shown_more_often(single: Field) -> None:
    rare = replace(single, auxiliary={"platelet": single.cells.boxes})
    empty = replace(single, cells=Cells.empty())
    unseen = replace(empty, labelled_regions=np.empty((0, 4), np.float32))
    chances = rarity([single] * 6 + [unseen, empty, rare])
    assert chances.sum() == pytest.approx(1)
    assert chances[-1] == pytest.approx(chances[0] * 7**0.5)
    assert chances[-2] == pytest.approx(chances[0] * (7 / 9) ** 0.5)
    assert chances[-3] == 0


def test_red_cells_are_another_kind_and_unknown_all_over_unless_labelled_completely(single: Field) -> None:
    red = {"red blood cell": np.array([[0, 0, 10, 10], [20, 0, 30, 12]], np.float32)}
    labels = labels_of(replace(single, auxiliary=red))
    assert labels.kinds.tolist() == [0, 1, 1]
    assert (labels.codes[1:] == UNKNOWN).all()
    assert labels.unknown_kinds.tolist() == [1, 2]
    assert labels.unknown.tolist() == [[0, 0, SIDE, SIDE]] * 2
    assert labels_of(replace(single, auxiliary=red, complete=frozenset(red))).unknown_kinds.tolist() == [2]


def test_ignored_white_cells_are_unknown_where_they_lie(single: Field) -> None:
    labels = labels_of(replace(single, ignored=np.array([[1, 2, 30, 40]], np.float32)))
    assert labels.unknown[labels.unknown_kinds == 0].tolist() == [[1, 2, 30, 40]]


@pytest.mark.parametrize("size", [64, 160])
def test_the_box_follows_its_cell_to_another_canvas(single: Field, size: int) -> None:
    image, labels = FieldDataset([single], size, 0.0, 0.0, (1.0, 1.0))[0]
    assert labels.boxes[0].tolist() == pytest.approx(bounds(dark(image)), abs=1.5)


def test_the_boxes_of_a_mosaic_lie_on_its_cells(fields: list[Field]) -> None:
    cells = 0
    for seed in SEEDS:
        image, labels = FieldDataset(fields, SIDE, 1.0, seed=seed)[seed % 4]
        assert len(labels.boxes) == len(labels.kinds) == len(labels.codes)
        cells += len(labels.boxes)
        for x0, y0, x1, y1 in labels.boxes.round().int().tolist():
            part = dark(image)[y0:y1, x0:x1]
            assert part.float().mean() > 0.45
            assert part.any(0).float().mean() > 0.7
            assert part.any(1).float().mean() > 0.7
    assert cells > 2 * len(SEEDS)


def test_a_mosaic_shows_its_own_field(fields: list[Field], bare: Field) -> None:
    data = FieldDataset([fields[0], *[bare] * 30], SIDE, 1.0, 0.0, (0.5, 0.5))
    assert sum(len(data[0][1].boxes) for data.epoch in range(6)) > 0


def test_a_mosaic_fills_the_canvas_better_than_a_small_field(fields: list[Field]) -> None:
    image = FieldDataset(fields, SIDE, 1.0, 0.0, (1.0, 1.0))[0][0]
    corners = [image[:, y, x] for y in (10, 85) for x in (10, 85)]
    assert sum(bool((corner != PAD).all()) for corner in corners) >= 3


def test_boxes_stay_on_the_canvas_and_slivers_become_unknown(fields: list[Field]) -> None:
    data = FieldDataset(fields, SIDE, 0.0, 0.0, (3.0, 3.0))
    kept, slivers = [], 0
    for data.epoch in range(20):
        boxes = data[0][1].boxes
        slivers += int((data[0][1].unknown_kinds == 0).sum())
        assert ((boxes >= 0) & (boxes <= SIDE)).all()
        assert ((boxes[:, 2:] - boxes[:, :2]) > 3).all()
        kept.append(len(boxes))
    assert 0 < sum(kept) < 40
    assert 0 < slivers < 40


def test_a_cell_keeps_its_labels_when_another_is_cut_away(unlike: Field) -> None:
    data = FieldDataset([unlike], SIDE, 0.0, 0.0, (2.5, 2.5))
    large = small = 0
    for data.epoch in range(20):
        _, labels = data[0]
        for box, (code, *values) in zip(labels.boxes, labels.codes.tolist(), strict=True):
            is_large = (box[2:] - box[:2]).max() > 55
            assert (code, values) == ((7, [2, 1, 1, 1, 1, 1, 1]) if is_large else (3, [0] * 7))
            large, small = large + bool(is_large), small + (not is_large)
    assert min(large, small) > 0
    assert large + small < 40


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_a_field_without_cells_has_no_targets_but_a_picture(bare: Field, mosaic: float) -> None:
    image, labels = FieldDataset([bare], SIDE, mosaic)[0]
    assert (image == 225).any()
    assert (labels.boxes.shape, labels.kinds.shape, labels.codes.shape) == ((0, 4), (0,), (0, 8))


def test_a_picture_is_read_once(fields: list[Field], tmp_path: Path) -> None:
    path = shutil.copy(fields[0].path, tmp_path / "a.png")
    data = FieldDataset([replace(fields[0], path=path)], SIDE, 0.0)
    before = data[0]
    path.unlink()
    assert_same(data[0], before)


def test_a_field_is_not_changed_by_being_shown(fields: list[Field]) -> None:
    boxes = fields[0].cells.boxes.copy()
    data = FieldDataset(fields, SIDE, 0.5)
    for data.epoch in range(4):
        _ = data[0]
    np.testing.assert_array_equal(fields[0].cells.boxes, boxes)


def test_a_batch_knows_which_cells_are_whose(fields: list[Field], bare: Field) -> None:
    data = FieldDataset([fields[0], bare, fields[1]], SIDE, 0.0, 0.0, (1.0, 1.0))
    samples = [data[index] for index in range(3)]
    images, targets = collate(samples)
    assert images.shape == (3, 3, SIDE, SIDE)
    assert targets.image.dtype == torch.int64
    assert torch.bincount(targets.image, minlength=3).tolist() == [len(labels.boxes) for _, labels in samples]
    for name in ("boxes", "kinds", "codes"):
        assert torch.equal(getattr(targets, name)[targets.image == 2], getattr(samples[2][1], name))
    assert torch.equal(targets.unknown[targets.unknown_image == 2], samples[2][1].unknown)
