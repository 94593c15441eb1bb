from __future__ import annotations

import functools
import math

import pytest
import torch
from torch import Tensor, nn

from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.yolo import ANCHORS, STRIDES, YOLOv5, decode_boxes
from bloodfilm.vocabulary import LLD, Vocabulary


@functools.cache
def on_meta(size: str, classes: int = 14) -> YOLOv5:
    with torch.device("meta"):
        return YOLOv5(size, classes)


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="module")
def detector() -> YOLOv5:
    torch.manual_seed(0)
    return YOLOv5("n", 14).eval()


@pytest.mark.parametrize(("size", "items"), [("n", 349), ("s", 349), ("m", 481), ("l", 613), ("x", 745)])
def test_the_state_dict_has_yolov5s_number_of_items(size: str, items: int) -> None:
    assert len(on_meta(size).state_dict()) == items


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("model.0.conv.weight", (80, 3, 6, 6)),
        ("model.0.bn.running_var", (80,)),
        ("model.0.bn.num_batches_tracked", ()),
        ("model.1.conv.weight", (160, 80, 3, 3)),
        ("model.2.cv1.conv.weight", (80, 160, 1, 1)),
        ("model.2.m.3.cv1.conv.weight", (80, 80, 1, 1)),
        ("model.2.m.3.cv2.conv.weight", (80, 80, 3, 3)),
        ("model.4.m.7.cv2.bn.bias", (160,)),
        ("model.6.m.11.cv2.conv.weight", (320, 320, 3, 3)),
        ("model.8.cv3.conv.weight", (1280, 1280, 1, 1)),
        ("model.9.cv1.conv.weight", (640, 1280, 1, 1)),
        ("model.9.cv2.conv.weight", (1280, 2560, 1, 1)),
        ("model.10.conv.weight", (640, 1280, 1, 1)),
        ("model.13.cv1.conv.weight", (320, 1280, 1, 1)),
        ("model.14.conv.weight", (320, 640, 1, 1)),
        ("model.17.cv3.conv.weight", (320, 320, 1, 1)),
        ("model.18.conv.weight", (320, 320, 3, 3)),
        ("model.20.cv2.conv.weight", (320, 640, 1, 1)),
        ("model.21.conv.weight", (640, 640, 3, 3)),
        ("model.23.m.3.cv1.bn.weight", (640,)),
        ("model.24.anchors", (3, 3, 2)),
        ("model.24.m.0.weight", (57, 320, 1, 1)),
        ("model.24.m.1.weight", (57, 640, 1, 1)),
        ("model.24.m.2.weight", (57, 1280, 1, 1)),
        ("model.24.m.2.bias", (57,)),
    ],
)
def test_an_item_of_size_x_has_its_published_name_and_shape(name: str, shape: tuple[int, ...]) -> None:
    assert tuple(on_meta("x").state_dict()[name].shape) == shape


def test_layers_without_weights_have_no_items_and_convolutions_no_bias() -> None:
    names = on_meta("n").state_dict()
    assert {int(name.split(".")[1]) for name in names} == set(range(25)) - {11, 12, 15, 16, 19, 22}
    assert not [name for name in names if name.endswith("conv.bias")]


@pytest.mark.parametrize(
    ("size", "classes", "count"), [("s", 80, 7_235_389), ("x", 80, 86_749_405), ("x", 14, 86_305_291)]
)
def test_the_parameters_are_as_many_as_published(size: str, classes: int, count: int) -> None:
    assert parameters(on_meta(size, classes)) == count


@pytest.mark.parametrize(("classes", "count"), [(14, 86_260_891), (80, 86_705_005)])
def test_folding_batch_normalisation_leaves_the_published_parameters(classes: int, count: int) -> None:
    with torch.device("meta"):
        network = AttriDet("x", Vocabulary(tuple(map(str, range(classes))), LLD.attributes))
    assert parameters(network.fuse().detector) == count


@pytest.mark.parametrize(("size", "channels"), [("n", 96), ("s", 192), ("m", 288), ("l", 384), ("x", 480)])
def test_the_taps_have_the_channels_that_the_attribute_head_expects(size: str, channels: int) -> None:
    assert on_meta(size).tap_channels == channels


def test_batch_normalisation_has_yolov5s_constants() -> None:
    norms = [m for m in on_meta("n").modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.03)}


def test_anchors_are_in_units_of_their_level(detector: YOLOv5) -> None:
    assert (detector.detect.anchors[1] * 16).tolist() == [[30, 61], [62, 45], [59, 119]]


