"""Detectors that YOLOv5 v6 or v7 trained, and the attribute head of AttriDet's code, as a checkpoint of our own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from bloodfilm.errors import CheckpointError
from bloodfilm.io.torch_file import Array, Foreign, read_torch_file
from bloodfilm.nets.attributes import AttributeHead
from bloodfilm.nets.attridet import AttriDet, Head
from bloodfilm.nets.checkpoint import NO_NOVELTY, NOT_CALIBRATED, Card, check_shapes, shape
from bloodfilm.nets.sizes import Size
from bloodfilm.nets.yolo import YOLOv5
from bloodfilm.vocabulary import LLD, UNKNOWN, Vocabulary, normalise

FIRST, LAST = "model.0.conv.weight", "model.24.m.0.bias"
WIDTHS: dict[int, Size] = {16: "n", 32: "s", 48: "m", 64: "l", 80: "x"}
"""Channels of the first layer of each size."""

LAYER = re.compile(r"(?:module\.|model\.)+(\d+\.[\w.]+)(?<!\.anchor_grid)")
"""Name of a tensor below any wrapper; the grid is what older versions kept beside the anchors."""

MAX_TENSORS = 10_000
"""More than any model has."""

EPSILON = 1e-3
"""What YOLOv5's batch normalisation adds to a variance."""

NEVER = -10.0
"""Logit of a type that the imported detector does not know."""

PUBLISHED_ATTRIBUTES = LLD.attribute_names[1:]
"""What the published head reads, two values each: all but the cell size."""


