"""Detection in a process of its own, for programs with a window.

Loading torch stops a window for a second, and its compiler brings an LLVM that crashes beside that of
Mesa's OpenGL. So the window's process never loads torch: it asks this one.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection
from typing import Any

import numpy.typing as npt

from bloodfilm.cells import Cells
from bloodfilm.errors import UserError
from bloodfilm.helper import Helper

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
        self._helper: Helper | None = None
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
        pixel_size: float | None = None,
    ) -> Outcome | None:
        """Find the cells of `image`, with the arguments of `Detector`; None if `cancelled` said yes.

        Raises
        ------
        UserError
            If picture, model or device cannot be used.
        RuntimeError
            If the search failed or its process did not start or died; the next call starts a new one.
        """
        request = {"image": image, "model": model, "device": device, "pixel_size": pixel_size}
        return self._ask(request | {"min_score": min_score}, progress, cancelled)

    def read_boxes(
        self,
        image: npt.ArrayLike,
        boxes: npt.ArrayLike,
        model: str,
        device: str,
        pixel_size: float | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Outcome | None:
        """Tell type and attributes of cells that somebody boxed, as `Detector.read_boxes`; raises as `detect`."""
        request = {"image": image, "model": model, "device": device, "pixel_size": pixel_size}
        return self._ask(request | {"boxes": boxes}, None, cancelled)

    def _ask(
        self,
        request: dict[str, Any],
        progress: Callable[[int, int], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> Outcome | None:
        with self._one_at_a_time:
            connection = self._connection or self._start()
            try:
                connection.send(request)
                kind, content, asked = self._wait(connection, progress, cancelled)
            except (EOFError, OSError):
                self._end()
                raise RuntimeError("The detection process ended unexpectedly; perhaps memory ran out.") from None
            except BaseException:
                self._end()  # its answer would be taken for that of the next picture
                raise
            return self._result(kind, content, asked)

    def _wait(
        self,
        connection: Connection,
        progress: Callable[[int, int], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> tuple[str, Any, bool]:
        """Return the answer, and if it was asked to cancel."""
        ready = asked = False
        while True:
            if cancelled and not asked and cancelled():
                if not ready:  # it listens again only when torch and the model are loaded
                    self._end()
                    return "cancelled", None, True
                connection.send("cancel")
                asked = True
            if not connection.poll(POLL_SECONDS):
                continue
            kind, content = connection.recv()
            if kind == "ready":
                ready = True
            elif kind != "progress":
                return kind, content, asked
            elif progress:
                progress(*content)

    def _result(self, kind: str, content: Any, asked: bool) -> Outcome | None:
        if asked and kind != "cancelled":
            self._end()  # it may yet read the request to cancel as the next picture
        if asked or kind == "cancelled":
            return None
        if kind == "done":
            return Outcome(*content)
        raise UserError(content) if kind == "refused" else RuntimeError(content)

    def _start(self) -> Connection:
        try:
            self._connection = self._connect()
        except (EOFError, OSError, AuthenticationError) as error:
            reason = self._last_words() or str(error)
            self._end()
            raise RuntimeError(f"The detection process did not start: {reason}") from None
        return self._connection

    def _connect(self) -> Connection:
        key = secrets.token_bytes(32)
        self._helper = Helper("bloodfilm.detection.server")
        self._helper.order(key.hex())
        address = self._helper.answers.readline().strip()
        if not address:
            raise EOFError
        return Client(address, authkey=key)

    def _last_words(self) -> str:
        if self._helper is None:
            return ""
        self._helper.end()
        return "\n".join(self._helper.last_words(3))

    def close(self) -> None:
        """End the process; what it was searching is lost."""
        if (helper := self._helper) is not None:
            helper.end()
        with self._one_at_a_time:
            self._end()

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._helper is not None:
            self._helper.close()
        self._connection = self._helper = None