def test_only_the_backbone_adds_its_input() -> None:
    shortcuts = {int(n.split(".")[1]): m.shortcut for n, m in on_meta("x").named_modules() if hasattr(m, "shortcut")}
    assert shortcuts == {2: True, 4: True, 6: True, 8: True, 13: False, 17: False, 20: False, 23: False}


def test_an_untrained_network_expects_few_cells(detector: YOLOv5) -> None:
    for conv, stride in zip(detector.detect.m, STRIDES, strict=True):
        bias = conv.bias.detach().view(3, 19)
        limit = conv.weight.shape[1] ** -0.5
        assert (bias[:, 4] - math.log(8 / (640 / stride) ** 2)).abs().max() <= limit
        assert (bias[:, 5:] - math.log(0.6 / (14 - 0.99999))).abs().max() <= limit


@torch.inference_mode()
@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 64), (32, 128)])
def test_levels_and_taps_have_the_shapes_of_their_strides(detector: YOLOv5, height: int, width: int) -> None:
    features = detector(torch.rand(2, 3, height, width))
    assert [tuple(x.shape) for x in features.levels] == [(2, 3, height // s, width // s, 19) for s in (8, 16, 32)]
    assert [tuple(x.shape) for x in features.taps] == [(2, c, height // s, width // s) for c, s in ((32, 4), (64, 8))]


@torch.inference_mode()
def test_outputs_are_read_anchor_by_anchor_then_box_objectness_and_classes(detector: YOLOv5) -> None:
    maps: list[Tensor] = []
    detector.detect.m[0].register_forward_hook(lambda _m, _i, out: maps.append(out))
    level = detector(torch.rand(1, 3, 64, 96)).levels[0]
    assert torch.equal(level[0, 2, 5, 7, 4], maps[0][0, 2 * 19 + 4, 5, 7])


def levels_of_zeros(height: int = 64, width: int = 96) -> list[Tensor]:
    return [torch.zeros(1, 3, height // s, width // s, 19) for s in STRIDES]


def test_decoding_follows_the_published_formula(detector: YOLOv5) -> None:
    levels = levels_of_zeros()
    levels[1][0, 1, 2, 3, :4] = torch.tensor([math.log(3), -math.log(3), math.log(3), -math.log(3)])
    index = 3 * 8 * 12 + 1 * 4 * 6 + 2 * 6 + 3
    box = detector.decode(tuple(levels)).boxes[0, index]
    x, y = (2 * 0.75 - 0.5 + 3) * 16, (2 * 0.25 - 0.5 + 2) * 16
    w, h = 1.5**2 * 62, 0.5**2 * 45
    assert box.tolist() == pytest.approx([x - w / 2, y - h / 2, x + w / 2, y + h / 2], abs=1e-4)


@pytest.mark.parametrize(("level", "stride"), [(0, 8), (1, 16), (2, 32)])
def test_an_output_of_zero_is_its_anchor_at_the_middle_of_its_place(detector: YOLOv5, level: int, stride: int) -> None:
    before = sum(3 * (64 // s) * (96 // s) for s in STRIDES[:level])
    box = detector.decode(tuple(levels_of_zeros())).boxes[0, before]
    w, h = ANCHORS[level][0]
    assert box.tolist() == pytest.approx([(stride - w) / 2, (stride - h) / 2, (stride + w) / 2, (stride + h) / 2])


def test_objectness_and_classes_stay_with_their_box(detector: YOLOv5) -> None:
    levels = levels_of_zeros()
    levels[2][0, 2, 1, 0, 4:] = torch.arange(15.0)
    found = detector.decode(tuple(levels))
    index = 3 * 96 + 3 * 24 + 2 * 6 + 3
    assert found.objectness.shape == (1, 3 * (96 + 24 + 6))
    assert found.objectness[0, index] == 0
    assert found.classes[0, index].tolist() == list(range(1, 15))
    assert found.classes.count_nonzero() == 14


def test_half_precision_is_decoded_in_full(detector: YOLOv5) -> None:
    levels = tuple(level.bfloat16() for level in levels_of_zeros())
    torch.testing.assert_close(detector.decode(levels).boxes, detector.decode(tuple(levels_of_zeros())).boxes)


def test_a_box_reaches_at_most_four_anchors() -> None:
    box = decode_boxes(torch.full((4,), 100.0), torch.zeros(2), torch.tensor([3.0, 5.0]))
    assert box.tolist() == pytest.approx([1.5 - 6, 1.5 - 10, 1.5 + 6, 1.5 + 10])
