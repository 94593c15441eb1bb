"""The Cells panel in a real window, by mouse clicks where a user would click."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from napari.layers import Shapes
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QTableView

from bloodfilm.cells import Cells, Field, Scale
from bloodfilm.errors import UserError
from bloodfilm.film.measure import measure
from bloodfilm.napari.cells_widget import CellsWidget
from bloodfilm.napari.gallery.arrangement import Range
from bloodfilm.napari.layers import PICTURE_ID, cells_layer, describe, picture_id, to_rectangles
from bloodfilm.napari.review import Review
from bloodfilm.palette import apart, colour, ramp
from bloodfilm.synth import draw_field
from bloodfilm.vocabulary import LLD

TITLE = "Look through the cells"


def add_cells(viewer, cells: Cells, name: str = "field cells") -> Shapes:
    arguments = cells_layer(cells, name)
    return viewer.add_shapes(arguments.pop("data"), **arguments)


@pytest.fixture
def open_panel(viewer_model, qtbot) -> Iterator[Callable[[], CellsWidget]]:
    """Show the panel on a viewer without a canvas."""
    panels = []

    def show() -> CellsWidget:
        panel = CellsWidget(viewer_model)
        qtbot.addWidget(panel)
        panel.resize(390, 1000)
        with qtbot.waitExposed(panel):
            panel.show()
        panels.append(panel)
        return panel

    yield show
    for panel in panels:
        panel.close()


@pytest.fixture
def shown(viewer_model, open_panel, picture: np.ndarray, cells: Cells) -> tuple[CellsWidget, Shapes]:
    """The panel, beside a picture with three cells: Neutrophil 0.9, unknown 0.5, Myeloblast 0.7."""
    viewer_model.add_image(picture, rgb=True, name="field")
    layer = add_cells(viewer_model, cells)
    return open_panel(), layer


def titles(panel: CellsWidget) -> list[str]:
    return [group.title for group in panel.view.gallery.grid.groups]


def rows(panel: CellsWidget) -> list[int]:
    return [int(row) for group in panel.view.gallery.grid.groups for row in group.rows]


def click(panel: CellsWidget, row: int, qtbot, modifier=Qt.KeyboardModifier.NoModifier) -> None:
    """Click on the tile of a cell with the mouse."""
    gallery = panel.view.gallery
    place = gallery.visualRect(gallery.grid.index(int(gallery.grid.places([row])[0]))).center()
    qtbot.mouseClick(gallery.viewport(), Qt.MouseButton.LeftButton, modifier, place)


def pick(menu, data) -> None:
    menu.setCurrentIndex(menu.findData(data))
    menu.activated.emit(menu.currentIndex())


def on_canvas(window) -> np.ndarray:
    """Return where the middle of the canvas is on the picture."""
    return np.array(window.scene.camera.center[-2:])


def test_cells_stand_in_groups_of_their_type(shown) -> None:
    panel, _ = shown
    assert titles(panel) == ["Myeloblast", "Neutrophil", "unknown type"]
    assert rows(panel) == [2, 0, 1]
    assert "3 cells, 0 reviewed" in panel.view.count.text()


def test_a_click_in_the_gallery_selects_the_cell_and_brings_it_to_the_middle(shown, viewer_model, qtbot) -> None:
    panel, layer = shown
    click(panel, 2, qtbot)
    assert layer.selected_data == {2}
    np.testing.assert_allclose(on_canvas(viewer_model), (120, 25))
    assert panel.panel.type.currentText() == "Myeloblast"
    click(panel, 0, qtbot, Qt.KeyboardModifier.ControlModifier)
    assert layer.selected_data == {0, 2}
    assert panel.panel.type.currentIndex() == -1, "the two are of different types"


def test_a_cell_selected_in_the_table_of_napari_is_shown_everywhere(window, picture, cells: Cells, qtbot) -> None:
    window.add_image(picture, rgb=True, name="field")
    layer = add_cells(window, cells)
    _, panel = window.window.add_plugin_dock_widget("bloodfilm", TITLE)
    _, features = window.window.add_plugin_dock_widget("napari", "Features table widget")
    table = features.findChild(QTableView)
    place = table.visualRect(table.model().index(1, 2)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert layer.selected_data == {1}
    assert panel.view.gallery.rows() == {1}
    np.testing.assert_allclose(on_canvas(window), (65, 125))
    window.window.remove_dock_widget(panel)
    layer.selected_data = {0}
    assert panel.cells is None, "a closed panel has let go of the viewer"


def test_a_cell_clicked_on_the_canvas_is_selected_in_the_gallery_and_nothing_moves(shown, viewer_model) -> None:
    panel, layer = shown
    before = on_canvas(viewer_model)
    drag = panel._during_drag(panel.viewer, type("Press", (), {"type": "mouse_press"}))
    next(drag)
    layer.selected_data = {1}
    assert panel.view.gallery.rows() == {1}
    np.testing.assert_allclose(on_canvas(viewer_model), before)


def test_the_canvas_zooms_to_a_tiny_cell_and_leaves_a_view_that_shows_it_well(shown, viewer_model) -> None:
    _, layer = shown
    viewer_model.scene.camera.zoom = 0.1
    layer.selected_data = {0}
    zoom = viewer_model.scene.camera.zoom
    assert 0.1 < 60 * zoom / min(viewer_model.canvas.size) < 0.6
    layer.selected_data = {1}
    assert viewer_model.scene.camera.zoom == zoom
    viewer_model.scene.camera.zoom = 0.9 * min(viewer_model.canvas.size) / 60
    zoom = viewer_model.scene.camera.zoom
    layer.selected_data = {0}
    assert viewer_model.scene.camera.zoom == zoom, "what fits is not made smaller"


def test_tiles_show_the_picture_at_one_scale(shown, picture: np.ndarray) -> None:
    panel, _ = shown
    sides = {place.side for place in panel.view.places}
    assert len(sides) == 1
    side = round(sides.pop())
    crop = panel.crops.cutter.cut(panel.view.places[1], side)
    top, left = round(65 - side / 2), round(125 - side / 2)
    np.testing.assert_array_equal(crop, picture[top : top + side, left : left + side])
    assert panel.view.tile(1, 80).crop.width() == 80


def test_group_sort_and_filter(shown) -> None:
    panel, _ = shown
    pick(panel.view.group, None)
    assert rows(panel) == [0, 2, 1], "highest score first"
    panel.view.direction.click()
    assert rows(panel) == [1, 2, 0]
    panel.view.filter.set_condition("score", Range(0.6, 1))
    assert rows(panel) == [2, 0]
    assert "2 of 3 cells" in panel.view.count.text()
    assert panel.review.next_unreviewed(panel.review.ids[0]) == panel.review.ids[2], "the next one that is shown"
    panel.view.filter.chips.findChildren(type(panel.view.direction))[-1].click()
    assert rows(panel) == [1, 2, 0]


def test_a_click_on_the_legend_shows_only_that_type(shown) -> None:
    panel, _ = shown

    def chip(word: str):
        return next(c for c in panel.view.legend.findChildren(type(panel.view.direction)) if c.text().startswith(word))

    assert chip("Neutrophil").text().split() == ["Neutrophil", "1"]
    chip("Neutrophil").click()
    assert rows(panel) == [0]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("class", [colour(name, LLD.classes) for name in ("Neutrophil", "unknown type", "Myeloblast")]),
        ("cell_size", [apart(("small", "medium", "large"))["large"], "#f2f2f2", "#f2f2f2"]),
        ("score", [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in (ramp([0.9, 0.5, 0.7]) * 255).astype(int).tolist()]),
        ("review", ["#f2f2f2"] * 3),
    ],
)
def test_boxes_take_the_colours_of_the_column_that_is_chosen(shown, column: str, expected: list[str]) -> None:
    panel, layer = shown
    pick(panel.view.colour, column)
    found = (layer.edge_color[:, :3] * 255).round()
    wanted = np.array([[int(code[i : i + 2], 16) for i in (1, 3, 5)] for code in expected])
    np.testing.assert_allclose(found, wanted, atol=6)


def test_a_type_chosen_in_the_panel_changes_cell_box_and_legend_at_once(shown, qtbot) -> None:
    panel, layer = shown
    click(panel, 2, qtbot)
    panel.panel.type.picked.emit("Monocyte")
    assert layer.features["class"].tolist() == ["Neutrophil", "unknown type", "Monocyte"]
    assert panel.view.tile(2, 80).mark == "changed"
    assert panel.view.tile(2, 80).colour.name() == colour("Monocyte", LLD.classes)
    assert rows(panel) == [2, 0, 1], "it stays where it stood until the user sorts again"
    assert not panel.view.stale.isHidden() and "1 reviewed" in panel.view.count.text()
    panel.view.stale.click()
    assert titles(panel) == ["Neutrophil", "Monocyte", "unknown type"]
    panel.bar.undo.click()
    assert layer.features["class"].tolist() == ["Neutrophil", "unknown type", "Myeloblast"]


def test_an_attribute_is_changed_on_all_selected_cells(shown) -> None:
    panel, layer = shown
    layer.selected_data = {0, 1}
    choice, _ = panel.panel.choices["nucleolus"]
    assert choice.currentIndex() == -1
    panel.panel.attribute_picked.emit("nucleolus", "inconspicuous")
    assert layer.features["nucleolus"].tolist()[:2] == ["inconspicuous"] * 2
    assert choice.currentText() == "inconspicuous"


def test_accept_next_and_reject_go_through_the_cells(shown, qtbot) -> None:
    panel, layer = shown
    click(panel, 0, qtbot)
    for button in (panel.bar.accept, panel.bar.next, panel.bar.reject, panel.bar.doubtful):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert layer.features["review"].tolist() == ["accepted", "rejected", ""]
    assert layer.selected_data == {2}
    assert layer.edge_color[1, 3] < 0.5, "rejected boxes are faint"


def test_a_drawn_cell_comes_into_the_gallery(shown, qtbot) -> None:
    panel, layer = shown
    layer.add(to_rectangles([[120, 100, 160, 140]]), shape_type="rectangle")
    qtbot.waitUntil(lambda: len(rows(panel)) == 4)
    assert (panel.view.places[3].x, panel.view.places[3].y) == (140, 120)


def test_measured_size_is_in_micrometres_where_the_scale_is_known(viewer_model, open_panel, picture, cells) -> None:
    viewer_model.add_image(picture, rgb=True, name="field")
    scale = Scale((0.1, 0.2), 0.01, 30, True, (1, 1))
    layer = add_cells(viewer_model, replace(cells, scale=scale))
    panel = open_panel()
    layer.selected_data = {0}
    assert f"{np.sqrt(50 * 0.1 * 60 * 0.2):.1f} µm across" in panel.panel.facts.text()


def test_crops_of_squeezed_pictures_show_round_cells_round_each_by_its_own_scale(
    viewer_model, open_panel, picture, cells
) -> None:
    stack = np.stack([picture, picture])
    viewer_model.add_image(stack, rgb=True, name="field")
    squeezed = Scale((0.2, 0.1), 0.01, 30, True, (1, 1))
    scaled = replace(cells, scale=squeezed), replace(cells, scale=replace(squeezed, um_per_px=(0.1, 0.1)))
    pictures = {(i,): describe(Field(Path("x"), each, 200, 160)) for i, each in enumerate(scaled)}
    arguments = cells_layer(cells, "field cells", (0,), {"pictures": pictures})
    arguments["data"] = arguments["data"][:2] + to_rectangles(cells.boxes[2:], (1,))
    viewer_model.add_shapes(arguments.pop("data"), **arguments)
    panel = open_panel()
    assert [place.high for place in panel.view.places] == [2, 2, 1]
    place = panel.view.places[1]
    width, height = round(place.side), round(2 * place.side)
    crop = panel.crops.cutter.cut(place, width)
    top, left = round(65 - height / 2), round(125 - width / 2)
    part = picture[top : top + height, left : left + width]
    assert crop.shape == (width, width, 3) and part.shape == (height, width, 3)
    np.testing.assert_allclose(crop.mean((0, 1)), part.mean((0, 1)), atol=2)
    layer = panel.cells.layer
    layer.selected_data = {2}
    sides = np.ptp(cells.boxes[2].reshape(2, 2), axis=0)
    assert f"{np.sqrt(sides.prod()) * 0.1:.1f} µm across" in panel.panel.facts.text()


def test_a_cell_is_measured_beside_what_was_predicted(viewer_model, open_panel, qtbot) -> None:
    picture, cells = draw_field(480, 360, white_cells=3, seed=4)
    tiny = cells.attributes.copy()
    tiny[:, cells.vocabulary.attribute_names.index("cell_size")] = 0
    viewer_model.add_image(picture, rgb=True, name="field")
    scale = Scale((0.2, 0.2), 0.01, 30, True, (1, 1))
    layer = add_cells(viewer_model, replace(cells, scale=scale, attributes=tiny))
    panel = open_panel()
    inside = (cells.boxes > 2).all(1) & (cells.boxes[:, 2:] < [478, 358]).all(1)
    row = int(np.flatnonzero(inside)[0])
    layer.selected_data = {row}
    expected = measure(picture, replace(cells, scale=scale)).iloc[row]
    shown = panel.panel.measures
    qtbot.waitUntil(lambda: "measured" in shown.head.text(), timeout=20_000)
    assert shown.facts["diameter"].text() == f"diameter {expected['cell_diameter_um']:.3g} µm"
    assert "micrometres" in shown.facts["diameter"].toolTip()
    assert "contradicts cell size" in shown.head.toolTip() and panel.panel.titles["cell_size"].toolTip()
    assert "cell_size" in layer.features["contradicted"][row], "the doubt of the cell counts it"
    layer.selected_data = set()
    assert not shown.head.text() and not shown.facts["diameter"].text()


def test_why_a_cell_cannot_be_measured_is_told_once(window, cells: Cells, qtbot) -> None:
    gone = []

    def read(block_info=None):
        if gone:
            raise OSError("The disk is gone.")
        return np.zeros((160, 200), np.uint8)

    data = da.map_blocks(read, chunks=((160,), (200,)), dtype=np.uint8, meta=np.empty((0, 0), np.uint8))
    window.add_image(data, contrast_limits=(0, 255), cache=False, name="field")
    layer = add_cells(window, cells)
    _, panel = window.window.add_plugin_dock_widget("bloodfilm", TITLE)
    gone.append(True)
    with qtbot.captureExceptions() as uncaught:
        layer.selected_data = {0}
        qtbot.waitUntil(lambda: "The disk is gone." in panel.panel.measures.head.toolTip())
    assert uncaught == []
    window.window.remove_dock_widget(panel)


@pytest.mark.parametrize("lazy", [False, True])
def test_of_a_stack_the_picture_of_the_cell_is_shown(viewer_model, open_panel, picture, cells, lazy, qtbot) -> None:
    stack = np.stack([picture, picture[::-1]])
    viewer_model.add_image(da.from_array(stack, chunks=(1, 160, 200, 3)) if lazy else stack, rgb=True, name="field")
    arguments = cells_layer(cells, "field cells", (0,))
    second = to_rectangles(cells.boxes[2:], (1,))
    arguments["data"] = arguments["data"][:2] + second
    viewer_model.add_shapes(arguments.pop("data"), **arguments)
    panel = open_panel()
    click(panel, 2, qtbot)
    assert viewer_model.dims.current_step[0] == 1
    np.testing.assert_allclose(on_canvas(viewer_model), (120, 25))
    pick(panel.view.group, "picture")
    assert titles(panel) == ["picture 0", "picture 1"]
    qtbot.waitUntil(lambda: panel.view.tile(2, 80).crop is not None)


def test_the_panel_follows_the_selected_layer_and_outlives_its_removal(shown, viewer_model, cells: Cells) -> None:
    panel, layer = shown
    second = add_cells(viewer_model, cells[:2], "more cells")
    assert panel.cells.layer is second
    viewer_model.layers.selection.active = viewer_model.layers["field"]
    assert panel.cells.layer is second, "a picture has no cells to show"
    viewer_model.layers.remove("more cells")
    assert panel.cells.layer is layer
    viewer_model.layers.remove("field")
    assert panel.view.tile(0, 80).crop is None
    viewer_model.layers.remove("field cells")
    assert panel.cells is None and not panel.nothing.isHidden()


def test_cells_are_shown_on_no_picture_but_their_own(viewer_model, open_panel, picture, cells, qtbot) -> None:
    own, _ = viewer_model.add_image(picture, name="own"), viewer_model.add_image(picture[::-1], name="other")
    viewer_model.add_shapes(**cells_layer(cells, "own cells", metadata={PICTURE_ID: picture_id(own)}))
    panel = open_panel()
    viewer_model.layers.remove(own)
    qtbot.waitUntil(lambda: "Their picture is not open." in panel.view.count.text())
    click(panel, 0, qtbot)
    assert panel.crops is None and panel.view.tile(0, 80).crop is None, "nor measured on another"


def test_a_picture_that_is_opened_after_its_cells_is_shown(viewer_model, open_panel, picture, cells, qtbot) -> None:
    add_cells(viewer_model, cells)
    panel = open_panel()
    assert "Their picture is not open." in panel.view.count.text()
    viewer_model.add_image(picture, rgb=True)
    qtbot.waitUntil(lambda: "not open" not in panel.view.count.text())
    assert panel.view.tile(0, 80).crop is not None


def test_without_cells_the_panel_says_what_to_do(viewer_model, open_panel, picture: np.ndarray) -> None:
    viewer_model.add_image(picture, rgb=True)
    panel = open_panel()
    assert not panel.nothing.isHidden() and "Detect white blood cells" in panel.nothing.text()
    assert panel.parts.isHidden()


def test_a_layer_of_another_program_is_shown_but_not_edited(viewer_model, open_panel, picture: np.ndarray) -> None:
    viewer_model.add_image(picture, rgb=True)
    viewer_model.add_shapes([[[5, 5], [40, 40]]], features={"class": ["cat"]}, name="foreign")
    panel = open_panel()
    assert titles(panel) == ["cat"]
    assert panel.bar.isHidden() and not panel.panel.isEnabled()
    pick(panel.view.colour, "class")
    with pytest.raises(UserError, match="foreign does not show cells that bloodfilm found or read"):
        Review.of(viewer_model.layers["foreign"])


def test_opening_the_panel_loads_no_torch() -> None:
    code = """
import sys
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
from bloodfilm.napari.cells_widget import CellsWidget
application = QApplication([])
panel = CellsWidget(ViewerModel())
sys.exit("torch" in sys.modules)
"""
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0
