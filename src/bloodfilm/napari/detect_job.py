"""Detection off the GUI thread: the worker touches no layer and no widget."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from qtpy.QtCore import QObject, Signal

from bloodfilm.cells import concatenate
from bloodfilm.detection.process import DetectionProcess, Outcome
from bloodfilm.napari.background import background
from bloodfilm.napari.pictures import Part

CANDIDATE_SCORE = 0.05
"""Cells down to this score are kept, so that the score can be lowered without running again."""


class DetectJob(QObject):
    """One run of a model on parts of a picture; exactly one of the last three signals comes."""

    progressed = Signal(int, int)
    finished = Signal(object)
    failed = Signal(str)
    cancelled = Signal()

    def __init__(
        self, process: DetectionProcess, parts: Sequence[Part], model: str, device: str, pixel_size: float | None = None
    ) -> None:
        super().__init__()
        self._stop = threading.Event()
        search = partial(self._search, process, parts, model, device, pixel_size)
        self._worker = background(search, self._on_searched, self._on_failed)

    def _search(
        self, process: DetectionProcess, parts: Sequence[Part], model: str, device: str, pixel_size: float | None
    ) -> Outcome | None:
        outcomes: list[Outcome] = []
        for part in parts:
            outcome = process.detect(
                part.load(),
                model,
                device,
                CANDIDATE_SCORE,
                partial(self._on_progress, len(outcomes), len(parts)),
                lambda: self._stop.is_set() or self._worker.abort_requested,
                pixel_size,
            )
            if outcome is None:
                return None
            outcomes.append(replace(outcome, cells=part.place(outcome.cells)))
        cells = concatenate(outcome.cells for outcome in outcomes).in_order()
        return replace(outcomes[-1], cells=cells, seconds=sum(outcome.seconds for outcome in outcomes))

    def _on_progress(self, parts_done: int, parts: int, done: int, total: int) -> None:
        self.progressed.emit(parts_done * total + done, parts * total)

    def start(self) -> None:
        self._worker.start()

    def cancel(self) -> None:
        """Ask the job to stop after the batch in hand."""
        self._stop.set()

    def _on_searched(self, outcome: Outcome | None) -> None:
        if outcome is None or self._stop.is_set():
            self.cancelled.emit()
        else:
            self.finished.emit(outcome)

    def _on_failed(self, words: str) -> None:
        if self._stop.is_set():
            self.cancelled.emit()
        else:
            self.failed.emit(words)
