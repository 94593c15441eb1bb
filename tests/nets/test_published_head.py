"""Imported attribute heads against AttriDet's code, written here once more."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from plain_yolov5 import State, imported, prefixed, published_head, weights, write
from torch import Tensor
from torchvision.ops import roi_align

from bloodfilm.errors import CheckpointError
from bloodfilm.nets.attributes import published_rois
from bloodfilm.vocabulary import LLD


@torch.inference_mode()
def published_reading(head: State, taps: tuple[Tensor, Tensor], boxes: Tensor, side: tuple[int, int]) -> Tensor:
    """Return logits (K, 12) as AttriDet's code has them, of `boxes` on a picture of width and height `side`."""
    readings = []
    for box in boxes.tolist():
        regions = []
        for tap in taps:
            height, width = tap.shape[2:]
            x0, x1 = (int(round(x / side[0], 4) * width) for x in box[::2])
            y0, y1 = (int(round(y / side[1], 4) * height) for y in box[1::2])
            roi = torch.tensor([[0.0, x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)]])
            regions.append(roi_align(tap, roi, (24, 30)))
        x = torch.cat(regions, 1)
        for layer in ("conv1", "conv2", "conv3"):
            x = F.max_pool2d(F.leaky_relu(F.conv2d(x, head[f"{layer}.weight"], head[f"{layer}.bias"], padding=1)), 2)
        x = x.flatten(1)
        for layer in ("fc1", "fc2"):
            x = F.leaky_relu(F.linear(x, head[f"{layer}.weight"], head[f"{layer}.bias"]))
        readings.append(F.linear(x, head["fc3.weight"], head["fc3.bias"]))
    return torch.cat(readings)


BOXES = torch.tensor([[3.3, 5.1, 40.9, 60.2], [10.0, 12.0, 11.5, 12.9], [60.7, 1.2, 95.9, 63.9]])


@torch.inference_mode()
@pytest.mark.parametrize("prefix", ["", "module."])
def test_published_attributes_are_those_of_attridets_code(tmp_path: Path, images: Tensor, prefix: str) -> None:
    head = published_head()
    path = write(tmp_path / "head.pth", prefixed(prefix, head))
    network, card = imported(tmp_path / "a.pt", weights(), attributes=path, published=True)
    taps = network.detector(images).taps
    found = network.find_again(images, torch.zeros(3).long(), BOXES)
    size, *values = torch.split(found.attributes, list(LLD.value_counts), 1)
    expected = published_reading(head, taps, BOXES, (96, 64))
    parts = torch.split(expected, list(LLD.value_counts)[1:], 1)
    torch.testing.assert_close(torch.cat(values, 1), torch.cat([part.softmax(1) for part in parts], 1))
    assert expected.std(0).min() > 0.01
    torch.testing.assert_close(size, torch.full_like(size, 1 / 3))
    assert card.attributes == list(LLD.attribute_names[1:])
    assert (card.head, set(card.imported)) == ("published", {"a.pt", "head.pth"})


def test_corners_are_cut_to_whole_places() -> None:
    rois = torch.cat((torch.tensor([[0.0], [1], [0]]), BOXES), 1)
    cut = published_rois(rois, torch.zeros(2, 1, 8, 12), 8)
    assert cut.tolist() == [[0, 0, 0, 5, 7], [1, 1, 1, 2, 2], [0, 7, 0, 11, 7]]


@torch.inference_mode()
def test_exact_boxes_are_read_by_default(tmp_path: Path, images: Tensor) -> None:
    path = write(tmp_path / "head.pth", published_head())
    exact, card = imported(tmp_path / "a.pt", weights(), attributes=path)
    rois = torch.cat((torch.zeros(3, 1), BOXES), 1)
    moved = rois + torch.tensor([0, 0.5, 0.5, 0.5, 0.5])
    taps = exact.detector(images).taps
    assert card.head == "exact"
    assert not torch.allclose(exact.attributes(taps, rois), exact.attributes(taps, moved))


@pytest.mark.parametrize("content", [published_head(192), {"conv1.weight": torch.ones(2)}, weights()])
def test_a_head_that_does_not_fit_is_refused(tmp_path: Path, content: State) -> None:
    path = write(tmp_path / "head.pth", content)
    with pytest.raises(CheckpointError, match=r"head\.pth is no attribute head of AttriDet for this detector"):
        imported(tmp_path / "a.pt", weights(), attributes=path)
