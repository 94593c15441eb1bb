"""Fixtures shared by all tests; every test runs without a network and on the CPU."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NAPARI_ASYNC", "0")

import copy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from bloodfilm.cells import Cells, Field
from bloodfilm.vocabulary import LLD

if TYPE_CHECKING:
    from bloodfilm.nets.attridet import AttriDet

DISPLAY = sys.platform != "linux" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))) or shutil.which("Xvfb")
if not DISPLAY:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Go without pytest-qt where Qt's system libraries are missing: it would end the whole run."""
    try:
        import qtpy.QtWidgets  # noqa: F401
    except ImportError:
        pluginmanager.set_blocked("pytest-qt")


@pytest.fixture(autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the journals of pictures that are no files where no other test and no user sees them."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setattr("bloodfilm.review.journal.user_state_path", lambda *_, **__: folder)
    return folder


UNTAUGHT_CLASS, UNTAUGHT_ATTRIBUTE = "Monoblast", "nucleolus"


@pytest.fixture
def cells() -> Cells:
    """Three cells: a typed one with all attributes, one of unknown type, one without attributes."""
    return Cells(
        boxes=[[10, 20, 60, 80], [100, 40, 150, 90], [5, 100, 45, 140]],
        codes=[LLD.class_code("Neutrophil"), -1, LLD.class_code("Myeloblast")],
        scores=[0.9, 0.5, 0.7],
        class_scores=[0.8, np.nan, 0.6],
        attributes=[[2, 1, 0, 1, 0, 1, 0], [-1, 0, -1, -1, 1, -1, -1], [-1] * 7],
        attribute_scores=[[0.9] * 7, [np.nan, 0.7, np.nan, np.nan, 0.6, np.nan, np.nan], [np.nan] * 7],
    )


@pytest.fixture
def picture() -> np.ndarray:
    """A picture (160, 200, 3) of noise."""
    return np.random.default_rng(0).integers(0, 256, (160, 200, 3), dtype=np.uint8)


@pytest.fixture
def write_picture(tmp_path: Path, picture: np.ndarray) -> Callable[[str], Path]:
    """Write the picture under a name below the test's folder."""

    def write(name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
        return path

    return write


@pytest.fixture
def field(cells: Cells, write_picture: Callable[[str], Path]) -> Field:
    """A field on disk with the three cells and one that is to be ignored."""
    path = write_picture("images/field.png")
    ignored = np.array([[160, 100, 190, 130]], np.float32)
    return Field(path, cells, 200, 160, ignored, "test", "images/field.png")


@pytest.fixture(scope="session")
def network() -> AttriDet:
    """An untrained network that finds dozens of cells of many kinds on noise; copy it before changing it."""
    import torch
    from torch import nn

    from bloodfilm.nets.attridet import AttriDet

    torch.manual_seed(0)
    network = AttriDet("n").train()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
        images = torch.rand(4, 3, 96, 96, generator=torch.Generator().manual_seed(0))
        corner = torch.arange(0.0, 64.0, 4)
        rois = torch.stack((corner // 16, corner, corner, corner + 12, corner + 20), 1)
        network.detector(images)
        network.attributes(images, rois)
        network.refiner(images, rois)
        for norm in norms:
            norm.momentum = 0.03
        for conv in network.detector.detect.m:
            weight, bias = conv.weight.view(3, 19, -1), conv.bias.view(3, 19)
            weight[:, :5] *= 2.5
            bias[:, 4], bias[:, 5:] = -3.5, -0.6
        logits = network.eval().attributes(images, rois)
        last, spread = network.attributes.last, 3 / logits.std(0)
        last.weight *= spread[:, None]
        last.bias.copy_((last.bias - logits.mean(0)) * spread)
    return network


@pytest.fixture(scope="session")
def checkpoint(network: AttriDet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as a file, for pictures of 96 px; its card leaves out one class and one attribute."""
    from bloodfilm.nets.checkpoint import Card, save

    path = tmp_path_factory.mktemp("models") / "untrained.safetensors"
    card = Card(
        name="untrained",
        image_size=96,
        classes=[name for name in LLD.classes if name != UNTAUGHT_CLASS],
        attributes=[name for name in LLD.attribute_names if name != UNTAUGHT_ATTRIBUTE],
    )
    save(path, copy.deepcopy(network), card)
    return path


@pytest.fixture(scope="session")
def lld(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn Large Leukemia Dataset of 14 fields a subset, 4 of them in test, with all faults; read it only."""
    from bloodfilm.synth.lld import write_lld

    root = tmp_path_factory.mktemp("data") / "lld"
    write_lld(root, 14)
    return root
