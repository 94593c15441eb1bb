"""Imported models against a YOLOv5 that is written here once more, from its layer table, in plain functions."""

from __future__ import annotations

import sys
import types
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

from bloodfilm.detection.detector import Detector
from bloodfilm.errors import CheckpointError
from bloodfilm.nets.attributes import AttributeHead, published_rois
from bloodfilm.nets.attridet import AttriDet, taken_over
from bloodfilm.nets.checkpoint import Card, load, save
from bloodfilm.nets.yolo import YOLOv5
from bloodfilm.nets.yolov5_import import import_weights
from bloodfilm.vocabulary import LLD, UNKNOWN, Vocabulary

State = dict[str, Tensor]

TABLE: list[tuple[str, int | tuple[int, ...]]] = [
    ("stem", -1),
    ("down", -1),
    ("residual", -1),
    ("down", -1),
    ("residual", -1),
    ("down", -1),
    ("residual", -1),
    ("down", -1),
    ("residual", -1),
    ("pool", -1),
    ("point", -1),
    ("up", -1),
    ("join", (11, 6)),
    ("plain", -1),
    ("point", -1),
    ("up", -1),
    ("join", (15, 4)),
    ("plain", -1),
    ("down", -1),
    ("join", (18, 14)),
    ("plain", -1),
    ("down", -1),
    ("join", (21, 10)),
    ("plain", -1),
]
"""Kind and input of layers 0 to 23 of YOLOv5 v6/v7."""


