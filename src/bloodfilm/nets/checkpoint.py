"""Checkpoints: safetensors files that carry their vocabulary and model card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from bloodfilm.errors import CheckpointError
from bloodfilm.io.files import replacing
from bloodfilm.nets.attridet import AttriDet, Head
from bloodfilm.nets.sizes import Size
from bloodfilm.vocabulary import LLD, Vocabulary
from bloodfilm.weights import DEFAULT_MODEL, available


class Stain(BaseModel):
    """An affine map of optical densities that brings pictures to the colours that a model knows."""

    matrix: list[list[float]]
    offset: list[float]

    def apply(self, images: Tensor) -> Tensor:
        """Return `images` (B, 3, H, W) in 0 to 1, mapped."""
        density = -images.float().clamp(min=1 / 255).log()
        matrix, offset = (torch.tensor(part, device=images.device) for part in (self.matrix, self.offset))
        density = torch.einsum("ij,bjhw->bihw", matrix, density) + offset[:, None, None]
        return (-density).exp().clamp(0, 1).to(images)


NOT_A_DIAGNOSIS = "Research software: not a diagnosis."
NOT_CALIBRATED = "Scores are not calibrated."
NO_NOVELTY = "It cannot tell which pictures are unlike those it learned from."
"""What a card may list among its limits."""

LATER_PARTS = ("refiner.",), ("attributes.details.", "attributes.noticed.")
"""Parts that older checkpoints lack: untaught, they change nothing."""


class Card(BaseModel):
    """What a checkpoint is: how it was made, what it can say and what it cannot."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="allow")

    name: str
    size: Size = "n"
    image_size: int = 640
    vocabulary: Vocabulary = LLD
    classes: list[str] = []
    """Cell types that the model was taught; it never says another."""
    auxiliary: list[str] = []
    """What else it finds, hidden from results: names in `bloodfilm.vocabulary.AUXILIARY`."""
    red_cells: float | None = None
    """Side of red cells, in pixels of its input, at which it learned to see; None if pictures came as they are."""
    attributes: list[str] = []
    """Attributes that the model was taught; it says "not predicted" for the others."""
    head: Head = "own"
    """Who reads types and attributes: see `bloodfilm.nets.attridet`."""
    method: str = "attridet"
    description: str = ""
    data: list[str] = []
    patients: list[str] = []
    """Patients that the model learned from or was selected on, as far as names of pictures tell."""
    limits: list[str] = []
    calibration: dict[str, float] = {}
    """Slope and offset of the score, temperatures of types and attributes; they are in the weights already."""
    stain: Stain | None = None
    """How to bring pictures to the colours that it learned from; None leaves them as they are."""
    scores: dict[str, Any] = {}
    imported: dict[str, str] = {}
    """Files of other programs that the weights are from, with their sha256."""
    sha256: str = ""

    @field_validator("vocabulary", mode="before")
    @classmethod
    def _read_vocabulary(cls, value: Any) -> Any:
        return Vocabulary.from_dict(value) if isinstance(value, dict) else value

    def to_json(self) -> str:
        content = self.model_dump(exclude={"vocabulary", "sha256"})
        return json.dumps(content | {"vocabulary": self.vocabulary.to_dict()})


def save(path: str | Path, model: AttriDet, card: Card, half: bool = False) -> None:
    """Write `model` and `card` to `path`; with `half`, floating-point weights as 16 bits."""
    tensors = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).contiguous().cpu()
        for name, tensor in model.state_dict().items()
    }
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(to_bytes(tensors, {"bloodfilm": card.to_json()}))


def locate(model: str | Path) -> Path:
    """Return the file of a shipped model's name or of a path.

    Raises
    ------
    CheckpointError
        If there is neither such a model nor such a file.
    """
    known = available()
    if str(model) in known:
        return known[str(model)]
    if Path(model).is_file():
        return Path(model)
    raise CheckpointError(f"No model {model}: give a checkpoint file or one of {', '.join(known) or 'none shipped'}.")


def read_card(model: str | Path) -> Card:
    """Read the card of a checkpoint without its weights; raises `CheckpointError`."""
    path = locate(model)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        card = Card.model_validate_json(metadata["bloodfilm"])
    except SafetensorError as error:
        hint = "get it again; a YOLOv5 file goes through `bloodfilm import-weights` first"
        raise CheckpointError(f"{path} is not a whole safetensors file ({error}); {hint}.") from None
    except (KeyError, ValidationError) as error:
        raise CheckpointError(f"{path} is not a bloodfilm checkpoint ({error}).") from None
    return card.model_copy(update={"sha256": hashlib.sha256(path.read_bytes()).hexdigest()})


def load(model: str | Path = DEFAULT_MODEL) -> tuple[AttriDet, Card]:
    """Load a shipped model by name or a checkpoint file; raises `CheckpointError`."""
    card = read_card(model)
    path = locate(model)
    network = AttriDet(card.size, card.vocabulary, len(card.auxiliary), card.head)
    expected = network.state_dict()
    with safe_open(path, "pt") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for part in LATER_PARTS:
        if not any(name.startswith(part) for name in found):
            found |= {name: tensor for name, tensor in expected.items() if name.startswith(part)}
    check_shapes(f"{path} does not fit size {card.size}", expected, found)
    network.load_state_dict({name: tensor.to(expected[name].dtype) for name, tensor in found.items()})
    return network.eval(), card


def check_shapes(complaint: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raise `CheckpointError` with `complaint` if the arrays or tensors `found` are not as those `expected`."""
    wrong = sorted(name for name in {*expected, *found} if shape(expected, name) != shape(found, name))
    if wrong:
        raise CheckpointError(
            f"{complaint}: {wrong[0]} has the shape {shape(found, wrong[0])}, "
            f"expected {shape(expected, wrong[0])} ({len(wrong)} such items)."
        )


def shape(tensors: Mapping[str, Any], name: str) -> tuple[int, ...] | None:
    return tuple(tensors[name].shape) if name in tensors else None
