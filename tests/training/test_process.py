"""Training in its own process: to the end, stopped, killed and gone on with."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from bloodfilm.cells import Field
from bloodfilm.detection.detector import Cancelled
from bloodfilm.helper import Helper
from bloodfilm.training.fine_tune import fine_tune
from bloodfilm.training.process import LAST, TrainingProcess
from bloodfilm.training.project import Project, save
from bloodfilm.training.settings import Settings
from bloodfilm.training.supervised import Supervised
from bloodfilm.training.worker import NICENESS, Orders, _finds

Message = dict[str, Any]
PATIENCE = 300.0


def start(folder: Path, fields: list[Field], epochs: int = 2) -> TrainingProcess:
    if not folder.exists():
        settings = Settings(image_size=64, batch=16, epochs=epochs, device="cpu")
        save(folder, Project(method="attridet", settings=settings), fields)
    return TrainingProcess(folder)


@pytest.fixture
def begin(fields: list[Field], tmp_path: Path) -> Iterator[Callable[..., TrainingProcess]]:
    """Start training in a folder, or go on there; all that was started is closed in the end."""
    started: list[TrainingProcess] = []

    def begin(name: str = "run", epochs: int = 2) -> TrainingProcess:
        started.append(start(tmp_path / name, fields, epochs))
        return started[-1]

    yield begin
    for process in started:
        process.close()


@pytest.fixture(scope="module")
def whole(fields: list[Field], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Message]]:
    """A run that nobody disturbed: its folder, and what it said."""
    process = start(tmp_path_factory.mktemp("whole") / "run", fields)
    came = read(process, last)
    process.close()
    return process.folder, came


def read(process: TrainingProcess, until: Callable[[Message], bool]) -> list[Message]:
    """Return messages up to the first one for which `until` is true, or the last one."""
    came: list[Message] = []
    end = threading.Event()
    timer = threading.Timer(PATIENCE, end.set)
    timer.start()
    try:
        while not end.is_set():
            for message in process.messages():
                came.append(message)
                if until(message) or message["kind"] in LAST:
                    return came
            end.wait(0.01)
    finally:
        timer.cancel()
    raise AssertionError(f"nothing came of what was waited for, but {came[-3:]}")


def last(message: Message) -> bool:
    return message["kind"] in LAST


def epoch(number: int) -> Callable[[Message], bool]:
    return lambda message: message["kind"] == "epoch" and message["row"]["epoch"] == number


def same(one: Path, other: Path) -> bool:
    a, b = (load_file(path) for path in (one, other))
    return a.keys() == b.keys() and all((a[name] == b[name]).all() for name in a)


@pytest.mark.slow
def test_the_process_trains_to_the_very_weights_of_the_command_line(
    whole: tuple[Path, list[Message]], tmp_path: Path
) -> None:
    folder, came = whole
    assert [message["kind"] for message in came].count("epoch") == 2
    assert came[-1]["kind"] == "done"
    assert set(came[-1]["scores"]) == {"after"}
    weights = next(m["weights"] for m in came if m["kind"] == "trained")
    assert same(Path(weights), fine_tune(folder, tmp_path / "twin"))


@pytest.mark.slow
def test_a_stop_in_the_middle_keeps_the_best_and_can_be_gone_on_with(
    begin: Callable[..., TrainingProcess], whole: tuple[Path, list[Message]]
) -> None:
    process = begin()
    read(process, epoch(1))
    process.send("stop")
    came = read(process, last)
    assert came[-1]["kind"] == "done"
    assert next(m for m in came if m["kind"] == "trained")["stopped"]
    assert (process.folder / "best.safetensors").exists()
    assert read(begin(), last)[-1]["kind"] == "done"
    assert same(process.folder / "last.safetensors", whole[0] / "last.safetensors")


@pytest.mark.slow
def test_a_process_that_is_killed_loses_no_more_than_the_epoch_in_hand(
    begin: Callable[..., TrainingProcess], whole: tuple[Path, list[Message]]
) -> None:
    process = begin()
    read(process, epoch(1))
    read(process, lambda message: message["kind"] == "progress")
    os.kill(process.pid, signal.SIGKILL)
    assert "ended unexpectedly" in read(process, last)[-1]["text"]
    came = read(begin(), last)
    assert next(m["row"]["epoch"] for m in came if m["kind"] == "epoch") == 2
    assert same(process.folder / "last.safetensors", whole[0] / "last.safetensors")


@pytest.mark.slow
def test_two_programs_do_not_train_in_one_folder(begin: Callable[..., TrainingProcess]) -> None:
    first = begin(epochs=50)
    read(first, lambda message: message["kind"] == "progress")
    message = read(begin(), last)[-1]
    assert message["kind"] == "refused"
    assert "Another program" in message["text"]
    assert read(first, epoch(1))[-1]["kind"] == "epoch"


@pytest.mark.slow
def test_a_stop_ends_the_search_for_what_to_show(whole: tuple[Path, list[Message]], fields: list[Field]) -> None:
    with pytest.raises(Cancelled):
        _finds(whole[0], fields[0].path, Supervised(), lambda: True)
    assert _finds(whole[0], fields[0].path, Supervised(), lambda: False) is not None


@pytest.mark.slow
def test_training_ends_with_the_program_that_asked_for_it(begin: Callable[..., TrainingProcess]) -> None:
    process = begin(epochs=50)
    read(process, lambda message: message["kind"] == "progress")
    process._helper.orders.close()
    assert process._helper._process.wait(PATIENCE) == 0


def test_orders_hold_training_until_it_may_go_on() -> None:
    lines: queue.Queue[str] = queue.Queue()
    orders = Orders(iter(lines.get, None))
    assert not orders.cancelled()
    waiting = threading.Thread(target=orders.cancelled, daemon=True)
    lines.put('{"do": "pause"}')
    lines.put('{"do": "show", "name": "a.png"}')
    _until(lambda: orders.shown == "a.png")
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    lines.put('{"do": "go"}')
    waiting.join(PATIENCE)
    assert not waiting.is_alive()
    lines.put('{"do": "pause"}')
    lines.put('{"do": "stop"}')
    _until(lambda: orders.stop)
    assert orders.cancelled()


def _until(true: Callable[[], bool]) -> None:
    wait = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if true():
            return
        wait.wait(0.01)
    raise AssertionError("it never came true")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="priorities of processes are POSIX's")
def test_training_gives_way_to_other_programs(begin: Callable[..., TrainingProcess]) -> None:
    process = begin()
    read(process, lambda message: message["kind"] == "progress")
    own, its = (os.getpriority(os.PRIO_PROCESS, pid) for pid in (0, process.pid))
    assert its == min(own + NICENESS, 19)


def test_what_a_library_prints_is_no_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "noisy.py").write_text("""print('loading', 3, '{"kind": "ready"}', '{"kind": "fou', sep='\\n')""")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("bloodfilm.training.process.Helper", lambda *_: Helper("noisy"))
    process = TrainingProcess(tmp_path)
    assert [message["kind"] for message in read(process, last)] == ["ready", "failed"]
    process.close()
