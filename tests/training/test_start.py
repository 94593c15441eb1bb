from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from short_run import SCORES, VALIDATION, settings, stop_after

from bloodfilm.cells import Cells, Field
from bloodfilm.errors import UserError
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import NOT_A_DIAGNOSIS, Card, Stain, load, save
from bloodfilm.training.loop import train
from bloodfilm.training.settings import Settings
from bloodfilm.training.start import described, shares_kept
from bloodfilm.training.supervised import Supervised
from bloodfilm.vocabulary import AUXILIARY, LLD, UNKNOWN, Vocabulary


def test_a_checkpoint_is_not_trained_as_another_size(fields: list[Field], checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="size n; it cannot be trained as size x"):
        train(fields, fields[:2], tmp_path, settings(init=str(checkpoint), size="x"))


def test_a_run_starts_from_a_checkpoint_and_keeps_what_it_was_taught(
    fields: list[Field], checkpoint: Path, tmp_path: Path
) -> None:
    options = settings(init=str(checkpoint), epochs=1, learning_rate=0.0)
    train(fields, fields[:2], tmp_path, options)
    network, card = load(tmp_path / "last.safetensors")
    assert (card.name, card.limits) == (tmp_path.name, [NOT_A_DIAGNOSIS])
    assert card.description.startswith(f"Trained from {load(checkpoint)[1].name} on {len(fields)} fields with ")
    assert "Basophil" in card.classes
    assert card.attributes == list(card.vocabulary.attribute_names)
    weights = dict(load(checkpoint)[0].named_parameters())
    for name, tensor in network.named_parameters():
        torch.testing.assert_close(tensor, weights[name], msg=name)


@pytest.mark.parametrize("new_type", [False, True])
def test_shares_of_what_finds_cells_stay_as_they_were_and_of_what_reads_those_known(
    fields: list[Field], checkpoint: Path, tmp_path: Path, new_type: bool
) -> None:
    shares = {"detector": 0.25, "refiner": 0.25, "attributes": 0.0 if new_type else 0.75}
    network, card = load(checkpoint)
    taught = {"attributes": list(LLD.attribute_names), "classes": [] if new_type else list(LLD.classes)}
    checkpoint = tmp_path / "taught.safetensors"
    save(checkpoint, network, card.model_copy(update=taught))
    options = settings(init=str(checkpoint), epochs=1)
    for kept, kept_readings in (0.0, 0.0), (0.25, 0.75):
        run = replace(options, kept=kept, kept_readings=kept_readings)
        train(fields, fields[:2], tmp_path / str(kept), run)
    before = load(checkpoint)[0].state_dict()
    learned, left = (load_file(tmp_path / kept / "last.safetensors") for kept in ("0.0", "0.25"))
    assert not torch.equal(learned["detector.model.0.conv.weight"], before["detector.model.0.conv.weight"])
    for name, tensor in left.items():
        if tensor.is_floating_point():
            share = shares.get(name.split(".")[0], 0.0)
            torch.testing.assert_close(tensor, torch.lerp(learned[name], before[name], share), msg=name)


@pytest.mark.parametrize(("named", "kept"), [(0, 0.75), (9, 0.75), (10, 0.25)])
@pytest.mark.parametrize("what", ["codes", "attributes"])
def test_of_few_named_cells_less_is_learned(fields: list[Field], what: str, named: int, kept: float) -> None:
    known = np.where(np.arange(30) < named, 1, UNKNOWN)
    column = known if what == "codes" else np.tile(known[:, None], (1, len(LLD.attributes)))
    cells = Cells(np.tile(np.float32([1, 1, 9, 9]), (30, 1)), vocabulary=LLD, **{what: column})
    fields = [replace(fields[0], cells=cells)] * 5  # as a short training repeats its fields
    card = Card(name="a", classes=list(LLD.classes), attributes=list(LLD.attribute_names))
    assert shares_kept(settings(kept=0.5, kept_readings=None), card, card, fields) == (0.5, kept)
    assert shares_kept(settings(kept=0.5, kept_readings=0.1), card, card, fields) == (0.5, 0.1)


def test_a_card_tells_of_sources_or_pictures_and_of_the_model_before(fields: list[Field]) -> None:
    many = [replace(fields[0], path=Path(f"{number:02}.png"), source="") for number in range(21)]
    before = Card(name="before", classes=["Monocyte"], data=["older"], limits=["Sees monocytes only."])
    known = before.model_copy(update={"data": []})
    card = described(known, before, "run", "sladet", [replace(fields[0], source="scope"), *many[:2], *many[:2]])
    assert (card.name, card.method, card.data) == ("run", "sladet", ["older", "scope", "00.png", "01.png"])
    assert card.limits == ["Sees monocytes only."]
    new = described(known.model_copy(update={"classes": ["Basophil"]}), before, "run", "sladet", many)
    assert new.data == ["older", "21 pictures, 00.png to 20.png"]
    assert new.limits == [NOT_A_DIAGNOSIS]


def test_what_is_judged_is_what_is_left(fields: list[Field], checkpoint: Path, tmp_path: Path) -> None:
    rows: dict[float, list[dict[str, float]]] = {0.0: [], 0.01: []}
    for rate, told in rows.items():
        options = settings(init=str(checkpoint), kept=1.0, kept_readings=1.0, learning_rate=rate, warm_up=0.0)
        train(fields, fields[:2], tmp_path / str(rate), options, report=told.append)
    for before, after in zip(*rows.values(), strict=True):
        assert [after[name] for name in SCORES] == pytest.approx([before[name] for name in SCORES])


