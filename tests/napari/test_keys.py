"""The review by key."""

from __future__ import annotations

from dataclasses import replace

import pytest
from napari.components import _viewer_key_bindings
from napari.layers import Shapes
from napari.layers.shapes import _shapes_key_bindings
from napari.utils.key_bindings import KeymapHandler, coerce_keybinding
from napari.utils.shortcuts import default_shortcuts
from reviewing import assert_same, select, state

from bloodfilm.cells import Cells
from bloodfilm.napari.keys import keys, type_keys
from bloodfilm.napari.review import Review
from bloodfilm.vocabulary import Vocabulary


def press(review: Review, *names: str) -> None:
    """Press keys as napari does while the layer is active."""
    handler = KeymapHandler()
    handler.keymap_providers = [review.layer]
    for name in names:
        handler.press_key(coerce_keybinding(name))


def test_every_key_of_the_review_is_free_in_napari(review: Review) -> None:
    of_napari = {
        str(coerce_keybinding(key))
        for action, shortcuts in default_shortcuts.items()
        for key in shortcuts
        if action in {f"napari:{name}" for name in dir(_shapes_key_bindings)} or action in _viewer_actions()
    }
    of_napari |= {str(key) for cls in (Shapes, *Shapes.__mro__) for key in getattr(cls, "class_keymap", {})}
    assert of_napari > {"R", "Ctrl+C"}
    ours = [str(coerce_keybinding(key.key)) for key in keys(review.vocabulary)]
    assert not of_napari & set(ours)
    assert len(set(ours)) == len(ours) == 5 + 14 + 7 + 2


def _viewer_actions() -> set[str]:
    return {f"napari:{name}" for name in dir(_viewer_key_bindings)}


def test_cells_are_reviewed_by_key(review: Review) -> None:
    press(review, "N", "Y", "N", "J", "N", "Shift+Q", "Shift+O")
    features = review.layer.features
    assert list(features["review"]) == ["accepted", "rejected", "changed"]
    assert (features["class"][2], features["nucleolus"][2]) == ("Myeloblast", "inconspicuous")
    press(review, "Shift+O")
    assert review.layer.features["nucleolus"][2] == "prominent"
    press(review, *["Ctrl+Z"] * 5)
    assert set(review.layer.features["review"]) == {""}
    press(review, *["Ctrl+Shift+Z"] * 5)
    assert list(review.layer.features["review"]) == ["accepted", "rejected", "changed"]


def test_one_key_a_cell_is_enough(review: Review) -> None:
    review.goes_on, told = True, []
    review.told.connect(told.append)
    press(review, "Y", "N", "Shift+A", "Shift+D", "J", "N")
    assert list(review.layer.features["class"][:2]) == ["Neutrophil", "Monocyte"]
    assert list(review.layer.features["review"]) == ["accepted", "changed", "rejected"]
    assert "Select a cell first" in told[0] and "All cells are reviewed" in told[-1]


def test_doubtful_cells_come_one_after_the_other(review: Review) -> None:
    wanted = review.most_doubtful(3)
    seen = []
    for _ in range(4):
        press(review, "U")
        seen += review.selected
    assert seen == [*wanted, wanted[0]]


def test_other_vocabularies_have_keys_too() -> None:
    names = ("Neutrophil", "Plasma cell", "Smudge cell", *(f"type {n}" for n in range(20)))
    found = type_keys(Vocabulary(names))
    assert found["A"] == "Neutrophil" and found["S"] == "Plasma cell"
    assert len(found) == 14


def test_what_the_model_reads_replaces_what_was_there_and_can_be_undone(review: Review, cells: Cells) -> None:
    review.accept(review.ids)
    before, wanted = state(review), []
    review.reading_wanted.connect(wanted.append)
    select(review, 1)
    press(review, "M")
    assert wanted == [review.ids[1:2]]
    review.set_readings(wanted[0], replace(cells[:1], scores=[1.0]))
    row = review.layer.features.iloc[1]
    assert (row["class"], row["nucleolus"], row["review"]) == ("Neutrophil", "prominent", "")
    assert (row["class_score"], row["score"]) == (pytest.approx(0.8), 0.5)
    review.undo()
    assert_same(review, before)
