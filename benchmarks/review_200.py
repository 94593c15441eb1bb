"""Review 200 cells in a real napari window by real key presses, take all back, make all again; move, draw, delete.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/review_200.py LABELS --out build/review

LABELS is a COCO file or a folder of LLD whose pictures hold as many cells. Without it, synthetic fields are drawn.
What the cells have to be after each step is calculated apart from the program under test. Writes screenshots and
ends with 1 if a step does not do what it should. Needs ``xdotool``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import napari
import numpy as np
import pandas as pd
from PIL import Image
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QWidget

from bloodfilm.cells import Field
from bloodfilm.io.coco import write_coco
from bloodfilm.napari.review import Review
from bloodfilm.synth import draw_field
from click_through import Shots, open_window, rest, until

TYPES = {"shift+a": "Neutrophil", "shift+s": "Lymphocyte", "shift+q": "Myeloblast"}
NEXT = {"inconspicuous": "prominent"}
PRESSES = ("y", "shift+a", "j", "shift+s", "shift+o", "shift+q", "y")


def synthetic(folder: Path, cells: int) -> Path:
    """Draw fields with at least as many cells; return their label file."""
    fields: list[Field] = []
    while sum(len(field.cells) for field in fields) < cells:
        picture, truth = draw_field(960, 720, white_cells=20, seed=len(fields))
        path = folder / f"field-{len(fields)}.png"
        Image.fromarray(picture).save(path)
        fields.append(Field(path, truth, picture.shape[1], picture.shape[0], name=path.name))
    write_coco(folder / "fields.json", fields)
    return folder / "fields.json"


def decided(row: pd.Series, key: str) -> dict[str, str]:
    """Return what a key makes of a cell, calculated apart from the program."""
    if key in ("y", "j"):
        return {"review": "accepted" if key == "y" else "rejected"}
    column, word = ("class", TYPES[key]) if key in TYPES else ("nucleolus", NEXT.get(row["nucleolus"], "inconspicuous"))
    return {column: word, "review": "accepted" if row[column] == word else "changed"}


class Window:
    """The window and its real keyboard and mouse."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self.viewer = viewer
        self.canvas: QWidget = viewer.window._qt_viewer.canvas.native
        self.seconds: list[float] = []

    def focus(self) -> None:
        """Give the keyboard to the canvas."""
        subprocess.run(["xdotool", "windowfocus", str(int(self.viewer.window._qt_window.winId()))], check=True)
        self.canvas.setFocus()
        rest(0.3)

    def press(self, key: str, done, what: str) -> None:
        """Press `key` and wait until that is done."""
        begin = time.perf_counter()
        subprocess.run(["xdotool", "key", key], check=True)
        until(done, what)
        self.seconds.append(time.perf_counter() - begin)

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Drag the mouse between two places, in pixels from the middle of the canvas."""
        middle = self.canvas.rect().center()
        places = [self.canvas.mapToGlobal(middle + QPoint(*place)) for place in (start, end)]
        for *action, place in (
            ("mousemove", places[0]),
            ("mousedown", None),
            ("mousemove", places[1]),
            ("mouseup", None),
        ):
            where = [str(place.x()), str(place.y())] if place is not None else ["1"]
            subprocess.run(["xdotool", *action, *where], check=True)
            rest(0.4)


def review_all(window: Window, review: Review, count: int) -> None:
    """Review `count` cells, two keys each."""
    for number, cell in enumerate(review.ids[:count]):
        window.press("n", lambda cell=cell: review.selected == [cell], f"going to cell {number + 1}")
        key, row = PRESSES[number % len(PRESSES)], review.layer.features.iloc[number]
        wanted = decided(row, key)
        window.press(
            key,
            lambda number=number, wanted=wanted: all(
                review.layer.features[name][number] == word for name, word in wanted.items()
            ),
            f"{key} on cell {number + 1}: {wanted}",
        )


def step_back_and_forth(window: Window, review: Review, count: int, before: pd.DataFrame) -> None:
    after, history = review.layer.features.copy(), review.session.history
    for left in range(count - 1, -1, -1):
        window.press("ctrl+z", lambda left=left: len(history.done) == left, f"undo to edit {left}")
    pd.testing.assert_frame_equal(review.layer.features, before)
    for made in range(1, count + 1):
        window.press("ctrl+shift+z", lambda made=made: len(history.done) == made, f"redo of edit {made}")
    pd.testing.assert_frame_equal(review.layer.features, after)


def move_draw_delete(window: Window, review: Review, shots: Shots) -> None:
    """Move, draw and delete with napari's own tools, and take each back by key."""
    layer, viewer = review.layer, window.viewer
    review.go_to(review.ids[0])
    viewer.scene.camera.zoom = 2
    rest()
    features, shapes = layer.features.copy(), [shape.copy() for shape in layer.data]
    steps = {
        "move": lambda: window.drag((0, 0), (60, 40)),
        "add": lambda: (
            window.press("r", lambda: layer.mode == "add_rectangle", "r"),
            window.drag((90, 90), (170, 160)),
        ),
        "delete": lambda: window.press("Delete", lambda: layer.nshapes == len(shapes) - 1, "Delete"),
    }
    for what, step in steps.items():
        layer.mode = "select"
        layer.selected_data = {0}
        window.focus()
        step()
        until(lambda what=what: review.can_undo == what, what)
        shots.take(what)
        window.focus()
        window.press("ctrl+z", lambda what=what: review.can_redo == what, f"undo of {what}")
        pd.testing.assert_frame_equal(layer.features, features)
        assert all(np.array_equal(a, b) for a, b in zip(layer.data, shapes, strict=True)), what


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", nargs="?", type=Path)
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("build/review"))
    args = parser.parse_args()
    shots = Shots(args.out)
    folder = tempfile.TemporaryDirectory()
    labels = args.labels or synthetic(Path(folder.name), args.cells)

    viewer = open_window()
    layers = viewer.open(str(labels), plugin="bloodfilm")
    layer = max((each for each in layers if "class" in getattr(each, "features", ())), key=lambda each: each.nshapes)
    if layer.nshapes < args.cells:
        sys.exit(f"{labels}: the pictures of one size hold {layer.nshapes} cells; {args.cells} are needed.")
    for each in viewer.layers:
        each.visible = each.name in (layer.name, layer.name.removesuffix(" cells"))
    viewer.window.add_plugin_dock_widget("bloodfilm", "Review cells")
    viewer.layers.selection.active = layer
    layer.mode = "select"
    review = Review.of(layer, viewer)
    rest(2)
    shots.take("opened")

    window = Window(viewer)
    window.focus()
    before = layer.features.copy()
    review_all(window, review, args.cells)
    viewer.reset_view()
    rest()
    shots.take("reviewed")
    counts = layer.features["review"].iloc[: args.cells].value_counts()
    print(f"{args.cells} cells reviewed by {len(window.seconds)} keys: {counts[counts > 0].to_dict()}")
    step_back_and_forth(window, review, args.cells, before)
    print(f"all undone and redone; {1000 * np.median(window.seconds):.0f} ms from a key to its effect (median)")
    move_draw_delete(window, review, shots)
    print("a box moved, one drawn, one deleted with napari's tools, each taken back")
    review.session.saved()
    viewer.close()


if __name__ == "__main__":
    main()
