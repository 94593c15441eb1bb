"""The whole path in a real napari window, by real mouse clicks: open, Detect, table, select a row, filter.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/click_through.py PICTURE --out build/shots

Writes a screenshot of each step and fails if a step does not do what a user would see.
Without PICTURE it takes the synthetic sample field. Needs ``xdotool``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import napari
from qtpy.QtCore import QEvent, QPoint
from qtpy.QtWidgets import QApplication, QTableView, QWidget

PATIENCE = 120.0


def work() -> None:
    """Let the window work a little, and delete what is to be deleted, as its own loop would: napari's progress bars."""
    QApplication.processEvents()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    time.sleep(0.01)


def until(done: Callable[[], bool], what: str) -> None:
    """Let the window work until `done`."""
    end = time.monotonic() + PATIENCE
    while not done():
        work()
        if time.monotonic() > end:
            sys.exit(f"FAILED: {what} did not happen within {PATIENCE:.0f} s")


def rest(seconds: float = 0.8) -> None:
    """Let the window draw."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        work()


def act(*arguments: object) -> None:
    """Let xdotool move the real pointer and press real keys, while the window goes on answering."""
    process = subprocess.Popen(["xdotool", *map(str, arguments)])
    until(lambda: process.poll() is not None, "the end of xdotool")
    if process.returncode:
        sys.exit(f"FAILED: xdotool {arguments}")
    rest()


def click(widget: QWidget, at: QPoint | None = None) -> None:
    """Click on `widget` with the real pointer, in its middle or at `at`."""
    place = widget.mapToGlobal(at if at is not None else widget.rect().center())
    act("mousemove", place.x(), place.y(), "click", 1)


class Shots:
    """Screenshots of the whole screen, numbered."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.number = folder, 0
        folder.mkdir(parents=True, exist_ok=True)

    def take(self, name: str) -> None:
        rest()
        self.number += 1
        path = self.folder / f"{self.number}-{name}.png"
        QApplication.primaryScreen().grabWindow(0).save(str(path))
        print(path)


def open_window() -> napari.Viewer:
    """Return a viewer whose window fills a screen of 1600 x 1000."""
    viewer = napari.Viewer(show=False)
    window = viewer.window._qt_window
    viewer.show()
    rest(1)
    window.showNormal()
    window.setGeometry(0, 0, 1600, 1000)
    return viewer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", nargs="?", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/shots"))
    args = parser.parse_args()

    shots = Shots(args.out)
    viewer = open_window()
    window = viewer.window._qt_window
    if args.picture:
        viewer.open(str(args.picture), plugin="napari")
    else:
        viewer.open_sample("bloodfilm", "synthetic_field")
    _, panel = viewer.window.add_plugin_dock_widget("bloodfilm", "Detect white blood cells")
    rest(2)
    viewer.reset_view()
    shots.take("opened")

    click(panel.button)
    until(lambda: panel.button.text() == "Detect white blood cells", "detection")
    layer = viewer.layers[-1]
    shots.take("detected")
    print(f"{layer.nshapes} cells; {panel.summary.text()}")
    if layer.nshapes == 0:
        sys.exit("No cell was found; there is no row to select.")

    click(panel.table)
    viewer.reset_view()
    tables = [t for t in window.findChildren(QTableView) if t.isVisible() and t.model().rowCount()]
    if not tables:
        sys.exit("FAILED: no table with rows came up")
    chosen = min(2, layer.nshapes - 1)
    row = tables[0].visualRect(tables[0].model().index(chosen, 2))
    click(tables[0].viewport(), row.center())
    until(lambda: set(layer.selected_data) == {chosen}, "selecting the cell of the clicked row")
    shots.take("row-selected")

    before = layer.nshapes
    groove = panel.score._slider
    click(groove, QPoint(int(groove.width() * 0.9), groove.height() // 2))
    for _ in range(8):
        click(groove, QPoint(groove.width() - 4, groove.height() // 2))
    shots.take("filtered")
    if layer.nshapes > before or not (layer.features["score"] >= panel.score.value()).all():
        sys.exit("FAILED: the score slider did not filter")
    print(f"{layer.nshapes} of {before} cells at a score of {panel.score.value():.2f} or more")
    viewer.close()


if __name__ == "__main__":
    main()
