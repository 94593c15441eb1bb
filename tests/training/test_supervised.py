from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from short_run import SCORES, VALIDATION, settings, stop_after
from torch import Tensor

from bloodfilm.cells import Cells, Field
from bloodfilm.detection.detector import Detector
from bloodfilm.errors import PictureError, UserError
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import Card, load, read_card, save
from bloodfilm.training.average import Average
from bloodfilm.training.loop import train
from bloodfilm.vocabulary import UNKNOWN

LOSSES = ("box", "objectness", "class", "types", "attributes", "refining")


def read_log(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "log.csv").read_text().splitlines()))


@pytest.fixture(scope="module")
def long_run(fields: list[Field], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, float]]]:
    """Sixteen epochs; the folder and what was reported."""
    out, rows = tmp_path_factory.mktemp("long"), []
    best = train(fields, fields[:2], out, settings(epochs=16, mosaic=0.0), report=rows.append)
    assert best == out / "best.safetensors"
    return out, rows


@pytest.fixture(scope="module")
def two_epochs(fields: list[Field], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    train(fields, fields[:2], out, settings())
    return out


def test_a_run_leaves_weights_state_and_log(long_run: tuple[Path, list[dict[str, float]]]) -> None:
    out, _ = long_run
    assert {path.name for path in out.iterdir()} == {"best.safetensors", "last.safetensors", "state.pt", "log.csv"}


def test_the_loss_goes_down(long_run: tuple[Path, list[dict[str, float]]]) -> None:
    totals = [sum(row[name] for name in LOSSES) for row in long_run[1]]
    assert np.isfinite(totals).all()
    assert np.mean(totals[-4:]) < 0.95 * np.mean(totals[:4])


def test_the_log_is_what_was_reported(long_run: tuple[Path, list[dict[str, float]]]) -> None:
    out, rows = long_run
    logged = read_log(out)
    assert [row["epoch"] for row in logged] == [str(n) for n in range(1, 17)]
    assert set(logged[0]) == {"epoch", *LOSSES, "ap50", "ap", "recall", "false_per_field", "macro_f1", "learning_rate"}
    for said, written in zip(rows, logged, strict=True):
        assert {name: float(value) for name, value in written.items()} == pytest.approx(said, rel=1e-4, nan_ok=True)


def test_the_learning_rate_rises_then_falls_to_a_hundredth(fields: list[Field], tmp_path: Path) -> None:
    rows: list[dict[str, float]] = []
    train(fields, fields[:2], tmp_path, settings(epochs=4, warm_up=2.0), report=rows.append)
    rates = [row["learning_rate"] / 2e-3 for row in rows]
    assert rates == pytest.approx([0.855 / 2, 0.505, 0.155, 0.01], abs=1e-4)


@pytest.mark.parametrize("name", ["best", "last"])
def test_the_weights_can_be_used_at_once(
    long_run: tuple[Path, list[dict[str, float]]], picture: np.ndarray, name: str
) -> None:
    cells = Detector(long_run[0] / f"{name}.safetensors", "cpu").detect(picture, 0.01)
    assert (cells.attributes[:, [1, 2, 4, 5, 6]] == UNKNOWN).all()


def test_the_card_lists_only_what_was_taught(two_epochs: Path) -> None:
    card = read_card(two_epochs / "best.safetensors")
    assert card.classes == ["Neutrophil", "Lymphocyte"]
    assert card.attributes == ["cell_size", "nucleolus"]
    assert (card.size, card.image_size) == ("n", 64)


@pytest.mark.parametrize("batches", [2, 3])
def test_a_run_that_goes_on_ends_with_the_very_weights_of_a_whole_one(
    fields: list[Field], two_epochs: Path, tmp_path: Path, batches: int
) -> None:
    train(fields, fields[:2], tmp_path, settings(), cancelled=stop_after(batches + VALIDATION))
    assert len(read_log(tmp_path)) == 1
    torch.manual_seed(99)
    train(fields, fields[:2], tmp_path, settings(), resume=True)
    for name in ("best", "last"):
        whole, resumed = (load_file(out / f"{name}.safetensors") for out in (two_epochs, tmp_path))
        assert not [key for key in whole if not torch.equal(whole[key], resumed[key])]
    assert read_log(tmp_path) == read_log(two_epochs)


def test_the_same_seed_gives_the_same_weights_whatever_its_watcher_draws_and_another_others(
    fields: list[Field], two_epochs: Path, tmp_path: Path
) -> None:
    for seed, same in ((0, True), (1, False)):
        train(fields, fields[:2], tmp_path / str(seed), settings(seed=seed), report=lambda _: torch.manual_seed(99))
        weights = [load_file(out / "last.safetensors") for out in (two_epochs, tmp_path / str(seed))]
        assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0]) is same


