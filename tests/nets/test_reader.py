from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bloodfilm.nets.reader import SIDE, CellReader, cut, middles

ROIS = torch.tensor([[0, 40.0, 40.0, 72.0, 80.0], [1, 40.0, 40.0, 72.0, 80.0], [1, 60.0, 50.0, 80.0, 70.0]])


@pytest.fixture(scope="module")
def reader() -> CellReader:
    torch.manual_seed(0)
    return CellReader(15).eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))


def crops(reader: CellReader, image: Tensor, box: list[float]) -> list[Tensor]:
    """Return what the near and the far view of a box see."""
    seen: list[Tensor] = []
    hooks = [view.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])) for view in reader.views]
    reader(image[None], torch.tensor([[0.0, *box]]))
    for hook in hooks:
        hook.remove()
    return seen


@torch.inference_mode()
def test_cells_of_a_batch_get_what_each_gets_alone(reader: CellReader, images: Tensor) -> None:
    alone = torch.cat([reader(images, roi[None]) for roi in ROIS])
    torch.testing.assert_close(reader(images, ROIS), alone, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_a_cell_is_read_from_its_own_image(reader: CellReader, images: Tensor) -> None:
    both = reader(images, ROIS)
    torch.testing.assert_close(reader(images[1:], ROIS[:1]), both[1:2], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(both[0], both[1])


@torch.inference_mode()
def test_the_near_view_shows_the_cell_the_far_one_what_is_around_it(reader: CellReader) -> None:
    x = torch.arange(160.0) + 0.5
    ramps = torch.stack((x.expand(160, -1), x[:, None].expand(-1, 160), torch.zeros(160, 160)))
    near, far = (crop[0] for crop in crops(reader, ramps, [60.0, 70.0, 90.0, 90.0]))
    for crop, half in ((near, (18, 12)), (far, (45, 30))):
        for axis, (middle, reach) in enumerate(zip((75, 80), half, strict=True)):
            margin = reach / SIDE
            assert crop[axis].min() == pytest.approx(middle - reach + margin, abs=1e-3)
            assert crop[axis].max() == pytest.approx(middle + reach - margin, abs=1e-3)


@torch.inference_mode()
def test_a_cell_magnified_is_the_same_cell(reader: CellReader) -> None:
    small = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)).repeat_interleave(24, 2)
    small = small.repeat_interleave(24, 3)
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    roi = torch.tensor([[0.0, 72, 72, 120, 120]])
    torch.testing.assert_close(reader(large, roi * 2), reader(small, roi), atol=0.05, rtol=0.05)


@torch.inference_mode()
def test_details_change_what_is_said_once_they_are_noticed(reader: CellReader, images: Tensor) -> None:
    other = copy.deepcopy(reader)
    other.get_submodule("details").apply(lambda part: [nn.init.normal_(each) for each in part.parameters(False)])
    before = reader(images, ROIS)
    assert torch.equal(other(images, ROIS), before)
    nn.init.normal_(other.noticed.weight)
    assert not torch.allclose(other(images, ROIS), before)


def test_no_gradient_reaches_the_details(reader: CellReader, images: Tensor) -> None:
    reader(images, ROIS).sum().backward()
    assert all(part.grad is None for part in reader.get_submodule("details").parameters())
    assert reader.noticed.weight.grad is not None
    reader.zero_grad()


def test_no_cells_give_no_logits_and_can_be_learnt_from(reader: CellReader, images: Tensor) -> None:
    reader.train()
    logits = reader(images, torch.empty(0, 5))
    assert logits.shape == (0, 15)
    logits.sum().backward()
    assert all(tensor.isfinite().all() for tensor in reader.state_dict().values())
    reader.zero_grad()
    reader.eval()


def test_what_is_cut_out_has_its_box_in_the_middle_and_black_beyond_the_picture() -> None:
    picture = np.full((40, 100, 3), 250, np.uint8)
    picture[10:20, 4:24] = 100
    (patch,) = cut(picture, np.array([[4, 10, 24, 20]], np.float32)).float()
    _, x0, y0, x1, y1 = middles(1)[0].round().int().tolist()
    assert (patch[:, y0 + 5 : y1 - 5, x0 + 5 : x1 - 5] == 100).all()
    assert (patch[:, y0 - 20 : y0 - 5, x0:x1] == 250).all()
    assert patch[0].count_nonzero(0)[0] == 0
    assert patch[0].count_nonzero(1)[0] == 0


def test_a_fine_picture_is_averaged_not_sampled() -> None:
    picture = np.zeros((4000, 4000, 3), np.uint8)
    picture[:, ::5] = 250
    (patch,) = cut(picture, np.array([[1500, 1500, 2500, 2500]], np.float32)).float()
    assert (patch - 50).abs().max() < 8
