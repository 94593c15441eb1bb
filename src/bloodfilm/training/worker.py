"""The other end of `TrainingProcess`: trains on the project in one folder, and tells how that goes.

Lines of JSON come and go. In: ``{"do": "pause" | "go" | "stop"}``, or ``{"do": "show", "name": ...}`` for what the
network takes to be cells in one of the pictures, by its full path. Out: an object with ``kind``:

=========  ==========================================================================================================
progress   every few steps, what `progress` of `train` is told
epoch      after each epoch, the row of ``log.csv``
note       a warning, in ``text``
found      after each epoch: ``name`` of the picture to show, and what is found there, ``boxes``
trained    ``weights``, none if it was ``stopped`` before there were any
done       the end: ``scores`` of `compare`
refused    the end: the user's to mend, in ``text``
failed     the end: a defect, in ``text``
=========  ==========================================================================================================

Whoever asked is gone once nothing can come any more; then training ends at once, to be gone on with.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from bloodfilm.errors import UserError
from bloodfilm.training.project import read

if TYPE_CHECKING:
    from bloodfilm.training.method import Method

PAUSED_SECONDS = 0.1

NICENESS = 10
"""By how much training gives way to other programs, the window that shows it first of all."""


class Orders:
    """What the other side wants, as it comes in on `lines`."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.stop, self.shown = False, ""
        self._paused = False
        threading.Thread(target=self._listen, args=(lines,), daemon=True).start()

    def _listen(self, lines: Iterable[str]) -> None:
        for line in lines:
            order = json.loads(line)
            match order["do"]:
                case "stop":
                    self.stop = True
                case "pause" | "go" as wanted:
                    self._paused = wanted == "pause"
                case "show":
                    self.shown = order["name"]
        os._exit(0)

    def cancelled(self) -> bool:
        """Wait while paused; tell if it is time to stop."""
        while self._paused and not self.stop:
            time.sleep(PAUSED_SECONDS)
        return self.stop


def work(folder: Path, orders: Orders, out: IO[str]) -> None:
    """Train, and write to `out` what the module says."""

    def say(kind: str, **content: Any) -> None:
        out.write(json.dumps({"kind": kind} | content) + "\n")
        out.flush()

    def warned(message: Warning | str, *_: Any, **__: Any) -> None:
        say("note", text=str(message))

    warnings.showwarning = warned
    try:
        _train(folder, orders, say)
    except UserError as error:
        say("refused", text=str(error))
    except Exception as error:  # noqa: BLE001  the caller shows it
        say("failed", text=f"{type(error).__name__}: {error}")


def _train(folder: Path, orders: Orders, say: Callable[..., None]) -> None:
    from bloodfilm.detection.detector import Cancelled
    from bloodfilm.training.fine_tune import compare, fine_tune, usual_method

    project, fields = read(folder)
    method = usual_method(project.method, project.settings.init)
    paths = {str(field.path.absolute()): field.path for field in fields}

    def report(row: dict[str, float]) -> None:
        say("epoch", row=row)
        if orders.shown in paths and not orders.stop:
            with suppress(Cancelled):
                say("found", name=orders.shown, boxes=_finds(folder, paths[orders.shown], method, orders.cancelled))

    best = fine_tune(folder, None, report, lambda row: say("progress", row=row), orders.cancelled, method)
    say("trained", weights=str(best) if best.exists() else None, stopped=orders.stop)
    say("done", scores=compare(folder) if best.exists() else {})


def _finds(folder: Path, picture: Path, method: Method, cancelled: Callable[[], bool]) -> list[list[float]]:
    """Return the boxes of the cells in `picture` that the weights of the last epoch are sure enough of.

    Raises `Cancelled` once `cancelled` says yes.
    """
    from bloodfilm.detection.detector import LOWEST_SCORE, Detector
    from bloodfilm.io.images import read_image

    cells = Detector(folder / "last.safetensors", "cpu").detect(read_image(picture), LOWEST_SCORE, cancelled=cancelled)
    boxes: list[list[float]] = cells.boxes[cells.scores >= method.sure_score()].tolist()
    return boxes


def main() -> None:
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    out, sys.stdout = sys.stdout, sys.stderr
    work(Path(sys.argv[1]), Orders(sys.stdin), out)


if __name__ == "__main__":
    main()
