from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bloodfilm.nets.attributes import AttributeHead


@pytest.fixture(scope="module")
def head() -> AttributeHead:
    torch.manual_seed(0)
    return AttributeHead(12, 12).eval()


@pytest.fixture(scope="module")
def taps() -> tuple[Tensor, Tensor]:
    """Maps of two different images of 128 px."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 4, 32, 32, generator=generator), torch.rand(2, 8, 16, 16, generator=generator)


ROIS = torch.tensor([[0, 8.0, 8.0, 72.0, 104.0], [1, 8.0, 8.0, 72.0, 104.0], [1, 40.0, 30.0, 60.0, 50.0]])


def test_the_published_head_has_its_parameters_and_shapes() -> None:
    head = AttributeHead(480, 12)
    assert sum(p.numel() for p in head.parameters()) == 1_520_140
    assert {name: tuple(tensor.shape) for name, tensor in head.state_dict().items() if name.endswith("weight")} == {
        "conv1.weight": (128, 480, 3, 3),
        "conv2.weight": (64, 128, 3, 3),
        "conv3.weight": (64, 64, 3, 3),
        "fc1.weight": (1024, 576),
        "fc2.weight": (256, 1024),
        "fc3.weight": (12, 256),
    }


@torch.inference_mode()
def test_cells_of_a_batch_get_what_each_gets_alone(head: AttributeHead, taps: tuple[Tensor, Tensor]) -> None:
    together = head(taps, ROIS)
    alone = torch.cat([head(taps, roi[None]) for roi in ROIS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_a_cell_is_read_from_its_own_image(head: AttributeHead, taps: tuple[Tensor, Tensor]) -> None:
    second = tuple(tap[1:] for tap in taps)
    roi = ROIS[1:2].clone()
    roi[:, 0] = 0
    torch.testing.assert_close(head(second, roi), head(taps, ROIS[1:2]))
    assert not torch.allclose(head(taps, ROIS[:1]), head(taps, ROIS[1:2]))


@torch.inference_mode()
@pytest.mark.parametrize(("tap", "stride"), [(0, 4), (1, 8)])
def test_only_what_lies_under_the_box_is_read(
    head: AttributeHead, taps: tuple[Tensor, Tensor], tap: int, stride: int
) -> None:
    before = head(taps, ROIS[:1])
    outside, inside = ([t.clone() for t in taps] for _ in range(2))
    outside[tap][0, :, :, 80 // stride :] += 5
    inside[tap][0, :, :, 60 // stride : 64 // stride] += 5
    torch.testing.assert_close(head(tuple(outside), ROIS[:1]), before)
    assert not torch.allclose(head(tuple(inside), ROIS[:1]), before)


@torch.inference_mode()
@pytest.mark.parametrize("box", [[8.0, 12, 72, 100], [33.3, 40.1, 51.9, 70.2]])
def test_a_region_lies_exactly_where_its_box_is(head: AttributeHead, box: list[float]) -> None:
    seen: list[Tensor] = []
    ramps = []
    for channels, stride in ((4, 4), (8, 8)):
        centres = (torch.arange(128 // stride) + 0.5) * stride
        x, y = centres.expand(len(centres), -1), centres[:, None].expand(-1, len(centres))
        ramps.append(torch.stack([x, y] * (channels // 2))[None])
    with head.conv1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])):
        head((ramps[0], ramps[1]), torch.tensor([[0.0, *box]]))
    middle = seen[0].mean((0, 2, 3)).view(-1, 2)
    torch.testing.assert_close(middle, torch.tensor([[(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]]).expand(6, 2))


def test_no_cells_give_no_logits_and_can_be_learnt_from(head: AttributeHead, taps: tuple[Tensor, Tensor]) -> None:
    logits = head(taps, torch.empty(0, 5))
    assert logits.shape == (0, 12)
    logits.sum().backward()
    head.zero_grad()


def test_the_error_of_a_value_reaches_the_maps(head: AttributeHead, taps: tuple[Tensor, Tensor]) -> None:
    learning = tuple(tap.clone().requires_grad_() for tap in taps)
    head(learning, ROIS[2:]).square().sum().backward()
    head.zero_grad()
    for tap in learning:
        assert tap.grad is not None
        assert tap.grad[1].abs().sum() > 0
        assert tap.grad[0].abs().sum() == 0
