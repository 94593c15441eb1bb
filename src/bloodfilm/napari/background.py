"""Work off the window's thread, which ends with a result or with words for the user."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from napari.qt.threading import create_worker

if TYPE_CHECKING:
    from napari.qt.threading import FunctionWorker

Result = TypeVar("Result")


def background(
    job: Callable[[], Result], done: Callable[[Result], None], failed: Callable[[str], None]
) -> FunctionWorker[Callable[[], None]]:
    """Return a worker, not started yet, that runs `job` and then, in the window's thread, `done` or `failed`.

    Whatever `job` raises is told: a picture that is read as it is needed may fail with anything.
    """

    def run() -> Callable[[], None]:
        try:
            return partial(done, job())
        except Exception as error:  # noqa: BLE001  the user is told
            plain = isinstance(error, (ValueError, OSError, RuntimeError)) and str(error)
            return partial(failed, plain or f"{type(error).__name__}: {error}")

    worker = create_worker(run, _start_thread=False)
    worker.returned.connect(lambda tell: tell())
    return worker
