"""Measures the cell that is shown, in another thread."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from bloodfilm.errors import UserError
from bloodfilm.napari.background import background
from bloodfilm.napari.gallery.measures import Measured, measuring

if TYPE_CHECKING:
    from napari.layers import Image

    from bloodfilm.napari.gallery.layer_cells import LayerCells


class Measurer(QObject):
    """Measures one cell at a time; what comes when another is wanted is dropped."""

    measured = Signal(object, object)
    """The row of a cell and what is `Measured` of it; both None where nothing is known of what is shown now."""

    def __init__(self) -> None:
        super().__init__()
        self._wanted: tuple[Any, ...] | None = None

    def want(self, image: Image | None, cells: LayerCells, row: int | None) -> None:
        """Measure the cell of `row` on `image`, if it is not the one that was wanted last, as it is now."""
        wanted = None if row is None or image is None else (image, *_seen(cells, row))
        if wanted == self._wanted:
            return
        self._wanted = wanted
        self.measured.emit(None, None)
        if wanted is None:
            return
        try:
            job = measuring(image, cells, row)
        except UserError:
            return
        tell = partial(self._tell, wanted, row)
        background(job, tell, lambda words: tell(Measured({}, [], words))).start()

    def forget(self) -> None:
        """Drop what comes."""
        self._wanted = None

    def _tell(self, wanted: tuple[Any, ...], row: int, found: Measured) -> None:
        if wanted == self._wanted:
            self.measured.emit(row, found)


def _seen(cells: LayerCells, row: int) -> tuple[Any, ...]:
    """Return what of a cell a measurement and its verdict depend on."""
    features = cells.layer.features
    words = [str(features[name].iloc[row]) for name in cells.vocabulary.attribute_names if name in features]
    return id(cells), row, cells.corners[row].tobytes(), *words
