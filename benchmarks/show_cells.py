"""Pictures of the panel "Look through the cells" for the docs, on a drawn field.

    xvfb-run -a -s "-screen 0 1440x900x24" python benchmarks/show_cells.py --out docs/images
    xvfb-run -a -s "-screen 0 1440x900x24" python benchmarks/show_cells.py LABELS.json --out build/shots

Drawn cells have no readings of a model: their probabilities are drawn by lot. LABELS is a file with cells of yours.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from bloodfilm.cells import Cells, Scale
from bloodfilm.napari.cells_widget import CellsWidget
from bloodfilm.napari.layers import cells_layer
from bloodfilm.synth import draw_field

SIZE = 1440, 900


def drawn() -> tuple[np.ndarray, Cells]:
    picture, cells = draw_field(2400, 1700, white_cells=70, seed=3, red_cell_diameter=58.0)
    rng, n = np.random.default_rng(0), len(cells)
    sure = 1 - rng.beta(1.2, 6, (n, 9))
    scale = Scale((0.129, 0.129), 0.01, 60, True, (1.0, 1.0))
    return picture, replace(
        cells, scores=sure[:, 0], class_scores=sure[:, 1], attribute_scores=sure[:, 2:], scale=scale
    )


def shot(path: Path) -> None:
    """Let the window draw, then save the screen."""
    end = time.monotonic() + 2
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)
    QApplication.primaryScreen().grabWindow(0).save(str(path))
    print(path)


def choose(menu, column: str | None) -> None:
    menu.setCurrentIndex(menu.findData(column))
    menu.activated.emit(menu.currentIndex())


def review_some(panel: CellsWidget) -> None:
    ids = panel.review.ids
    panel.review.accept(ids[4:22:3])
    panel.review.set_class(ids[5:6], "Basophil")
    panel.review.reject(ids[7:8])
    panel.view.stale.click()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", nargs="?", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/shots"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    viewer = napari.Viewer(show=False)
    window = viewer.window._qt_window
    viewer.show()
    window.showNormal()
    window.setGeometry(0, 0, *SIZE)
    if args.labels:
        viewer.open(str(args.labels), plugin="bloodfilm")
    else:
        picture, cells = drawn()
        viewer.add_image(picture, rgb=True, name="field")
        arguments = cells_layer(cells, "field cells")
        viewer.add_shapes(arguments.pop("data"), **arguments)
    _, panel = viewer.window.add_plugin_dock_widget("bloodfilm", "Look through the cells")
    viewer.reset_view()
    layer = panel.cells.layer
    review_some(panel)
    layer.selected_data = {panel.view.gallery.grid.items[3]}
    shot(args.out / "cells.png")
    layer.selected_data = set()
    choose(panel.view.colour, "nuclear_shape")
    choose(panel.view.group, None)
    choose(panel.view.sort, "doubt")
    viewer.reset_view()
    shot(args.out / "cells-doubt.png")
    viewer.close()


if __name__ == "__main__":
    main()
