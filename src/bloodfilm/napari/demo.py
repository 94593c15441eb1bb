"""napari with the demo in place."""

from __future__ import annotations

import napari

from bloodfilm.cells import Cells
from bloodfilm.io.images import RGB
from bloodfilm.napari.detect_widget import show_table
from bloodfilm.napari.layers import cells_layer


def show_demo(picture: RGB, cells: Cells) -> None:
    """Open a window with `picture`, its cells, the Detect panel and the table; return when it is closed."""
    viewer = napari.Viewer(title="bloodfilm demo")
    viewer.add_image(picture, name="Synthetic field", rgb=True)
    arguments = cells_layer(cells, "Synthetic field cells", metadata={"picture": "Synthetic field"})
    viewer.add_shapes(arguments.pop("data"), **arguments)
    viewer.window.add_plugin_dock_widget("bloodfilm", "Detect white blood cells")
    show_table(viewer)
    napari.run()
