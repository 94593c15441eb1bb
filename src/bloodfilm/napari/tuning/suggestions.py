"""Where to label next, in a viewer: search the pictures, show the best patches, take or skip them one by one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from bloodfilm.cells import Cells, inside
from bloodfilm.detection.process import DetectionProcess
from bloodfilm.napari.background import background
from bloodfilm.napari.layers import METADATA_KEY, spatial, to_boxes, to_rectangles
from bloodfilm.napari.pictures import field_of, pixel_size
from bloodfilm.napari.review import Review
from bloodfilm.napari.tuning.fields import Index, Labelled, add_cells, add_regions, collect, indices, pixels
from bloodfilm.training.proposals import LOWEST_SCORE, Proposal, propose
from bloodfilm.weights import MIN_SCORE

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

KEY = "bloodfilm_suggestions"
MAX_SEARCHED = 100
"""Pictures of a stack that are searched at most, evenly over it."""


class _Picture:
    """A picture that may get a patch to label."""

    def __init__(self, image: Image, index: Index) -> None:
        self.image, self.index = image, index
        about = field_of(image, index)
        self.width, self.height = about.width, about.height


class Suggestions(QObject):
    """Patches that are worth labelling.

    Attributes
    ----------
    progressed : Signal(int, int)
        Pictures that were searched, of how many.
    ready : Signal()
        `proposals` are there, the best first; on each image whose cells nobody labelled there is a layer of cells now,
        with what the model found.
    failed : Signal(str)
    """

    progressed = Signal(int, int)
    ready = Signal()
    failed = Signal(str)

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = viewer
        self.proposals: list[tuple[Proposal, Image, Index]] = []
        self.searching = False
        self._process = DetectionProcess()
        self._stop = threading.Event()
        self._found: dict[tuple[Image, Index], Cells] = {}
        self._skipped: list[tuple[Image, Index, Any]] = []

    def search(self, images: Sequence[Image], model: str, device: str, number: int) -> None:
        """Search the pictures of `images` for the `number` best patches, off the window's thread."""
        pictures = [_Picture(image, index) for image in images for index in _evenly(indices(image))]
        self.searching = True
        self._stop.clear()

        def run() -> list[Cells] | None:
            found = []
            for count, each in enumerate(pictures):
                self.progressed.emit(count, len(pictures))
                picture, size = pixels(each.image, each.index), pixel_size(each.image)
                stop = self._stop.is_set
                outcome = self._process.detect(picture, model, device, LOWEST_SCORE, None, stop, size)
                if outcome is None:
                    return None
                found.append(outcome.cells)
            return found

        background(run, lambda found: self._on_found(found, images, pictures, number), self._fail).start()

    def _on_found(
        self, found: list[Cells] | None, images: Sequence[Image], pictures: Sequence[_Picture], number: int
    ) -> None:
        self.searching = False
        if found is None:
            self._fail("")
            return
        there = [(each, cells) for each, cells in zip(pictures, found, strict=True) if each.image in self.viewer.layers]
        pictures, found = [each for each, _ in there], [cells for _, cells in there]
        images = [image for image in images if image in self.viewer.layers]
        self._found = {(each.image, each.index): cells[cells.scores >= MIN_SCORE] for each, cells in there}
        for image in images:
            add_cells(self.viewer, image, {index: cells for (on, index), cells in self._found.items() if on is image})
        labelled = collect(self.viewer, images)
        taken = [self._taken(each, labelled) for each in pictures]
        chosen = propose(pictures, found, number, taken=taken)
        self.proposals = [(each, pictures[each.field].image, pictures[each.field].index) for each in chosen]
        self._draw()
        self.ready.emit()

    def _fail(self, message: str) -> None:
        self.searching = False
        self.failed.emit(message)

    def _taken(self, picture: _Picture, labelled: Sequence[Labelled]) -> Any:
        """Return the rectangles of a picture that are labelled or were skipped; all of one labelled everywhere."""
        place = picture.image, picture.index
        taken = [np.array([box]) for *at, box in self._skipped if tuple(at) == place]
        for each in labelled:
            if (each.image, each.index) == place:
                regions = each.field.labelled_regions
                whole = np.array([[0, 0, picture.width, picture.height]])
                taken.append(whole if regions is None else regions)
        return np.concatenate([np.empty((0, 4)), *taken])

    def accept(self) -> int:
        """Make the first proposal a labelled region, with all of each cell in it; return how many these are."""
        proposal, image, index = self.proposals.pop(0)
        self._prefill(proposal, image, index)
        cells = self._cells_in(proposal, image, index)
        parts = np.vstack((proposal.region, cells))
        low, high = parts[:, :2].min(0), parts[:, 2:].max(0)
        layer = add_regions(self.viewer, image)
        layer.add(to_rectangles([[*low, *high]], index), shape_type="rectangle", edge_color="white")
        self._draw()
        return len(cells)

    def skip(self) -> None:
        """Give up the first proposal; it is not made again."""
        proposal, image, index = self.proposals.pop(0)
        self._skipped.append((image, index, proposal.region))
        self._draw()

    def _draw(self) -> None:
        """Show the proposals that are left, each on its image."""
        for layer in [layer for layer in self.viewer.layers if KEY in layer.metadata]:
            self.viewer.layers.remove(layer)
        images = dict.fromkeys(image for _, image, _ in self.proposals if image in self.viewer.layers)
        active = self.viewer.layers.selection.active
        for image in images:
            drawn = [
                shape
                for each, on, index in self.proposals
                if on is image
                for shape in to_rectangles([each.region], index)
            ]
            self.viewer.add_shapes(
                drawn,
                shape_type="rectangle",
                name=f"{image.name} suggested regions",
                edge_color="#e0a030",
                edge_width=2,
                face_color="#e0a03018",
                metadata={KEY: True, METADATA_KEY: {"picture": image.name}},
                **spatial(image),
            )
        if active in self.viewer.layers:
            self.viewer.layers.selection.active = active

    def _prefill(self, proposal: Proposal, image: Image, index: Index) -> None:
        """Add what the model found in a proposal where no cell is drawn yet, untyped if the labels have other types."""
        found, layer = self._found[image, index], add_cells(self.viewer, image)
        new = found[inside(found.boxes, np.array([proposal.region]))[:, 0]]
        free = new[~inside(new.boxes, self._cells_in(proposal, image, index)).any(1)]
        if len(free):
            review = Review.of(layer, self.viewer)
            layer.add(to_rectangles(free.boxes, index), shape_type="rectangle")
            if free.vocabulary == review.vocabulary:
                review.set_readings(review.ids[-len(free) :], free)

    def _cells_in(self, proposal: Proposal, image: Image, index: Index) -> Any:
        """Return the boxes (N, 4) of the cells that are drawn on a proposal already."""
        layer = add_cells(self.viewer, image)
        boxes = to_boxes([shape for shape in layer.data if tuple(np.rint(shape[0, :-2]).astype(int)) == index])
        return boxes[inside(boxes, np.array([proposal.region]))[:, 0]]

    def forget_removed(self) -> None:
        """Give up proposals on pictures that are gone."""
        self.proposals = [each for each in self.proposals if each[1] in self.viewer.layers]

    def close(self) -> None:
        self._stop.set()
        self._process.close()


def _evenly(places: Sequence[Index]) -> list[Index]:
    chosen = np.linspace(0, len(places) - 1, min(len(places), MAX_SEARCHED)).astype(int)
    return [places[row] for row in chosen]