def import_weights(
    detector: str | Path, attributes: str | Path | None = None, published: bool = False
) -> tuple[AttriDet, Card]:
    """Take over a detector of the YOLOv5 v6/v7 layout, and the attribute head of AttriDet's code.

    No code of either file is run. Classes whose names are all in LLD's vocabulary, each of another class, are mapped
    onto it; others make a vocabulary of their own, with LLD's attributes.

    Parameters
    ----------
    detector : str or Path
        File that YOLOv5 wrote: a whole model or a state dict, of any size and number of classes, also in half
        precision or with folded batch normalisation.
    attributes : str or Path, optional
        State dict of the attribute head. Without it only types are told.
    published : bool
        Round the boxes that attributes are read from as AttriDet's code does, by up to 8 px, to get its outputs.

    Returns
    -------
    network : AttriDet
        In single precision, ready for inference.
    card : Card

    Raises
    ------
    CheckpointError
        If a file is broken, hostile or of another layout.
    """
    path = Path(detector)
    model, entries = _open(path)
    size, state = _read_detector(model, path)
    names = _class_names(model, entries, len(state[LAST]) // 3 - 5)
    vocabulary, codes = _vocabulary(names, path)
    head: Head = "none" if attributes is None else "published" if published else "exact"
    network = AttriDet(size, vocabulary, head=head).eval()
    for name in [name for name in state if name.startswith("model.24.m.")]:
        state[name] = _move_classes(state[name], codes, len(vocabulary.classes))
    network.detector.load_state_dict(state)
    files = [path]
    if attributes is not None:
        files.append(Path(attributes))
        network.attributes.load_state_dict(_read_head(Path(attributes), network.detector.tap_channels))
    return network, Card(
        name=path.stem,
        size=size,
        image_size=_image_size(entries),
        vocabulary=vocabulary,
        classes=[vocabulary.classes[code] for code in sorted(codes)],
        attributes=[] if attributes is None else list(PUBLISHED_ATTRIBUTES),
        head=head,
        method="imported",
        limits=[NOT_CALIBRATED, NO_NOVELTY],
        imported={file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files},
    )


def _vocabulary(names: list[str], path: Path) -> tuple[Vocabulary, list[int]]:
    """Return LLD's vocabulary if it has each of the classes `names`, else one of their own; and their codes."""
    codes = [LLD.class_code(name) for name in names]
    if UNKNOWN not in codes and len(set(codes)) == len(codes):
        return LLD, codes
    try:
        return Vocabulary(tuple(names), LLD.attributes), list(range(len(names)))
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _open(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return the model or state dict in a file, the moving average if there is one, and what lies beside it."""
    content = read_torch_file(path)
    entries = content if isinstance(content, dict) else {}
    for model in (entries.get("ema"), entries.get("model"), entries.get("state_dict"), content):
        if _tensors(model):
            return model, entries
    raise CheckpointError(f"{path} holds no weights; give the file that training wrote.")


def _tensors(model: Any) -> dict[str, Array]:
    """Return the tensors of a model or state dict by their names."""
    if not isinstance(model, Foreign):
        return dict(_of_kind(model, np.ndarray))
    everything = (
        (prefix + name, each)
        for prefix, module in _modules(model)
        for kind in ("_parameters", "_buffers")
        for name, each in _of_kind(module.state.get(kind), np.ndarray)
    )
    return dict(islice(everything, MAX_TENSORS))


def _modules(model: Any) -> Iterator[tuple[str, Foreign]]:
    """Yield `model` and the modules inside, each once and with the prefix of its names."""
    todo, seen = [("", model)], {id(model)}
    while todo:
        prefix, module = todo.pop()
        if isinstance(module, Foreign) and isinstance(module.state, dict):
            yield prefix, module
            for name, each in _of_kind(module.state.get("_modules"), Foreign):
                if id(each) not in seen:
                    seen.add(id(each))
                    todo.append((f"{prefix}{name}.", each))


def _of_kind(entries: Any, kind: type) -> Iterable[tuple[str, Any]]:
    """Return those `entries` of a dict that are of a kind and have a word as key."""
    known = entries.items() if isinstance(entries, dict) else ()
    return [(name, each) for name, each in known if isinstance(name, str) and isinstance(each, kind)]


def _read_detector(model: Any, path: Path) -> tuple[Size, dict[str, Tensor]]:
    """Return the size and the weights of a detector by YOLOv5's names."""
    tensors = {f"model.{match[1]}": each for name, each in _tensors(model).items() if (match := LAYER.fullmatch(name))}
    width, outputs = (sum(tensors[name].shape[:1]) if name in tensors else 0 for name in (FIRST, LAST))
    if width not in WIDTHS or outputs % 3 or outputs < 18:
        raise CheckpointError(
            f"{path} does not have the YOLOv5 v6/v7 layout of any size from n to x: "
            f"its first layer has {width} channels, its last {outputs}."
        )
    _check_activations(model, path)
    size = WIDTHS[width]
    with torch.device("meta"):
        expected = YOLOv5(size, outputs // 3 - 5).state_dict()
    tensors = _unfolded(tensors, expected)
    check_shapes(f"{path} does not have the YOLOv5 v6/v7 layout of size {size}", expected, tensors)
    return size, _as_expected(tensors, expected, path)


def _unfolded(tensors: Mapping[str, Array], expected: Mapping[str, Tensor]) -> dict[str, Array]:
    """Return `tensors` with a batch normalisation that only adds, for each that was folded into a bias."""
    unfolded = dict(tensors)
    for name, bias in tensors.items():
        norm = name.replace("conv.bias", "bn.")
        if name.endswith(".conv.bias") and shape(expected, f"{norm}bias") == bias.shape:
            del unfolded[name]
            one = np.ones(bias.shape)
            unfolded |= {f"{norm}weight": one, f"{norm}bias": bias, f"{norm}running_mean": one - 1}
            unfolded |= {f"{norm}running_var": one - EPSILON, f"{norm}num_batches_tracked": np.zeros((), np.int64)}
    return unfolded


def _check_activations(model: Any, path: Path) -> None:
    for _, module in _modules(model):
        room, _, kind = module.name.rpartition(".")
        if room == "torch.nn.modules.activation" and kind != "SiLU":
            raise CheckpointError(f"{path} has {kind} where the YOLOv5 v6/v7 layout has SiLU; it cannot be imported.")


def _class_names(model: Any, entries: Mapping[str, Any], count: int) -> list[str]:
    """Return what the file calls its classes, or "class 0" and so on if it does not name each by a name of its own."""
    told = [module.state["names"] for _, module in _modules(model) if "names" in module.state]
    names = told[0] if told else entries.get("names")
    if isinstance(names, dict):
        names = [names.get(code) for code in range(count)]
    words = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    if len(words) == len({normalise(word) for word in words}) == count:
        return words
    return [f"class {code}" for code in range(count)]


def _as_expected(tensors: Mapping[str, Array], expected: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return copies of `tensors` in the precision `expected`."""
    copies = {name: torch.from_numpy(np.array(each)).to(expected[name].dtype) for name, each in tensors.items()}
    if bad := sorted(name for name, tensor in copies.items() if not tensor.isfinite().all()):
        raise CheckpointError(f"{path} is broken: {bad[0]} holds numbers that are not finite; get it again.")
    return copies


def _move_classes(tensor: Tensor, codes: list[int], classes: int) -> Tensor:
    """Return weights or biases of the last layer with the class channels at `codes`, of as many `classes`."""
    given = tensor.view(3, -1, *tensor.shape[1:])
    moved = given.new_zeros(3, 5 + classes, *tensor.shape[1:])
    if tensor.ndim == 1:
        moved[:, 5:] = NEVER
    moved[:, :5], moved[:, [5 + code for code in codes]] = given[:, :5], given[:, 5:]
    return moved.flatten(0, 1)


def _read_head(path: Path, channels: int) -> dict[str, Tensor]:
    """Return the weights of the published head, with a cell size of which it has no opinion."""
    model, _ = _open(path)
    tensors = {name.removeprefix("module."): each for name, each in _tensors(model).items()}
    with torch.device("meta"):
        expected = AttributeHead(channels, 2 * len(PUBLISHED_ATTRIBUTES)).state_dict()
    check_shapes(f"{path} is no attribute head of AttriDet for this detector", expected, tensors)
    state = _as_expected(tensors, expected, path)
    sizes = LLD.value_counts[0]
    state["fc3.weight"] = pad(state["fc3.weight"], (0, 0, sizes, 0))
    state["fc3.bias"] = pad(state["fc3.bias"], (sizes, 0))
    return state


def _image_size(entries: Mapping[str, Any]) -> int:
    """Return how many pixels a side it was trained at; 640 if the file does not tell."""
    options = entries.get("opt")
    options = options.state if isinstance(options, Foreign) else options
    size = options.get("imgsz") if isinstance(options, dict) else None
    return size if isinstance(size, int) and size % 32 == 0 and 64 <= size <= 4096 else 640