def conv(state: State, name: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    x = F.conv2d(x, state[f"{name}.conv.weight"], stride=stride, padding=padding)
    mean, var, weight, bias = (state[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.silu(F.batch_norm(x, mean, var, weight, bias, eps=1e-3))


def csp(state: State, name: str, x: Tensor, residual: bool) -> Tensor:
    a, b = conv(state, f"{name}.cv1", x), conv(state, f"{name}.cv2", x)
    repeat = 0
    while f"{name}.m.{repeat}.cv1.conv.weight" in state:
        inner = conv(state, f"{name}.m.{repeat}.cv1", a)
        inner = conv(state, f"{name}.m.{repeat}.cv2", inner, padding=1)
        a = a + inner if residual else inner
        repeat += 1
    return conv(state, f"{name}.cv3", torch.cat((a, b), 1))


def pool(state: State, name: str, x: Tensor) -> Tensor:
    pools = [conv(state, f"{name}.cv1", x)]
    for side in (5, 9, 13):
        pools.append(F.max_pool2d(pools[0], side, 1, side // 2))
    return conv(state, f"{name}.cv2", torch.cat(pools, 1))


LAYERS: dict[str, Callable[[State, str, Any], Tensor]] = {
    "stem": lambda state, name, x: conv(state, name, x, 2, 2),
    "down": lambda state, name, x: conv(state, name, x, 2, 1),
    "point": conv,
    "residual": lambda state, name, x: csp(state, name, x, True),
    "plain": lambda state, name, x: csp(state, name, x, False),
    "pool": pool,
    "up": lambda _state, _name, x: F.interpolate(x, scale_factor=2, mode="nearest"),
    "join": lambda _state, _name, x: torch.cat(x, 1),
}


@torch.inference_mode()
def reference(state: State, images: Tensor) -> Tensor:
    """Return what YOLOv5 gives to its suppression: x, y, w, h in pixels, objectness and classes (B, N, 5 + classes)."""
    state = {name: tensor.float() for name, tensor in state.items()}
    maps: list[Tensor] = []
    for index, (kind, source) in enumerate(TABLE):
        x = [maps[i] for i in source] if isinstance(source, tuple) else maps[source] if maps else images
        maps.append(LAYERS[kind](state, f"model.{index}", x))
    found = []
    for level, (index, stride) in enumerate(((17, 8), (20, 16), (23, 32))):
        y = F.conv2d(maps[index], state[f"model.24.m.{level}.weight"], state[f"model.24.m.{level}.bias"])
        y = y.unflatten(1, (3, -1)).permute(0, 1, 3, 4, 2).sigmoid()
        rows, columns = torch.meshgrid(*(torch.arange(n) for n in y.shape[2:4]), indexing="ij")
        centre = (2 * y[..., :2] - 0.5 + torch.stack((columns, rows), -1)) * stride
        size = (2 * y[..., 2:4]) ** 2 * (state["model.24.anchors"][level] * stride).view(3, 1, 1, 2)
        found.append(torch.cat((centre, size, y[..., 4:]), -1).flatten(1, 3))
    return torch.cat(found, 1)


@torch.inference_mode()
def before_suppression(network: AttriDet, images: Tensor) -> Tensor:
    """Return the same of an imported network."""
    boxes, objectness, classes, _ = network.detector.decode(network.detector(images).levels)
    centre, size = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    return torch.cat((centre, size, objectness[..., None].sigmoid(), classes.sigmoid()), -1)


def weights(size: str = "n", classes: int = 3, seed: int = 0) -> State:
    """Return a detector's state dict in half precision, with statistics and anchors of its own."""
    generator = torch.manual_seed(seed)
    state = YOLOv5(size, classes).state_dict()  # type: ignore[arg-type]
    for name, tensor in state.items():
        if name.endswith(("running_var", "bn.weight")):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith(("running_mean", "bn.bias")):
            tensor.normal_(0, 0.1, generator=generator)
        elif name.endswith("anchors"):
            tensor.mul_(torch.empty_like(tensor).uniform_(0.7, 1.4, generator=generator))
        elif name.startswith("model.24.m."):
            tensor.normal_(0, 0.3, generator=generator)
    return {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def write(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


@pytest.fixture
def module_class(monkeypatch: pytest.MonkeyPatch) -> type[nn.Module]:
    """A class of modules that a pickle knows as one of YOLOv5's."""
    room = types.ModuleType("models.yolo")
    room.Model = type("Model", (nn.Module,), {"__module__": "models.yolo"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "models", types.ModuleType("models"))
    monkeypatch.setitem(sys.modules, "models.yolo", room)
    return room.Model  # type: ignore[no-any-return]


@pytest.fixture
def whole(module_class: type[nn.Module]) -> Callable[..., nn.Module]:
    """Make a module with the tensors of a state dict, as YOLOv5 pickles it."""

    def whole(state: State, activation: nn.Module | None = None, **entries: Any) -> nn.Module:
        model = module_class()
        for name, tensor in state.items():
            *rooms, last = name.split(".")
            module = model
            for room in rooms:
                if room not in module._modules:
                    module.add_module(room, module_class())
                module = module.get_submodule(room)
            if last in ("weight", "bias"):
                module.register_parameter(last, nn.Parameter(tensor))
            else:
                module.register_buffer(last, tensor)
        model.add_module("act", activation or nn.SiLU())
        for name, value in entries.items():
            setattr(model, name, value)
        return model

    return whole


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def assert_same_outputs(path: Path, state: State, images: Tensor) -> None:
    expected = reference(state, images)
    found = before_suppression(import_weights(path)[0], images)
    assert expected[..., 4:].std() > 0.01
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("size", ["n", "s", "m", "l", "x"])
def test_outputs_before_suppression_are_those_of_yolov5(
    tmp_path: Path, whole: Callable[..., nn.Module], images: Tensor, size: str
) -> None:
    state = weights(size)
    path = write(tmp_path / "best.pt", {"epoch": -1, "model": whole(state), "ema": None, "optimizer": None})
    assert_same_outputs(path, state, images)


@pytest.mark.parametrize("size", ["n", "s", "m", "l", "x"])
def test_outputs_are_those_of_the_package_yolov5(tmp_path: Path, images: Tensor, size: str) -> None:
    yolo = pytest.importorskip("yolov5.models.yolo", reason="the package yolov5 is not installed", exc_type=ImportError)
    torch.manual_seed(0)
    model = yolo.Model(str(Path(yolo.__file__).parent / f"yolov5{size}.yaml")).train()
    model(torch.rand(4, 3, 64, 64))
    path = write(tmp_path / "best.pt", {"model": model.half().eval(), "ema": None})
    with torch.inference_mode():
        expected = model.float()(images)[0]
    found = before_suppression(import_weights(path)[0], images)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


def fold(state: State) -> State:
    """Fold each batch normalisation into its convolution."""
    folded = {name: tensor for name, tensor in state.items() if ".bn." not in name}
    for name in [name for name in state if name.endswith("bn.weight")]:
        norm = name.removesuffix("weight")
        factor = state[name].float() / (state[f"{norm}running_var"].float() + 1e-3).sqrt()
        layer = norm.removesuffix("bn.") + "conv."
        folded[f"{layer}weight"] = state[f"{layer}weight"].float() * factor.view(-1, 1, 1, 1)
        folded[f"{layer}bias"] = state[f"{norm}bias"].float() - state[f"{norm}running_mean"].float() * factor
    return folded


FORMS: dict[str, Callable[[State, State, Callable[..., nn.Module]], Any]] = {
    "stripped": lambda a, _, whole: {"epoch": -1, "model": whole(a), "ema": None},
    "in training": lambda a, b, whole: {"epoch": 7, "model": whole(b), "ema": whole(a), "optimizer": {"state": {0: 1}}},
    "the model alone": lambda a, _, whole: whole(a),
    "wrapped": lambda a, _, whole: whole(prefixed("model.", a)),
    "distributed": lambda a, _, whole: {"model": whole(prefixed("module.", a))},
    "folded": lambda a, _, whole: {"model": whole(fold(a))},
    "single precision": lambda a, _, whole: {"model": whole({name: each.float() for name, each in a.items()})},
    "state dict": lambda a, _, __: a,
    "state dict of a model": lambda a, _, __: {"model": a},
    "state dict by name": lambda a, _, __: {"epoch": 3, "state_dict": prefixed("module.model.", a)},
    "of an older version": lambda a, _, __: a | {"model.24.anchor_grid": torch.ones(3, 1, 3, 1, 1, 2)},
}


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_file_gives_the_same_outputs(
    tmp_path: Path, whole: Callable[..., nn.Module], images: Tensor, form: str
) -> None:
    state = weights()
    path = write(tmp_path / "best.pt", FORMS[form](state, weights(seed=1), whole))
    assert_same_outputs(path, state, images)


def test_nothing_of_the_pickled_classes_is_needed(
    tmp_path: Path, whole: Callable[..., nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "best.pt", {"model": whole(weights())})
    monkeypatch.undo()
    assert "models" not in sys.modules
    import_weights(path)
    assert "models" not in sys.modules


def imported(path: Path, content: Any, **options: Any) -> tuple[AttriDet, Card]:
    return import_weights(write(path, content), **options)


def test_weights_are_in_single_precision_and_ready(tmp_path: Path) -> None:
    network, _ = imported(tmp_path / "a.pt", weights())
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert not any(module.training for module in network.modules())


def test_anchors_are_kept(tmp_path: Path) -> None:
    state = weights()
    network, _ = imported(tmp_path / "a.pt", state)
    assert torch.equal(network.detector.detect.anchors, state["model.24.anchors"].float())
    assert not torch.allclose(network.detector.detect.anchors, YOLOv5().detect.anchors, rtol=0.05)


@pytest.mark.parametrize("names", [["Blast", "Smudge", "WBC"], {0: "Blast", 1: "Smudge", 2: "WBC"}])
def test_other_classes_make_a_vocabulary_of_their_own(
    tmp_path: Path, whole: Callable[..., nn.Module], names: Any
) -> None:
    _, card = imported(tmp_path / "a.pt", {"model": whole(weights(), names=names)})
    assert card.vocabulary == Vocabulary(("Blast", "Smudge", "WBC"), LLD.attributes)
    assert (card.classes, card.attributes) == (["Blast", "Smudge", "WBC"], [])


def test_names_may_lie_beside_a_state_dict(tmp_path: Path) -> None:
    _, card = imported(tmp_path / "a.pt", {"model": weights(), "names": ["a", "b", "c"]})
    assert card.classes == ["a", "b", "c"]


@pytest.mark.parametrize("names", [None, ["a", "b"], ["a", "b", "A"], [1, 2, 3], {1: "a", 2: "b", 3: "c"}, "abc"])
def test_classes_without_names_of_their_own_are_numbered(
    tmp_path: Path, whole: Callable[..., nn.Module], names: Any
) -> None:
    _, card = imported(tmp_path / "a.pt", {"model": whole(weights(), names=names)})
    assert card.classes == ["class 0", "class 1", "class 2"]


def test_classes_of_lld_are_mapped_by_name(tmp_path: Path, whole: Callable[..., nn.Module], images: Tensor) -> None:
    state, names = weights(), ["basophil", "Atypical-Lymphocyte", "None"]
    network, card = imported(tmp_path / "a.pt", {"model": whole(state, names=names)})
    assert card.vocabulary == LLD
    assert card.classes == ["None", "Atypical lymphocyte", "Basophil"]
    found, expected = before_suppression(network, images), reference(state, images)
    codes = [LLD.class_code(name) for name in names]
    torch.testing.assert_close(found[..., :5], expected[..., :5], atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(found[..., [5 + code for code in codes]], expected[..., 5:], atol=1e-4, rtol=1e-5)
    others = [5 + code for code in range(14) if code not in codes]
    assert found[..., others].max() < 1e-4


def test_two_classes_that_are_one_for_lld_stay_two(
    tmp_path: Path, whole: Callable[..., nn.Module], images: Tensor
) -> None:
    state, names = weights(), ["None", "Neutrophil", "Unidentified"]
    network, card = imported(tmp_path / "a.pt", {"model": whole(state, names=names)})
    assert (card.classes, card.vocabulary.classes) == (names, tuple(names))
    torch.testing.assert_close(before_suppression(network, images), reference(state, images), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "size"),
    [({"imgsz": 416}, 416), ({"imgsz": 417}, 640), (Namespace(imgsz=1280), 1280), ({}, 640), (None, 640)],
)
def test_the_size_it_was_trained_at_is_kept_if_it_is_one(tmp_path: Path, options: Any, size: int) -> None:
    assert imported(tmp_path / "a.pt", {"model": weights(), "opt": options})[1].image_size == size


def published_head(channels: int = 96) -> State:
    torch.manual_seed(3)
    head = AttributeHead(channels, 12).state_dict()
    return {name: 3 * tensor for name, tensor in head.items()}


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
    size, *values = network.read(images, torch.cat((torch.zeros(3, 1), BOXES), 1), taps)
    expected = published_reading(head, taps, BOXES, (96, 64))
    torch.testing.assert_close(torch.cat(values, 1), expected, atol=1e-4, rtol=1e-4)
    assert expected.std(0).min() > 0.01
    assert (size == 0).all()
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


@pytest.mark.parametrize("head", ["none", "exact", "published"])
def test_a_detector_uses_it_with_types_of_the_class_channels(tmp_path: Path, images: Tensor, head: str) -> None:
    path = None if head == "none" else write(tmp_path / "head.pth", published_head())
    state = weights()
    content = {"model": state, "names": ["Neutrophil", "Blast", "Smudge"], "opt": {"imgsz": 96}}
    network, card = imported(tmp_path / "a.pt", content, attributes=path, published=head == "published")
    save(tmp_path / "a.safetensors", network, card)
    loaded, card = load(tmp_path / "a.safetensors")
    assert card.head == head
    picture = (images[0].permute(1, 2, 0) * 255).byte()
    cells = Detector(tmp_path / "a.safetensors", "cpu", torch.float32).detect(picture.numpy(), 0.01)
    expected = reference(state, picture.permute(2, 0, 1)[None] / 255)[0]
    scores = expected[:, 4] * expected[:, 5:].amax(1)
    place = np.abs(scores.numpy() - cells.scores[:, None]).argmin(1)
    types_found = expected[place, 5:].max(1)
    assert len(cells) > 5
    np.testing.assert_allclose(cells.scores, scores[place], atol=1e-4)
    sure = types_found.values.numpy() >= 0.5
    assert sure.any()
    np.testing.assert_array_equal(cells.codes, np.where(sure, types_found.indices, UNKNOWN))
    np.testing.assert_allclose(cells.class_scores[sure], types_found.values[sure], atol=1e-4)
    assert cells.novelty is None
    predicted = (cells.attributes != UNKNOWN).any(0)
    assert predicted.tolist() == ([False] * 7 if head == "none" else [False] + [True] * 6)
    assert not [n for n, tensor in loaded.state_dict().items() if not torch.equal(tensor, network.state_dict()[n])]


def test_coco_weights_give_739_of_745_tensors_to_a_network_of_size_x() -> None:
    coco = Vocabulary(tuple(f"thing {number}" for number in range(80)), LLD.attributes)
    with torch.device("meta"):
        _, taken, known = taken_over(AttriDet("x", coco, head="none"), LLD)
    assert (taken, known) == (739, 745)


def test_what_is_taken_over_is_the_very_weights(tmp_path: Path) -> None:
    network, _ = imported(tmp_path / "a.pt", weights())
    fresh, taken, known = taken_over(network, LLD)
    assert (taken, known) == (343, 349)
    assert fresh.head == "own"
    for name, tensor in network.state_dict().items():
        if not name.startswith(("novelty.", "detector.model.24.m.")):
            assert torch.equal(fresh.state_dict()[name], tensor), name


def change(**changes: Tensor | None) -> State:
    """Return weights with some tensors replaced or left out; two underscores stand for a dot."""
    renamed = {name.replace("__", "."): tensor for name, tensor in changes.items()}
    return {name: tensor for name, tensor in (weights() | renamed).items() if tensor is not None}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (change(model__3__conv__weight=torch.ones(3, 3)), r"size n: model\.3\.conv\.weight has the shape \(3, 3\)"),
        (change(model__9__cv2__conv__weight=None), r"layout of size n: model\.9\.cv2\.conv\.weight has the shape None"),
        (change(model__25__weight=torch.ones(1)), r"layout of size n: model\.25\.weight has the shape \(1,\)"),
        (change(model__24__m__0__bias=torch.ones(25)), "its last 25"),
        (change(model__24__m__0__bias=torch.ones(())), "its last 0"),
        (change(model__0__conv__weight=torch.ones(24, 3, 6, 6)), "its first layer has 24 channels"),
        (change(model__0__conv__weight=None), "its first layer has 0 channels"),
        (change(model__24__anchors=torch.ones(4, 3, 2)), r"model\.24\.anchors has the shape \(4, 3, 2\)"),
        (change(model__4__cv1__bn__bias=torch.full((32,), torch.nan)), r"model\.4\.cv1\.bn\.bias holds numbers that"),
        ({"conv1.weight": torch.ones(3)}, "its first layer has 0 channels"),
        ({"epoch": 3, "model": None}, "holds no weights"),
        ([1, 2], "holds no weights"),
        ("words", "holds no weights"),
    ],
)  # fmt: skip
def test_weights_of_another_layout_are_refused(tmp_path: Path, state: Any, reason: str) -> None:
    with pytest.raises(CheckpointError, match=f"a.pt .*{reason}"):
        imported(tmp_path / "a.pt", state)


def test_another_activation_is_refused(tmp_path: Path, whole: Callable[..., nn.Module]) -> None:
    with pytest.raises(CheckpointError, match="has LeakyReLU where"):
        imported(tmp_path / "a.pt", {"model": whole(weights(), nn.LeakyReLU())})


def test_a_model_that_contains_itself_is_read_once(tmp_path: Path, whole: Callable[..., nn.Module]) -> None:
    model = whole(weights())
    model._modules["again"] = model
    assert imported(tmp_path / "a.pt", {"model": model})[1].size == "n"


@pytest.mark.parametrize("content", [published_head(192), {"conv1.weight": torch.ones(2)}, weights()])
def test_a_head_that_does_not_fit_is_refused(tmp_path: Path, content: State) -> None:
    path = write(tmp_path / "head.pth", content)
    with pytest.raises(CheckpointError, match=r"head\.pth is no attribute head of AttriDet for this detector"):
        imported(tmp_path / "a.pt", weights(), attributes=path)
