"""What the classes of an imported model become."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from plain_yolov5 import before_suppression, imported, reference, weights
from torch import Tensor, nn

from bloodfilm.vocabulary import LLD, Vocabulary


@pytest.mark.parametrize("names", [["Blast", "Smudge", "WBC"], {0: "Blast", 1: "Smudge", 2: "WBC"}])
def test_other_classes_make_a_vocabulary_of_their_own(
    tmp_path: Path, whole: Callable[..., nn.Module], names: Any
) -> None:
    _, card = imported(tmp_path / "a.pt", {"model": whole(weights(), names=names)})
    assert card.vocabulary == Vocabulary(("Blast", "Smudge", "WBC"), LLD.attributes)
    assert (card.classes, card.attributes) == (["Blast", "Smudge", "WBC"], [])


def test_names_may_lie_beside_a_state_dict(tmp_path: Path) -> None:
    _, card = imported(tmp_path / "a.pt", {"model": weights(), "names": ["a", "b", "c"]})
    assert card.classes == ["a", "b", "c"]


@pytest.mark.parametrize("names", [None, ["a", "b"], ["a", "b", "A"], [1, 2, 3], {1: "a", 2: "b", 3: "c"}, "abc"])
def test_classes_without_names_of_their_own_are_numbered(
    tmp_path: Path, whole: Callable[..., nn.Module], names: Any
) -> None:
    _, card = imported(tmp_path / "a.pt", {"model": whole(weights(), names=names)})
    assert card.classes == ["class 0", "class 1", "class 2"]


def test_classes_of_lld_are_mapped_by_name(tmp_path: Path, whole: Callable[..., nn.Module], images: Tensor) -> None:
    state, names = weights(), ["basophil", "Atypical-Lymphocyte", "None"]
    network, card = imported(tmp_path / "a.pt", {"model": whole(state, names=names)})
    assert card.vocabulary == LLD
    assert card.classes == ["None", "Atypical lymphocyte", "Basophil"]
    found, expected = before_suppression(network, images), reference(state, images)
    codes = [LLD.class_code(name) for name in names]
    torch.testing.assert_close(found[..., :5], expected[..., :5], atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(found[..., [5 + code for code in codes]], expected[..., 5:], atol=1e-4, rtol=1e-5)
    others = [5 + code for code in range(14) if code not in codes]
    assert found[..., others].max() < 1e-4


def test_two_classes_that_are_one_for_lld_stay_two(
    tmp_path: Path, whole: Callable[..., nn.Module], images: Tensor
) -> None:
    state, names = weights(), ["None", "Neutrophil", "Unidentified"]
    network, card = imported(tmp_path / "a.pt", {"model": whole(state, names=names)})
    assert (card.classes, card.vocabulary.classes) == (names, tuple(names))
    torch.testing.assert_close(before_suppression(network, images), reference(state, images), atol=1e-4, rtol=1e-5)
