"""Training in a process of its own, for programs with a window; this side never loads torch."""

from __future__ import annotations

import json
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

from bloodfilm.helper import Helper

LAST = ("done", "refused", "failed")
"""Kinds of messages after which no more come."""


class TrainingProcess:
    """Trains on the project in `folder`, from where that was left; see `bloodfilm.training.worker` for messages.

    Training ends, to be gone on with, when this object is closed or its process ends.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._messages: deque[dict[str, Any]] = deque()
        self._helper = Helper("bloodfilm.training.worker", str(folder))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._helper.pid

    def _read(self) -> None:
        kind = ""
        for line in self._helper.answers:
            with suppress(ValueError, TypeError):  # whatever else prints there
                message = json.loads(line)
                kind = message["kind"]
                self._messages.append(message)
        said = self._helper.last_words(1)
        if kind not in LAST:
            text = " ".join(["The training process ended unexpectedly; perhaps memory ran out.", *said])
            self._messages.append({"kind": "failed", "text": text})

    def messages(self) -> list[dict[str, Any]]:
        """Return what has come since the last call, without waiting; the last one is of a kind in `LAST`."""
        return [self._messages.popleft() for _ in range(len(self._messages))]

    def send(self, do: str, **content: Any) -> None:
        """Give an order; it is lost if training is over."""
        with suppress(OSError, ValueError):
            self._helper.order(json.dumps({"do": do} | content))

    def close(self) -> None:
        """End training at once; at most the epoch in hand is lost."""
        self._helper.end()
        self._reader.join()
        self._helper.close()
