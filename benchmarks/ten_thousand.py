"""10,000 cells in a real napari window: add them, select one in the table, change one type, scroll the gallery.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/ten_thousand.py

Prints a Markdown table, medians of several: the time until the event is handled, until the window is drawn anew, and
what the processor worked for it on all threads, which tells if something else kept it busy meanwhile.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from bloodfilm.cells import Cells
from bloodfilm.napari.layers import cells_layer
from bloodfilm.synth import draw_field
from bloodfilm.vocabulary import LLD

SIDE = 720
TIMES = 15


def many_cells(count: int) -> tuple[np.ndarray, Cells]:
    """Return a field repeated in rows and columns, and `count` cells on it with readings of all kinds."""
    field, truth = draw_field(SIDE, SIDE, white_cells=16, seed=1, red_cell_diameter=46.0)
    across = int(np.ceil(np.sqrt(count / len(truth))))
    corners = np.array([(x, y) for y in range(across) for x in range(across)], np.float32) * SIDE
    rng = np.random.default_rng(0)
    boxes = (truth.boxes[None] + np.tile(corners, 2)[:, None]).reshape(-1, 4)[:count]
    values = np.array(LLD.value_counts)
    cells = Cells(
        boxes,
        codes=rng.integers(0, len(LLD.classes), count),
        scores=rng.uniform(0.3, 1, count),
        class_scores=rng.uniform(0.3, 1, count),
        attributes=rng.integers(0, values, (count, len(values))),
        attribute_scores=rng.uniform(0.5, 1, (count, len(values))),
    )
    return np.tile(field, (across, across, 1)), cells


def settle() -> None:
    """Draw until nothing waits to be drawn."""
    for _ in range(3):
        QApplication.sendPostedEvents()
        QApplication.processEvents()


Times = tuple[float, float, float]


def timed(act: Callable[[], object]) -> Times:
    """Return the milliseconds until `act` is back, until all is drawn, and of work until then."""
    start, worked = time.perf_counter(), time.process_time()
    act()
    back = time.perf_counter()
    settle()
    return tuple(1e3 * t for t in (back - start, time.perf_counter() - start, time.process_time() - worked))


def row(what: str, times: list[Times], wanted: str) -> str:
    return f"| {what} | {' | '.join(f'{median(values):.0f} ms' for values in zip(*times, strict=True))} | {wanted} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000)
    count = parser.parse_args().cells

    picture, cells = many_cells(count)
    viewer = napari.Viewer(show=False)
    viewer.window._qt_window.resize(1400, 900)
    viewer.show()
    viewer.add_image(picture, rgb=True, name="film")
    lines = ["| what | handled in | drawn in | processor time | wanted |", "|---|---|---|---|---|"]

    arguments = cells_layer(cells, "film cells")
    data = arguments.pop("data")
    edits = iter(range(0, count, count // (7 * TIMES)))
    settle()
    add = timed(lambda: viewer.add_shapes(data, **arguments))
    lines.append(row(f"napari alone: add {count} cells", [add], ""))
    alone = viewer.layers["film cells"]
    alone.mode = "select"
    settle()
    select = [timed(lambda: setattr(alone, "selected_data", {next(edits)})) for _ in range(TIMES)]
    lines.append(row("napari alone: select a cell", select, ""))
    viewer.layers.remove(alone)

    _, panel = viewer.window.add_plugin_dock_widget("bloodfilm", "Look through the cells")
    settle()
    add = timed(lambda: viewer.add_shapes(data, **arguments))
    lines.append(row(f"add {count} cells, gallery included", [add], "2 s"))
    layer = viewer.layers["film cells"]
    layer.mode = "select"
    settle()

    gallery, ids = panel.view.gallery, panel.review.ids
    bar = gallery.verticalScrollBar()
    steps = [timed(lambda: bar.setValue(bar.value() + 60)) for _ in range(60)]
    lines.append(row("scroll the gallery by 60 px", steps, "33 ms (30 frames per second)"))

    select = [timed(lambda: setattr(layer, "selected_data", {next(edits)})) for _ in range(TIMES)]
    lines.append(row("select a cell", select, ""))
    change = [timed(lambda: panel.review.set_class([ids[next(edits)]], "Monocyte")) for _ in range(TIMES)]
    lines.append(row("change the type of a cell", change, "100 ms"))
    undo = [timed(panel.review.undo) for _ in range(TIMES)]
    lines.append(row("undo it", undo, ""))

    _, features = viewer.window.add_plugin_dock_widget("napari", "Features table widget")
    settle()
    pick = [timed(lambda: features.table.selectRow(next(edits))) for _ in range(TIMES)]
    lines.append(row("select a row of napari's table", pick, "100 ms"))
    change = [timed(lambda: panel.review.set_class([ids[next(edits)]], "Monocyte")) for _ in range(TIMES)]
    lines.append(row("change a type with that table open", change, "100 ms"))
    print("\n".join(lines))
    viewer.close()


if __name__ == "__main__":
    main()
