"""The command line shows models and their cards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import call, run

from bloodfilm.errors import CheckpointError
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import Card, read_card, save
from bloodfilm.weights import available, own_models


def test_each_model_is_shown_with_its_limits_and_scores() -> None:
    told = run("models")
    for name in available():
        card = read_card(name)
        assert name in told.split()
        assert f"{card.scores['lld-samples']['ap50']:.3f}" in told
    assert told.count("not a diagnosis") == len(available())


def test_a_model_that_was_never_scored_is_shown_without(tmp_path: Path) -> None:
    save(tmp_path / "mine.safetensors", AttriDet("n"), Card(name="[mine]", classes=["Neutrophil"]))
    told = run("models", tmp_path / "mine.safetensors")
    assert "[mine]" in told
    assert "Neutrophil" in told
    assert "scores" not in told


def test_programs_get_whole_cards_as_one_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOODFILM_HOME", str(tmp_path))
    cards = json.loads(run("models", "--json"))
    assert [card["name"] for card in cards] == ["wbc-n", "wbc-s"]
    assert cards[0]["sha256"] == read_card("wbc-n").sha256


def test_a_model_that_is_asked_for_and_not_there_is_an_error() -> None:
    with pytest.raises(CheckpointError, match="No model nothing"):
        run("models", "nothing")


def test_a_broken_model_of_ones_own_does_not_hide_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOODFILM_HOME", str(tmp_path))
    own_models().mkdir(parents=True)
    (own_models() / "broken.safetensors").write_bytes(b"nothing")
    told = call("models")
    assert told.returncode == 0
    assert "broken" in told.stderr
    assert "wbc-n" in told.stdout.split()
