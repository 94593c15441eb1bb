"""A module of ours in a process of its own, for programs with a window: it may load torch, they may not."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import IO


class Helper:
    """Runs ``python -m MODULE ARGUMENTS``, which reads lines of text and writes lines of text.

    Attributes
    ----------
    pid : int
    orders, answers : text files
        What it reads, and what it writes.
    """

    orders: IO[str]
    answers: IO[str]

    def __init__(self, module: str, *arguments: str) -> None:
        self._complaints = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  the process writes to it
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            env={"OMP_WAIT_POLICY": "passive", **os.environ},
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self.pid, self.orders, self.answers = self._process.pid, self._process.stdin, self._process.stdout

    def order(self, line: str) -> None:
        """Write a line to it.

        Raises
        ------
        OSError, ValueError
            If it has ended, or was closed.
        """
        self.orders.write(line + "\n")
        self.orders.flush()

    def end(self) -> None:
        """End it at once, if it has not ended."""
        self._process.terminate()
        self._process.wait()

    def last_words(self, lines: int) -> list[str]:
        """Wait until it has ended, and return its last complaints."""
        self._process.wait()
        self._complaints.seek(0)
        return self._complaints.read().strip().splitlines()[-lines:]

    def close(self) -> None:
        """End it, and close what it reads and writes."""
        self.end()
        for pipe in (self.orders, self.answers, self._complaints):
            with suppress(OSError):
                pipe.close()
