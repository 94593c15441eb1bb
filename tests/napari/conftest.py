"""Tests of the plugin: left out where napari or Qt cannot be loaded; most need no window."""

from __future__ import annotations

import os

import pytest

from bloodfilm.cells import Cells

try:
    import qtpy.QtWidgets  # noqa: F401
    from napari.components import ViewerModel
    from reviewing import as_layer

    from bloodfilm.napari.review import Review
except ImportError as error:
    collect_ignore_glob = ["test_*.py"]
    print(f"The tests of the napari plugin are left out: {error}")


@pytest.fixture
def viewer_model() -> ViewerModel:
    """A viewer without a window."""
    return ViewerModel()


@pytest.fixture
def window(make_napari_viewer_proxy):
    """A real viewer window; skipped where nothing can show one."""
    if os.environ.get("QT_QPA_PLATFORM") == "offscreen":
        pytest.skip("no display and no Xvfb: a napari window cannot be shown")
    return make_napari_viewer_proxy()


@pytest.fixture
def review(cells: Cells) -> Review:
    """A review of three cells; the layer lives as long as it."""
    layer = as_layer(cells)
    review = Review.of(layer)
    review.keep_alive = layer
    return review
