"""The whole way to a model for one's own microscope in a real napari window, by real clicks: label, train, use.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/fine_tune_click_through.py PICTURES... --out build/shots

Writes a screenshot of each step, fails if a step does not do what a user would see, and tells how long the window did
not answer while it trained, and how long a stop took. Without PICTURES it takes drawn fields. Needs ``xdotool``.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import napari
import numpy as np
from PIL import Image
from qtpy.QtCore import QPoint, QTimer
from qtpy.QtWidgets import QWidget

from bloodfilm.synth import draw_field
from click_through import Shots, act, click, open_window, rest, until

FIELDS = 4

Box = tuple[float, float, float, float]


def drawn_fields(folder: Path) -> list[Path]:
    """Return pictures of drawn fields, as of another microscope: darker, and with a colour cast."""
    paths = []
    for seed in range(FIELDS):
        picture = draw_field(seed=40 + seed)[0] * np.array([0.62, 0.68, 0.85])
        paths.append(folder / f"field {seed + 1}.png")
        Image.fromarray(picture.astype(np.uint8)).save(paths[-1])
    return paths


class Canvas:
    """Where things lie on the screen."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self.viewer = viewer
        self.native: QWidget = viewer.window._qt_window._qt_viewer.canvas.native

    def place(self, x: float, y: float) -> QPoint:
        camera = self.viewer.scene.camera
        middle, (cy, cx) = self.native.rect().center(), camera.center[-2:]
        at = QPoint(round(middle.x() + (x - cx) * camera.zoom), round(middle.y() + (y - cy) * camera.zoom))
        return self.native.mapToGlobal(at)

    def drag(self, box: Box) -> None:
        """Draw a box with the real pointer."""
        start, end = self.place(*box[:2]), self.place(*box[2:])
        act("mousemove", start.x(), start.y(), "mousedown", 1)
        for part in (0.3, 0.7, 1.0):
            at = start + (end - start) * part
            act("mousemove", at.x(), at.y())
        act("mouseup", 1)

    def delete(self, x: float, y: float) -> None:
        """Select the shape that lies there and press Delete."""
        act("key", 5)
        click(self.native, self.native.mapFromGlobal(self.place(x, y)))
        act("key", "Delete")


@contextmanager
def ticking() -> Iterator[list[float]]:
    """Give the times in seconds at which a timer of 10 ms ticked."""
    ticks = [time.perf_counter()]
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    timer.start(10)
    yield ticks
    timer.stop()


def write_number(box: QWidget, value: int) -> None:
    """Type a number into a field."""
    click(box, QPoint(box.width() // 2, box.height() // 2))
    act("key", "ctrl+a")
    act("type", value)


def rectangles(viewer: napari.Viewer, name: str) -> np.ndarray:
    """Return x0, y0, x1, y1 (N, 4) of the shapes of a layer."""
    corners = np.array([shape[:, -2:] for shape in viewer.layers[name].data]).reshape(-1, 4, 2)
    return np.concatenate((corners.min(1)[:, ::-1], corners.max(1)[:, ::-1]), 1)


def cell_to_label(viewer: napari.Viewer, image: napari.layers.Image) -> tuple[Box, Box]:
    """Return the box of a cell found on `image`, with the least of it in a region, and what is around it."""
    cells, regions = rectangles(viewer, f"{image.name} cells"), rectangles(viewer, f"{image.name} labelled regions")
    sides = np.minimum(cells[:, None, 2:], regions[:, 2:]) - np.maximum(cells[:, None, :2], regions[:, :2])
    cell = cells[sides.clip(min=0).prod(2).sum(1).argmin()]
    height, width = image.data.shape[:2]
    margin = 0.4 * (cell[2:] - cell[:2])
    around = np.concatenate((cell[:2] - margin, cell[2:] + margin)).clip(2, np.tile((width - 2, height - 2), 2))
    return tuple(cell.tolist()), tuple(around.tolist())


def label(panel: Any, viewer: napari.Viewer, shots: Shots) -> None:
    section, canvas = panel.label, Canvas(viewer)
    click(section.suggest)
    until(lambda: section.choice.isVisible(), "a suggestion")
    shots.take("suggested")
    for _ in range(len(section.suggestions.proposals)):
        click(section.go)
        click(section.accept)
    shots.take("labelled")
    image = section.images[0]
    click(section.pictures.viewport(), section.pictures.visualItemRect(section.pictures.item(0)).center())
    click(section.draw_region)
    viewer.reset_view()
    rest()
    regions = sum(layer.nshapes for layer in viewer.layers if layer.name.endswith("labelled regions"))
    cell, around = cell_to_label(viewer, image)
    canvas.drag(around)
    if sum(layer.nshapes for layer in viewer.layers if layer.name.endswith("labelled regions")) != regions + 1:
        sys.exit("FAILED: no region was drawn")
    click(section.draw_cells)
    canvas.delete((cell[0] + cell[2]) / 2, (cell[1] + cell[3]) / 2)
    click(section.draw_cells)
    before = viewer.layers.selection.active.nshapes
    canvas.drag(cell)
    if viewer.layers.selection.active.nshapes != before + 1:
        sys.exit("FAILED: no cell was boxed")
    rest()
    shots.take("drawn")


def train(panel: Any, shots: Shots, rounds: int) -> None:
    run = panel.run
    write_number(panel.options.rounds, rounds)
    with ticking() as pressed:
        click(run.train)
        until(lambda: run.words.text().startswith("Round"), "the first step")
    with ticking() as ticks:
        until(lambda: len(run.job.rows) >= 4, "four rounds")
        shots.take("training")
        ticks.append(math.nan)
        click(run.pause)
        rest(1)
        shots.take("paused")
        ticks.append(math.nan)
        click(run.pause)
        until(lambda: len(run.job.rows) >= 6, "six rounds")
        job, begin = run.job, time.perf_counter()
        click(run.stop)
        until(lambda: bool(job.model), "the stop")
        stopped = time.perf_counter() - begin - 0.8
        until(lambda: run.result.isVisible(), "a result")
    for when, times in (("after Train was pressed", pressed), ("while it trained, screenshots aside", ticks)):
        gaps = 1000 * np.diff(times)
        print(f"{when}: longest gap {np.nanmax(gaps):.0f} ms, 99 % below {np.nanquantile(gaps, 0.99):.0f} ms")
    print(f"stopped after {stopped:.1f} s; {run.result.words.text()}")
    print(*(caption.text() for caption in run.result.captions), sep="\n")
    rest()
    panel.area.ensureWidgetVisible(run.result.use)
    shots.take("result")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="*", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/shots"))
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BLOODFILM_HOME"] = str(Path(folder) / "home")
        shots = Shots(args.out)
        viewer = open_window()
        for path in args.pictures or drawn_fields(Path(folder)):
            viewer.open(str(path), plugin="napari")
        _, panel = viewer.window.add_plugin_dock_widget("bloodfilm", "Fine-tune on a new microscope")
        rest(2)
        viewer.reset_view()
        shots.take("opened")
        label(panel, viewer, shots)
        train(panel, shots, args.rounds)
        model = panel.run.result.model
        click(panel.run.result.use)
        _, detect = viewer.window.add_plugin_dock_widget("bloodfilm", "Detect white blood cells")
        if detect.model.currentText() != model:
            sys.exit("FAILED: the new model is not chosen in the Detect panel")
        layers = len(viewer.layers)
        click(detect.button)
        until(lambda: len(viewer.layers) > layers, "detection with the new model")
        shots.take("detected")
        print(f"{viewer.layers[-1].nshapes} cells with {model}")
        viewer.close()


if __name__ == "__main__":
    main()
