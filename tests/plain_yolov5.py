"""YOLOv5 once more, from its layer table, in plain functions; and weights and files as it writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bloodfilm.nets.attributes import AttributeHead
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import Card
from bloodfilm.nets.yolo import YOLOv5
from bloodfilm.nets.yolov5_import import import_weights

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


def imported(path: Path, content: Any, **options: Any) -> tuple[AttriDet, Card]:
    return import_weights(write(path, content), **options)


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def published_head(channels: int = 96) -> State:
    torch.manual_seed(3)
    head = AttributeHead(channels, 12).state_dict()
    return {name: 3 * tensor for name, tensor in head.items()}