def test_a_finished_run_has_nothing_to_go_on_with(fields: list[Field], two_epochs: Path) -> None:
    before = (two_epochs / "last.safetensors").read_bytes()
    assert train(fields, fields[:2], two_epochs, settings(), resume=True) == two_epochs / "best.safetensors"
    assert (two_epochs / "last.safetensors").read_bytes() == before
    assert len(read_log(two_epochs)) == 2


@pytest.mark.parametrize(("resume", "message"), [(False, "already holds a run"), (True, "begun with epochs 2, not 5")])
def test_a_finished_run_is_not_overwritten(fields: list[Field], two_epochs: Path, resume: bool, message: str) -> None:
    before = {path.name: path.read_bytes() for path in two_epochs.iterdir()}
    with pytest.raises(UserError, match=message):
        train(fields, fields[:2], two_epochs, settings(epochs=5), resume=resume)
    assert {path.name: path.read_bytes() for path in two_epochs.iterdir()} == before


def test_a_run_begun_by_another_version_is_not_resumed(fields: list[Field], two_epochs: Path, tmp_path: Path) -> None:
    state = torch.load(two_epochs / "state.pt")
    state["network"] = {name: t for name, t in state["network"].items() if not name.startswith("refiner.")}
    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(UserError, match="begun by another version"):
        train(fields, fields[:2], tmp_path, settings(), resume=True)


