from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bloodfilm.errors import CheckpointError
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import Card, load, locate, read_card, save
from bloodfilm.vocabulary import LLD, Attribute, Vocabulary
from bloodfilm.weights import available


def with_card(path: Path, checkpoint: Path, card: str | None) -> Path:
    """Write the weights of `checkpoint` with another card."""
    save_file(load_file(checkpoint), path, None if card is None else {"bloodfilm": card})
    return path


def test_weights_and_card_come_back_as_saved(network: AttriDet, checkpoint: Path) -> None:
    loaded, card = load(checkpoint)
    before, after = network.state_dict(), loaded.state_dict()
    assert list(before) == list(after)
    assert not [name for name in before if not torch.equal(before[name], after[name])]
    assert (card.name, card.size, card.image_size, card.vocabulary) == ("untrained", "n", 96, LLD)
    assert "Monoblast" not in card.classes


def test_a_loaded_network_is_ready_for_inference(checkpoint: Path) -> None:
    assert not any(module.training for module in load(checkpoint)[0].modules())


def test_another_vocabulary_comes_back(tmp_path: Path) -> None:
    vocabulary = Vocabulary(("Blast", "Other"), (Attribute("x", ("p", "q")),))
    save(tmp_path / "a.safetensors", AttriDet("n", vocabulary), Card(name="a", vocabulary=vocabulary))
    network, card = load(tmp_path / "a.safetensors")
    assert card.vocabulary == network.vocabulary == vocabulary


def test_others_may_read_a_checkpoint_as_any_other_file(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "any").touch()
    assert checkpoint.stat().st_mode == (tmp_path / "any").stat().st_mode


def test_half_precision_halves_the_file_and_keeps_the_weights_close(
    network: AttriDet, checkpoint: Path, tmp_path: Path
) -> None:
    save(str(tmp_path / "half.safetensors"), network, Card(name="half"), half=True)
    loaded, _ = load(tmp_path / "half.safetensors")
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * checkpoint.stat().st_size
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == network.state_dict()[name].dtype
        torch.testing.assert_close(tensor, network.state_dict()[name], atol=1e-3, rtol=1e-3)


def test_saving_leaves_the_network_as_it_was(network: AttriDet, tmp_path: Path) -> None:
    save(tmp_path / "half.safetensors", network, Card(name="half"), half=True)
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_further_entries_of_a_card_are_kept(network: AttriDet, tmp_path: Path) -> None:
    save(tmp_path / "a.safetensors", network, Card(name="a", scores={"ap50": 0.5}, licence="CC0"))
    card = read_card(tmp_path / "a.safetensors")
    assert (card.scores, card.model_extra) == ({"ap50": 0.5}, {"licence": "CC0"})


def test_the_card_tells_the_hash_of_its_file(checkpoint: Path) -> None:
    assert read_card(checkpoint).sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()


def test_a_model_that_is_nowhere_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No model nothing"):
        load("nothing")
    with pytest.raises(CheckpointError, match="No model"):
        load(tmp_path)


@pytest.mark.parametrize("name", sorted(available()) or [pytest.param("", marks=pytest.mark.skip("none shipped yet"))])
def test_a_shipped_model_is_found_by_its_name(name: str) -> None:
    assert locate(name).is_file()
    assert set(read_card(name).classes) <= set(read_card(name).vocabulary.classes)


@pytest.mark.parametrize("content", [b"", b"plain text, no tensors", None], ids=["empty", "text", "half"])
def test_a_broken_file_is_an_error_with_its_name(tmp_path: Path, checkpoint: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.safetensors"
    whole = checkpoint.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(CheckpointError, match=r"broken\.safetensors is not a whole"):
        load(path)


@pytest.mark.parametrize(
    "card",
    [
        None,
        "no json",
        "{}",
        json.dumps({"name": "a", "vocabulary": {"classes": ["a"]}}),
        json.dumps({"name": "a", "vocabulary": {"classes": ["a", "A"], "attributes": []}}),
        json.dumps({"name": "a", "vocabulary": ["a"]}),
        json.dumps({"name": "a", "image_size": "wide"}),
        json.dumps({"name": "a", "size": "xxl"}),
    ],
    ids=["none", "no json", "no name", "half a vocabulary", "twice", "a list", "a word", "no such size"],
)
def test_weights_without_a_sound_card_are_no_checkpoint(tmp_path: Path, checkpoint: Path, card: str | None) -> None:
    path = with_card(tmp_path / "foreign.safetensors", checkpoint, card)
    with pytest.raises(CheckpointError, match=r"foreign\.safetensors is not a bloodfilm checkpoint"):
        load(path)


def test_weights_of_another_size_are_refused_by_the_first_that_does_not_fit(tmp_path: Path, checkpoint: Path) -> None:
    path = with_card(tmp_path / "a.safetensors", checkpoint, Card(name="a", size="s").to_json())
    with pytest.raises(CheckpointError, match=r"does not fit size s: detector\.model\.0\.bn\.bias has the shape"):
        load(path)


def test_weights_made_before_there_was_a_refiner_leave_boxes_as_they_are(tmp_path: Path, checkpoint: Path) -> None:
    old = {name: tensor for name, tensor in load_file(checkpoint).items() if not name.startswith("refiner.")}
    save_file(old, tmp_path / "old.safetensors", {"bloodfilm": Card(name="old").to_json()})
    network, _ = load(tmp_path / "old.safetensors")
    rois = torch.tensor([[0, 10.0, 10.0, 40.0, 50.0]])
    assert network.refiner(torch.rand(1, 3, 64, 64), rois).tolist() == [[0, 0, 0, 0]]


@torch.inference_mode()
def test_weights_made_before_details_were_looked_at_read_as_they_did(tmp_path: Path, checkpoint: Path) -> None:
    weights = load_file(checkpoint)
    assert not weights["attributes.noticed.weight"].any()
    later = "attributes.details.", "attributes.noticed."
    old = {name: tensor for name, tensor in weights.items() if not name.startswith(later)}
    save_file(old, tmp_path / "old.safetensors", {"bloodfilm": Card(name="old").to_json()})
    images, rois = torch.rand(1, 3, 64, 64), torch.tensor([[0, 10.0, 10.0, 40.0, 50.0]])
    now, before = (load(path)[0].read(images, rois) for path in (checkpoint, tmp_path / "old.safetensors"))
    assert all(torch.equal(one, other) for one, other in zip(now, before, strict=True))


def test_missing_and_further_weights_are_refused(tmp_path: Path, checkpoint: Path) -> None:
    tensors = load_file(checkpoint)
    tensors["further"] = tensors.pop("attributes.last.bias")
    save_file(tensors, tmp_path / "a.safetensors", {"bloodfilm": Card(name="a").to_json()})
    with pytest.raises(CheckpointError, match=r"attributes\.last\.bias has the shape None.*2 such items"):
        load(tmp_path / "a.safetensors")