def test_a_run_that_keeps_weights_is_resumed_as_if_it_had_not_stopped(
    fields: list[Field], checkpoint: Path, tmp_path: Path
) -> None:
    options = settings(init=str(checkpoint), kept=0.5, kept_readings=0.5)
    whole = train(fields, fields[:2], tmp_path / "whole", options)
    train(fields, fields[:2], tmp_path / "parts", options, cancelled=stop_after(3 + VALIDATION))
    parts = train(fields, fields[:2], tmp_path / "parts", options, resume=True)
    weights = load_file(parts)
    for name, tensor in load_file(whole).items():
        torch.testing.assert_close(tensor, weights[name], msg=name)


def test_a_run_is_not_resumed_from_other_weights(fields: list[Field], checkpoint: Path, tmp_path: Path) -> None:
    init = Path(shutil.copy(checkpoint, tmp_path / "a.safetensors"))
    train(fields, fields[:2], tmp_path / "run", settings(init=str(init), epochs=1))
    network, card = load(init)
    save(init, network, card.model_copy(update={"description": "Another one."}))
    with pytest.raises(UserError, match="begun with init's sha256"):
        train(fields, fields[:2], tmp_path / "run", settings(init=str(init), epochs=1), resume=True)


def test_nothing_is_kept_of_an_imported_model(fields: list[Field], tmp_path: Path) -> None:
    network = AttriDet("n", LLD, head="none")
    save(tmp_path / "a.safetensors", network, Card(name="a", head="none"))
    with pytest.warns(UserWarning, match="are taken over"):
        train(
            fields,
            fields[:2],
            tmp_path,
            settings(init=str(tmp_path / "a.safetensors"), epochs=1, kept=1.0, kept_readings=1.0),
        )
    left = load_file(tmp_path / "last.safetensors")
    assert not torch.equal(left["detector.model.0.conv.weight"], network.state_dict()["detector.model.0.conv.weight"])


def test_a_checkpoint_of_another_vocabulary_is_refused(fields: list[Field], checkpoint: Path, tmp_path: Path) -> None:
    cells = Cells(fields[0].cells.boxes, vocabulary=Vocabulary(("Blast",)))
    foreign = [replace(fields[0], cells=cells)]
    with pytest.raises(UserError, match="another vocabulary"):
        train(foreign, foreign, tmp_path, settings(init=str(checkpoint)))


def test_an_imported_model_is_taken_over_where_it_fits(fields: list[Field], tmp_path: Path) -> None:
    vocabulary = Vocabulary(("thing",), LLD.attributes)
    network = AttriDet("n", vocabulary, head="none")
    network.detector.detect.anchors.mul_(1.1)
    save(tmp_path / "a.safetensors", network, Card(name="a", vocabulary=vocabulary, classes=["thing"], head="none"))
    options = settings(init=str(tmp_path / "a.safetensors"), epochs=1, learning_rate=0.0)
    with pytest.warns(UserWarning, match=r"a\.safetensors: 343 of 349 tensors fit and are taken over"):
        train(fields, fields[:2], tmp_path / "run", options)
    trained, card = load(tmp_path / "run" / "last.safetensors")
    assert (card.vocabulary, card.classes, card.head) == (LLD, ["Neutrophil", "Lymphocyte"], "own")
    assert torch.equal(trained.detector.detect.anchors, network.detector.detect.anchors)
    given = dict(network.detector.named_parameters())
    for name, tensor in trained.detector.named_parameters():
        if not name.startswith("model.24."):
            torch.testing.assert_close(tensor, given[name], msg=name)


def test_a_model_that_sees_other_colours_is_no_start(fields: list[Field], checkpoint: Path, tmp_path: Path) -> None:
    network, card = load(checkpoint)
    stain = Stain(matrix=torch.eye(3).tolist(), offset=[0.0] * 3)
    save(tmp_path / "a.safetensors", network, card.model_copy(update={"stain": stain}))
    with pytest.raises(UserError, match="in other colours"):
        train(fields, fields[:2], tmp_path / "run", settings(init=str(tmp_path / "a.safetensors")))


def test_a_backbone_can_stay_as_it_was_in_the_first_epochs(
    fields: list[Field], checkpoint: Path, tmp_path: Path
) -> None:
    begun = load_file(checkpoint)

    def moved(out: Path, frozen: float) -> set[str]:
        train(fields, fields[:2], out, settings(init=str(checkpoint), frozen=frozen, warm_up=0.0))
        now = load_file(out / "last.safetensors")
        changed = {name for name, value in begun.items() if not torch.equal(now[name], value)}
        return {name.split(".")[2] for name in changed if name.startswith("detector.model.")}

    backbone = {str(layer) for layer in range(10)}
    assert not moved(tmp_path / "frozen", 1.0) & backbone
    assert backbone <= moved(tmp_path / "half", 0.5)


def test_a_method_is_told_the_size_of_red_cells_that_the_model_before_knows(
    fields: list[Field], tmp_path: Path
) -> None:
    class Asking(Supervised):
        def begin(self, fields: Sequence[Field], settings: Settings) -> None:
            raise UserError(f"red cells of {settings.red_cells} px")

    before = tmp_path / "before.safetensors"
    save(before, AttriDet("n", auxiliary=2), Card(name="before", auxiliary=list(AUXILIARY), red_cells=20.0))
    with pytest.raises(UserError, match="red cells of 20.0 px"):
        train(fields, fields, tmp_path / "run", Settings(init=str(before), image_size=64), method=Asking())
