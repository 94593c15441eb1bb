from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.plugins import menu_item_template
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name

import bloodfilm

MANIFEST = PluginManifest.from_file(Path(bloodfilm.__file__).parent / "napari.yaml")


def test_the_manifest_at_the_top_is_the_one_in_the_package() -> None:
    top = Path(__file__).parents[2] / "napari.yaml"
    assert top.read_text() == (Path(bloodfilm.__file__).parent / "napari.yaml").read_text()


@pytest.mark.parametrize("command", MANIFEST.contributions.commands, ids=lambda command: command.id)
def test_every_command_leads_to_something_callable(command) -> None:
    assert callable(import_python_name(command.python_name))


@pytest.mark.parametrize("page", ["README.md", "docs/napari.md"])
def test_the_docs_name_the_menu_entries_of_napari(page: str) -> None:
    text = " ".join((Path(__file__).parents[2] / page).read_text().split())
    widgets = MANIFEST.contributions.widgets
    assert len(widgets) > 1, "napari has a submenu for several only"
    entry = menu_item_template.format(MANIFEST.display_name, widgets[0].display_name)
    assert f"Plugins → {MANIFEST.display_name} → {entry}" in text
    assert "Open Sample → bloodfilm" not in text


def test_the_sample_is_an_rgb_picture() -> None:
    from bloodfilm.napari.sample import synthetic_field

    data, arguments, kind = synthetic_field()[0]
    layer = ViewerModel().add_image(data, **arguments)
    assert kind == "image"
    assert layer.rgb
    assert np.asarray(data).dtype == np.uint8


def test_opening_the_panels_loads_no_torch() -> None:
    code = """
import sys
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
import bloodfilm.napari.reader, bloodfilm.napari.writer, bloodfilm.napari.sample
from bloodfilm.napari.detect_widget import DetectWidget
from bloodfilm.napari.train_widget import TrainWidget
application = QApplication([])
panels = [DetectWidget(ViewerModel()), TrainWidget(ViewerModel())]
sys.exit("torch" in sys.modules)
"""
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0
