"""Imported models against a YOLOv5 that is written once more, in `plain_yolov5`."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from plain_yolov5 import State, before_suppression, imported, prefixed, published_head, reference, weights, write
from torch import Tensor, nn

from bloodfilm.detection.detector import Detector
from bloodfilm.errors import CheckpointError
from bloodfilm.nets.attridet import AttriDet, taken_over
from bloodfilm.nets.checkpoint import load, save
from bloodfilm.nets.yolo import YOLOv5
from bloodfilm.nets.yolov5_import import import_weights
from bloodfilm.vocabulary import LLD, UNKNOWN, Vocabulary


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


def test_weights_are_in_single_precision_and_ready(tmp_path: Path) -> None:
    network, _ = imported(tmp_path / "a.pt", weights())
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert not any(module.training for module in network.modules())


def test_anchors_are_kept(tmp_path: Path) -> None:
    state = weights()
    network, _ = imported(tmp_path / "a.pt", state)
    assert torch.equal(network.detector.detect.anchors, state["model.24.anchors"].float())
    assert not torch.allclose(network.detector.detect.anchors, YOLOv5().detect.anchors, rtol=0.05)


@pytest.mark.parametrize(
    ("options", "size"),
    [({"imgsz": 416}, 416), ({"imgsz": 417}, 640), (Namespace(imgsz=1280), 1280), ({}, 640), (None, 640)],
)
def test_the_size_it_was_trained_at_is_kept_if_it_is_one(tmp_path: Path, options: Any, size: int) -> None:
    assert imported(tmp_path / "a.pt", {"model": weights(), "opt": options})[1].image_size == size


def test_a_class_whose_name_says_nothing_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    content = {"model": weights(), "names": ["Neutrophil", "unknown type", "Smudge"]}
    with pytest.raises(CheckpointError, match=r"a\.pt: .*unknown type"):
        imported(tmp_path / "a.pt", content)


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


def test_a_model_that_contains_itself_is_read_once(tmp_path: Path, whole: Callable[..., nn.Module]) -> None:
    model = whole(weights())
    model._modules["again"] = model
    assert imported(tmp_path / "a.pt", {"model": model})[1].size == "n"
