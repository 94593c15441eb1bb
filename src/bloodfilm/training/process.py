"""Training in a process of its own, for programs with a window; this side never loads torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

LAST = ("done", "refused", "failed")
"""Kinds of messages after which no more come."""


class TrainingProcess:
    """Trains on the project in `folder`, from where that was left; see `bloodfilm.training.worker` for messages.

    Training ends, to be gone on with, when this object is closed or its process ends.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._messages: deque[dict[str, Any]] = deque()
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  the process writes to it
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bloodfilm.training.worker", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={"OMP_WAIT_POLICY": "passive", **os.environ},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        kind = ""
        for line in self._process.stdout:
            message = json.loads(line)
            kind = message["kind"]
            self._messages.append(message)
        self._process.wait()
        if kind not in LAST:
            self._messages.append({"kind": "failed", "text": self._last_words()})

    def _last_words(self) -> str:
        self._errors.seek(0)
        said = self._errors.read().strip().splitlines()[-1:]
        return " ".join(["The training process ended unexpectedly; perhaps memory ran out.", *said])

    def messages(self) -> list[dict[str, Any]]:
        """Return what has come since the last call, without waiting; the last one is of a kind in `LAST`."""
        return [self._messages.popleft() for _ in range(len(self._messages))]

    def send(self, do: str, **content: Any) -> None:
        """Give an order; it is lost if training is over."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do} | content) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            pass

    def close(self) -> None:
        """End training at once; at most the epoch in hand is lost."""
        self._process.terminate()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
