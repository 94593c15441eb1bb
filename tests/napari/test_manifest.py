from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from npe2 import PluginManifest

import bloodfilm

MANIFEST = PluginManifest.from_file(Path(bloodfilm.__file__).parent / "napari.yaml")


def test_the_manifest_at_the_top_is_the_one_in_the_package() -> None:
    top = Path(__file__).parents[2] / "napari.yaml"
    assert top.read_text() == (Path(bloodfilm.__file__).parent / "napari.yaml").read_text()


@pytest.mark.parametrize("command", MANIFEST.contributions.commands, ids=lambda command: command.id)
def test_every_command_leads_to_something_callable(command) -> None:
    assert callable(command.get_callable())


def test_the_sample_is_an_rgb_picture() -> None:
    from bloodfilm.napari.sample import synthetic_field

    data, arguments, kind = synthetic_field()[0]
    layer = ViewerModel().add_image(data, **arguments)
    assert kind == "image"
    assert layer.rgb
    assert np.asarray(data).dtype == np.uint8


def test_importing_the_plugin_loads_no_torch() -> None:
    code = (
        "import sys, bloodfilm.napari.detect_widget, bloodfilm.napari.reader, bloodfilm.napari.writer, "
        "bloodfilm.napari.sample; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
