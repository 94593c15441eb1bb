"""The detector in a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import bloodfilm
from bloodfilm.detection.detector import Detector
from bloodfilm.detection.process import DetectionProcess
from bloodfilm.errors import UserError
from bloodfilm.nets.checkpoint import load, save

LOWEST = 0.01


@pytest.fixture
def process() -> Iterator[DetectionProcess]:
    process = DetectionProcess()
    yield process
    process.close()


def test_it_finds_what_a_detector_finds(process: DetectionProcess, checkpoint: Path, picture: np.ndarray) -> None:
    outcome = process.detect(picture, str(checkpoint), "cpu", LOWEST)
    assert outcome is not None
    wanted = Detector(checkpoint, "cpu").detect(picture, LOWEST)
    np.testing.assert_array_equal(outcome.cells.boxes, wanted.boxes)
    np.testing.assert_array_equal(outcome.cells.attributes, wanted.attributes)
    assert outcome.running_on.startswith("cpu")
    assert outcome.provenance["min_score"] == LOWEST


def test_errors_come_across_and_the_next_search_works(
    process: DetectionProcess, checkpoint: Path, picture: np.ndarray
) -> None:
    with pytest.raises(UserError, match="No model nothing"):
        process.detect(picture, "nothing", "cpu", LOWEST)
    with pytest.raises(UserError, match="too small"):
        process.detect(picture[:2], str(checkpoint), "cpu", LOWEST)
    assert process.detect(picture, str(checkpoint), "cpu", LOWEST) is not None


def test_a_search_can_be_cancelled_and_the_next_one_works(
    process: DetectionProcess, checkpoint: Path, picture: np.ndarray
) -> None:
    strip, seen = np.tile(picture, (1, 100, 1)), []
    assert process.detect(strip, str(checkpoint), "cpu", LOWEST, lambda *_: seen.append(1), lambda: bool(seen)) is None
    child = process._helper
    assert process.detect(picture, str(checkpoint), "cpu", LOWEST) is not None
    assert process._helper is child


def test_a_process_that_is_still_starting_is_ended_by_cancel(
    process: DetectionProcess, checkpoint: Path, picture: np.ndarray
) -> None:
    assert process.detect(picture, str(checkpoint), "cpu", LOWEST, cancelled=lambda: True) is None
    assert process._helper is None
    assert process.detect(picture, str(checkpoint), "cpu", LOWEST) is not None


def test_modules_in_the_working_directory_are_not_taken_for_python_s_own(
    process: DetectionProcess, checkpoint: Path, picture: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tempfile.py").write_text("raise ImportError('mine')")
    monkeypatch.setenv("PYTHONPATH", str(Path(bloodfilm.__file__).parents[1]))
    monkeypatch.chdir(tmp_path)
    assert process.detect(picture, str(checkpoint), "cpu", LOWEST) is not None


def test_a_process_that_does_not_start_says_why(
    process: DetectionProcess, picture: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tempfile.py").write_text("raise ImportError('a broken module')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"(?s)did not start: .*a broken module"):
        process.detect(picture, "any", "cpu", LOWEST)


def test_progress_counts_the_tiles(process: DetectionProcess, checkpoint: Path, picture: np.ndarray) -> None:
    seen: list[tuple[int, int]] = []
    process.detect(picture, str(checkpoint), "cpu", LOWEST, progress=lambda *counts: seen.append(counts))
    assert seen == [(1, 1)]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_that_died_is_told_and_replaced(
    process: DetectionProcess, checkpoint: Path, picture: np.ndarray
) -> None:
    process.detect(picture, str(checkpoint), "cpu", LOWEST)
    assert process._helper is not None
    os.kill(process._helper.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="ended unexpectedly"):
        process.detect(picture, str(checkpoint), "cpu", LOWEST)
    assert process.detect(picture, str(checkpoint), "cpu", LOWEST) is not None


def test_closing_ends_the_process_and_leaves_no_folder(
    process: DetectionProcess,
    checkpoint: Path,
    picture: np.ndarray,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path_factory.mktemp("t")
    monkeypatch.setenv("TMPDIR", str(folder))
    process.detect(picture, str(checkpoint), "cpu", LOWEST)
    child = process._helper
    assert child is not None
    process.close()
    assert child._process.poll() is not None
    assert list(folder.glob("bloodfilm-*")) == []


def test_it_reads_boxes_as_a_detector_does(process: DetectionProcess, checkpoint: Path, picture: np.ndarray) -> None:
    boxes = np.array([[100, 40, 150, 90], [10, 20, 60, 80]], np.float32)
    outcome = process.read_boxes(picture, boxes, str(checkpoint), "cpu")
    assert outcome is not None
    wanted = Detector(checkpoint, "cpu").read_boxes(picture, boxes)
    np.testing.assert_array_equal(outcome.cells.boxes, boxes)
    np.testing.assert_array_equal(outcome.cells.attributes, wanted.attributes)


def test_who_fails_while_it_watches_leaves_no_answer_behind(
    process: DetectionProcess, checkpoint: Path, picture: np.ndarray
) -> None:
    def fail(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.detect(picture, str(checkpoint), "cpu", LOWEST, fail)
    outcome = process.detect(picture[:40], str(checkpoint), "cpu", LOWEST)
    assert outcome is not None
    assert (outcome.cells.boxes[:, 3] <= 40).all()


def test_weights_that_are_written_again_are_read_again(
    process: DetectionProcess, checkpoint: Path, picture: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    shutil.copy(checkpoint, path)
    first = process.detect(picture, str(path), "cpu", LOWEST)
    network, card = load(path)
    save(path, network, card.model_copy(update={"name": "another"}))
    second = process.detect(picture, str(path), "cpu", LOWEST)
    assert first is not None
    assert second is not None
    assert first.provenance["model"] != second.provenance["model"]
