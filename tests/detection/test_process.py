"""The detector in a process of its own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bloodfilm.detection.detector import Detector
from bloodfilm.detection.process import DetectionProcess
from bloodfilm.errors import UserError

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
    assert process.detect(picture, str(checkpoint), "cpu", LOWEST, cancelled=lambda: True) is None
    assert process.detect(picture, str(checkpoint), "cpu", LOWEST) is not None


def test_progress_counts_the_tiles(process: DetectionProcess, checkpoint: Path, picture: np.ndarray) -> None:
    seen: list[tuple[int, int]] = []
    process.detect(picture, str(checkpoint), "cpu", LOWEST, progress=lambda *counts: seen.append(counts))
    assert seen == [(1, 1)]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_that_died_is_told_and_replaced(
    process: DetectionProcess, checkpoint: Path, picture: np.ndarray
) -> None:
    process.detect(picture, str(checkpoint), "cpu", LOWEST)
    assert process._process is not None
    os.kill(process._process.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="ended unexpectedly"):
        process.detect(picture, str(checkpoint), "cpu", LOWEST)
    assert process.detect(picture, str(checkpoint), "cpu", LOWEST) is not None


def test_closing_ends_the_process(process: DetectionProcess, checkpoint: Path, picture: np.ndarray) -> None:
    process.detect(picture, str(checkpoint), "cpu", LOWEST)
    child = process._process
    assert child is not None
    process.close()
    assert child.poll() is not None
