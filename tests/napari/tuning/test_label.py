"""The part of the panel where pictures are labelled; the viewer needs no window."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from napari.components import ViewerModel

from bloodfilm.cells import Cells
from bloodfilm.napari.layers import cells_layer, to_boxes
from bloodfilm.napari.tuning.fields import add_regions, regions_of, show_only
from bloodfilm.napari.tuning.label import LabelSection
from bloodfilm.training.proposals import Proposal
from bloodfilm.vocabulary import LLD, UNKNOWN_CLASS, Vocabulary


@pytest.fixture
def section(viewer_model: ViewerModel, qtbot) -> Iterator[LabelSection]:
    """The section for two pictures that lie on each other."""
    for name in ("one", "two"):
        viewer_model.add_image(np.full((80, 100, 3), 200, np.uint8), rgb=True, name=name)
    section = LabelSection(viewer_model)
    qtbot.addWidget(section)
    yield section
    section.end()


def test_a_region_is_drawn_on_the_suggested_picture_that_is_shown(section: LabelSection) -> None:
    one, two = section.viewer.layers
    show_only(section.viewer, two)
    section.draw_region.click()
    section.suggestions.proposals = [(Proposal(0, (5, 5, 45, 45), 1.0, "doubt"), one, ())]
    section.go.click()
    assert (one.visible, two.visible) == (True, False)
    section.draw_region.click()
    assert section.viewer.layers.selection.active is regions_of(section.viewer, one)


def test_a_region_is_not_drawn_on_a_hidden_picture(section: LabelSection) -> None:
    one, two = section.viewer.layers
    section.viewer.layers.selection.active = two
    two.visible = False
    assert section.image is one
    section.viewer.layers.selection.clear()
    assert section.image is one
    two.visible = True
    assert section.image is two
    one.visible = two.visible = False
    section.draw_region.click()
    assert section.image.visible


@pytest.mark.parametrize(
    ("vocabulary", "words"), [(LLD, ["Monocyte"]), (Vocabulary(("ALL", "healthy")), [UNKNOWN_CLASS])]
)
def test_suggested_cells_have_no_type_where_the_labels_have_other_types(
    section: LabelSection, vocabulary: Vocabulary, words: list[str]
) -> None:
    one, found = section.viewer.layers["one"], Cells([[10, 10, 30, 30]], codes=[LLD.class_code("Monocyte")])
    labels = Cells([[60, 40, 80, 66]], codes=[0], vocabulary=vocabulary)
    layer = section.viewer.add_shapes(**cells_layer(labels, "labels", metadata={"picture": "one"}))
    section.suggestions._found = {(one, ()): found}
    section.suggestions.proposals = [(Proposal(0, (5, 5, 45, 45), 1.0, "doubt"), one, ())]
    section.accept.click()
    np.testing.assert_array_equal(to_boxes(layer.data[1:]), found.boxes)
    assert [*layer.features["class"]] == [vocabulary.classes[0], *words]
    assert len(regions_of(section.viewer, one).data) == 1


@pytest.mark.parametrize("kind", ["polygon", "path", "ellipse", "rectangle"])
def test_one_drawn_shape_is_one_region(section: LabelSection, kind: str) -> None:
    shape = np.array([[10, 50], [40, 90], [70, 50], [40, 10]], float)
    add_regions(section.viewer, section.viewer.layers["one"]).add([shape], shape_type=kind)
    section.refresh()
    assert section.pictures.item(0).text().startswith("1 region, 0 cells")


def test_shapes_that_overlap_are_as_many_regions(section: LabelSection) -> None:
    layer = add_regions(section.viewer, section.viewer.layers["one"])
    layer.add([np.array([[10, 10], [40, 50]]), np.array([[30, 40], [70, 90]])], shape_type="rectangle")
    layer.add([np.array([[5, 60], [5, 80], [45, 70]])], shape_type="polygon")
    section.refresh()
    assert section.pictures.item(0).text().startswith("3 regions, 0 cells")


def test_a_picture_that_is_renamed_is_listed_by_its_new_name(section: LabelSection, qtbot) -> None:
    section.viewer.layers["one"].name = "slide 7"
    qtbot.waitUntil(lambda: section.pictures.item(0).text().endswith(": slide 7"))
    assert section.pictures.count() == len(section.images)
