"""Detection in a process of its own, for programs with a window.

Loading torch stops a window for a second, and its compiler brings an LLVM that crashes beside that of
Mesa's OpenGL. So the window's process never loads torch: it asks this one.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection
from typing import Any

import numpy.typing as npt

from bloodfilm.cells import Cells
from bloodfilm.errors import UserError

POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Outcome:
    """What was found, how long the search took, on which device, and the provenance to keep with it."""

    cells: Cells
    seconds: float
    running_on: str
    provenance: dict[str, Any]


class DetectionProcess:
    """A detector in another process, started by the first call and kept with its model for the next ones."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._connection: Connection | None = None
        self._one_at_a_time = threading.Lock()

    def detect(
        self,
        image: npt.ArrayLike,
        model: str,
        device: str,
        min_score: float,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Outcome | None:
        """Find the cells of `image`, with the arguments of `Detector`; None if `cancelled` said yes.

        Raises
        ------
        UserError
            If picture, model or device cannot be used.
        RuntimeError
            If the search failed or its process died; the next call starts a new one.
        """
        with self._one_at_a_time:
            try:
                connection = self._connect()
                connection.send({"image": image, "model": model, "device": device, "min_score": min_score})
                return self._wait(connection, progress, cancelled)
            except (EOFError, OSError):
                self.close()
                raise RuntimeError("The detection process ended unexpectedly; perhaps memory ran out.") from None

    def _wait(
        self,
        connection: Connection,
        progress: Callable[[int, int], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> Outcome | None:
        asked = False
        while True:
            if not connection.poll(POLL_SECONDS):
                if cancelled and cancelled() and not asked:
                    connection.send("cancel")
                    asked = True
                continue
            kind, content = connection.recv()
            if kind == "progress":
                if progress:
                    progress(*content)
                continue
            if asked and kind != "cancelled":
                self.close()  # it may yet read the request to cancel as the next picture
            if asked or kind == "cancelled":
                return None
            if kind == "done":
                return Outcome(*content)
            raise UserError(content) if kind == "refused" else RuntimeError(content)

    def _connect(self) -> Connection:
        if self._connection is None:
            key = secrets.token_bytes(32)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bloodfilm.detection.server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={"OMP_WAIT_POLICY": "passive", **os.environ},
            )
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.write(key.hex() + "\n")
            self._process.stdin.flush()
            address = self._process.stdout.readline().strip()
            if not address:
                raise EOFError
            self._connection = Client(address, authkey=key)
        return self._connection

    def close(self) -> None:
        """End the process; what it was searching is lost."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
        self._connection = self._process = None
