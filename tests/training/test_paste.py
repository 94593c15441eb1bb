from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from bloodfilm.cells import Cells, Field
from bloodfilm.synth import draw_field
from bloodfilm.training.labels import Labels, labels_of
from bloodfilm.training.paste import Cutouts, paste

SIDE = 320


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> list[Field]:
    """Synthetic fields of 320 x 320 px with three white cells each."""
    folder, fields = tmp_path_factory.mktemp("synthetic"), []
    for seed in range(3):
        picture, cells = draw_field(SIDE, SIDE, 3, seed)
        Image.fromarray(picture).save(folder / f"{seed}.png")
        fields.append(Field(folder / f"{seed}.png", cells, SIDE, SIDE))
    return fields


@pytest.fixture(scope="module")
def cutouts(synthetic: list[Field]) -> Cutouts:
    return Cutouts([replace(field, cells=field.cells[row : row + 1]) for field in synthetic for row in range(3)])


def shown(field: Field) -> tuple[Tensor, Labels]:
    return torch.from_numpy(np.array(Image.open(field.path))).permute(2, 0, 1), labels_of(field)


def test_a_cutout_covers_its_cell_and_not_the_corners(cutouts: Cutouts) -> None:
    for index in range(len(cutouts)):
        light, cover = cutouts[index]
        assert light.shape[1:] == cover.shape[1:]
        height, width = cover.shape[1:]
        assert cover[0, height // 2, width // 2] > 0.99
        assert cover[0, [0, 0, -1, -1], [0, -1, 0, -1]].max() < 0.05
        assert 0.35 < float(cover.mean()) < 0.85


def test_pasted_cells_are_dark_where_their_boxes_say(synthetic: list[Field], cutouts: Cutouts) -> None:
    image, labels = shown(synthetic[0])
    pasted = 0
    for seed in range(8):
        after, told = paste(image, labels, cutouts, np.random.default_rng(seed), 1.0)
        new = told.boxes[len(labels.boxes) :]
        pasted += len(new)
        assert torch.equal(told.codes[: len(labels.codes)], labels.codes)
        changed = (after != image).any(0)
        allowed = torch.zeros_like(changed)
        for x0, y0, x1, y1 in new.round().int().tolist():
            allowed[max(y0 - 6, 0) : y1 + 6, max(x0 - 6, 0) : x1 + 6] = True
            assert changed[y0:y1, x0:x1].float().mean() > 0.5
        assert not (changed & ~allowed).any()
    assert pasted > 8


def test_no_white_cell_is_hidden_by_another(synthetic: list[Field], cutouts: Cutouts) -> None:
    image, labels = shown(synthetic[1])
    for seed in range(8):
        boxes = paste(image, labels, cutouts, np.random.default_rng(seed), 1.0)[1].boxes
        x0, y0 = torch.maximum(boxes[:, None, :2], boxes[None, :, :2]).unbind(2)
        x1, y1 = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:]).unbind(2)
        shared = (x1 - x0).clamp(min=0) * (y1 - y0).clamp(min=0)
        share = shared.fill_diagonal_(0).amax(1) / (boxes[:, 2:] - boxes[:, :2]).prod(1)
        assert share.max() < 0.6


def test_a_red_cell_under_a_pasted_one_becomes_unknown(synthetic: list[Field], cutouts: Cutouts) -> None:
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(0, SIDE, 20), np.arange(0, SIDE, 20)))
    red = {"red blood cell": np.column_stack((x, y, x + 20, y + 20)).astype(np.float32)}
    image, labels = shown(replace(synthetic[0], auxiliary=red, complete=frozenset(["red blood cell", "platelet"])))
    _, told = paste(image, labels, cutouts, np.random.default_rng(1), 1.0)
    assert (told.kinds == 0).sum() > 3
    assert 0 < len(told.unknown) == (labels.kinds == 1).sum() - (told.kinds == 1).sum()


@pytest.mark.parametrize("squeeze", [0.5, 1.0, 1.3])
def test_pasted_cells_are_squeezed_as_the_field_is(synthetic: list[Field], cutouts: Cutouts, squeeze: float) -> None:
    image, labels = shown(synthetic[2])
    told = [paste(image, labels, cutouts, np.random.default_rng(seed), squeeze)[1] for seed in range(20)]
    new = torch.cat([each.boxes[3:] for each in told])
    aspect = ((new[:, 2] - new[:, 0]) / (new[:, 3] - new[:, 1])).median()
    assert float(aspect) == pytest.approx(squeeze, rel=0.15)


def test_a_field_without_white_cells_tells_no_size_and_stays_as_it_is(tmp_path: Path, cutouts: Cutouts) -> None:
    Image.new("RGB", (64, 64), (230, 220, 225)).save(tmp_path / "bare.png")
    image, labels = shown(Field(tmp_path / "bare.png", Cells.empty(), 64, 64))
    after, told = paste(image, labels, cutouts, np.random.default_rng(0), 1.0)
    assert torch.equal(after, image)
    assert len(told.boxes) == 0