def test_a_run_that_was_never_begun_cannot_be_resumed(fields: list[Field], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run to resume"):
        train(fields, fields[:2], tmp_path, settings(), resume=True)


def test_training_needs_no_warm_up(fields: list[Field], tmp_path: Path) -> None:
    rows: list[dict[str, float]] = []
    train(fields, fields[:2], tmp_path, settings(epochs=1, warm_up=0.0), report=rows.append)
    assert rows[0]["learning_rate"] == pytest.approx(0.01 * 2e-3)


def test_a_cancelled_run_keeps_its_best_weights(fields: list[Field], tmp_path: Path) -> None:
    best = train(fields, fields[:2], tmp_path, settings(epochs=5), cancelled=stop_after(3 + VALIDATION))
    assert len(read_log(tmp_path)) == 1
    load(best)


def test_nothing_to_train_or_select_on_is_refused(fields: list[Field], bare: Field, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Training needs"):
        train([bare], fields, tmp_path, settings())
    with pytest.raises(UserError, match="Validation needs"):
        train(fields, [bare], tmp_path, settings())
    assert not list(tmp_path.iterdir())


def test_cells_that_a_reviewer_rejected_are_neither_learned_nor_judged_by(fields: list[Field], tmp_path: Path) -> None:
    cells = replace(fields[0].cells, extra={"review": np.array(["rejected", ""], object)})
    best = train([replace(fields[0], cells=cells)], fields[1:2], tmp_path / "run", settings(epochs=1))
    assert read_card(best).classes == []
    none = [replace(fields[0], cells=cells[[0]])]
    with pytest.raises(UserError, match="Validation needs"):
        train(fields, none, tmp_path, settings())


def test_a_pause_does_not_count_as_time_that_training_takes(
    fields: list[Field], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, told = [0.0], []

    def pause() -> bool:
        now[0] += 3600
        return False

    monkeypatch.setattr("bloodfilm.training.loop.time", SimpleNamespace(monotonic=lambda: now[0]))
    train(fields, fields[:2], tmp_path, settings(), progress=told.append, cancelled=pause)
    assert now[0] > 0
    assert {row["seconds_left"] for row in told} == {0.0}


def test_a_run_that_was_stopped_learns_what_is_usual_once_it_is_over(
    fields: list[Field], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual: list[int] = []

    def learn_usual(network: AttriDet, card: Card, shown: list[Field], held_out: list[Field]) -> AttriDet:
        usual.append(len(shown))
        return network

    monkeypatch.setattr("bloodfilm.training.finish.learn_usual", learn_usual)
    monkeypatch.setattr("bloodfilm.training.loop.ENOUGH_TO_SELECT", 1)
    monkeypatch.setattr("bloodfilm.training.loop.score_detection", lambda *_: dict.fromkeys(SCORES, 0.5))
    train(fields, fields[:2], tmp_path, settings(), cancelled=stop_after(3 + VALIDATION))
    train(fields, fields[:2], tmp_path, settings(), resume=True)
    assert usual == [0, len(fields)]


def test_a_picture_that_is_missing_is_the_callers_error(fields: list[Field], tmp_path: Path) -> None:
    missing = replace(fields[0], path=tmp_path / "gone.png")
    with pytest.raises(PictureError, match="no such file"):
        train([missing], fields[:1], tmp_path / "run", settings(batch=1))


def test_batches_without_types_attributes_or_cells_are_learnt_from(
    fields: list[Field], bare: Field, tmp_path: Path
) -> None:
    unnamed = replace(fields[0], cells=Cells(fields[0].cells.boxes))
    rows: list[dict[str, float]] = []
    train([bare, unnamed], [unnamed], tmp_path, settings(batch=1, epochs=1, mosaic=0.0), report=rows.append)
    assert rows[0]["class"] == rows[0]["types"] == rows[0]["attributes"] == 0
    assert rows[0]["box"] > 0
    assert all(torch.isfinite(tensor).all() for tensor in load_file(tmp_path / "last.safetensors").values())
    assert read_card(tmp_path / "last.safetensors").classes == []


def test_an_average_moves_towards_the_network_and_slows_down() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    average = Average(network)
    torch.nn.init.ones_(network.weight)
    gaps = [1.0]
    for _ in range(300):
        average.update(network)
        gaps.append(1 - float(average.network.weight))
    assert gaps[1] == pytest.approx(0.998 * (1 - np.exp(-0.01)), rel=1e-3)
    assert gaps == sorted(gaps, reverse=True)
    assert not average.network.weight.requires_grad


def test_a_run_that_is_over_is_not_calibrated_again(two_epochs: Path, fields: list[Field], tmp_path: Path) -> None:
    out = Path(shutil.copytree(two_epochs, tmp_path / "run"))
    best = out / "best.safetensors"
    network, card = load(best)
    assert card.calibration["score_slope"] == 1
    save(best, network, card.model_copy(update={"calibration": {"score_slope": 2.0}}))
    train(fields, fields[:2], out, settings(), resume=True)
    assert read_card(best).calibration == {"score_slope": 2.0}


def test_progress_is_told_every_few_steps(fields: list[Field], tmp_path: Path) -> None:
    told: list[dict[str, float]] = []
    train(fields, fields[:2], tmp_path, settings(), progress=told.append)
    assert [row["epoch"] for row in told] == [0.5, 1.0, 1.5, 2.0]
    assert all(set(row) == {"epoch", *LOSSES, "learning_rate", "seconds_left"} for row in told)
    assert np.isfinite([list(row.values()) for row in told]).all()
    assert told[-1]["seconds_left"] == 0
    means = np.mean([[row[name] for name in LOSSES] for row in told[2:]], axis=0)
    assert [float(read_log(tmp_path)[1][name]) for name in LOSSES] == pytest.approx(means, rel=1e-4)


@pytest.mark.parametrize("enough", [8, 9])
def test_the_best_epoch_is_chosen_only_by_enough_cells(
    fields: list[Field], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enough: int
) -> None:
    monkeypatch.setattr("bloodfilm.training.loop.ENOUGH_TO_SELECT", enough)
    scores = iter([0.9, 0.1])

    def judged(*_: object) -> dict[str, float]:
        return dict.fromkeys(SCORES, next(scores))

    monkeypatch.setattr("bloodfilm.training.loop.score_detection", judged)
    first: list[dict[str, Tensor]] = []
    report = lambda row: first.append(load_file(tmp_path / "last.safetensors"))  # noqa: E731
    best = load_file(train(fields, fields, tmp_path, settings(), report=report))
    chosen = first[0 if enough == 8 else 1]
    assert all(torch.equal(best[name], value) for name, value in chosen.items() if name.startswith("detector."))
