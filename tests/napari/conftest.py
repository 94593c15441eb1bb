"""Tests of the plugin: skipped where napari or Qt cannot be loaded; most need no window."""

from __future__ import annotations

import pytest

pytest.importorskip("napari", reason="napari is not installed (extra gui)", exc_type=ImportError)
pytest.importorskip("qtpy.QtWidgets", reason="Qt cannot be loaded here", exc_type=ImportError)

from napari.components import ViewerModel


@pytest.fixture
def viewer_model() -> ViewerModel:
    """A viewer without a window."""
    return ViewerModel()
