"""Work off the window's thread, in a real viewer: its result and whatever it raises arrive."""

from __future__ import annotations

import threading

import pytest

from bloodfilm.errors import UserError
from bloodfilm.napari.background import background


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UserError("a.png: no picture"), "a.png: no picture"),
        (OSError(5, "Input/output error", "a.png"), "[Errno 5] Input/output error: 'a.png'"),
        (RuntimeError(), "RuntimeError: "),
        (KeyError("zarr.json"), "KeyError: 'zarr.json'"),
    ],
)
def test_what_goes_wrong_is_told_in_words(make_napari_viewer, qtbot, error, words) -> None:
    make_napari_viewer()
    told: list[str] = []

    def job() -> None:
        raise error

    background(job, lambda _: told.append("done"), told.append).start()
    qtbot.waitUntil(lambda: bool(told))
    assert told == [words]


def test_a_result_arrives_in_the_thread_of_the_window(make_napari_viewer, qtbot) -> None:
    make_napari_viewer()
    told: list[tuple[object, threading.Thread]] = []
    worker = background(
        threading.current_thread, lambda ran: told.append((ran, threading.current_thread())), lambda _: None
    )
    worker.start()
    qtbot.waitUntil(lambda: bool(told))
    ran, arrived = told[0]
    assert arrived is threading.main_thread()
    assert ran is not arrived
