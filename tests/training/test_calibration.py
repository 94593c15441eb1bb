from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from bloodfilm.cells import Cells, Field
from bloodfilm.detection.detector import Detector
from bloodfilm.io.images import read_image
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import Card
from bloodfilm.training.calibration import calibrate, fit_logistic, fit_temperature, fold, unfold
from bloodfilm.vocabulary import LLD


def test_slope_and_offset_of_overconfident_scores_are_found() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, 20_000)
    hits = random.random(20_000) < expit(0.5 * logits - 1)
    assert fit_logistic(logits, hits) == pytest.approx((0.5, -1), abs=0.05)


def test_scores_do_not_become_certain_where_all_hits_have_higher_ones_than_misses() -> None:
    logits, hits = np.r_[np.linspace(-3, -1, 40), np.linspace(1, 3, 60)], np.arange(100) >= 40
    slope, offset = fit_logistic(logits, hits)
    scores = expit(slope * logits + offset)
    assert scores[hits].mean() < 0.99
    assert scores[~hits].mean() > 0.01
    assert len(np.unique(scores.astype(np.float32))) == 100


@pytest.mark.parametrize("hits", [[], [True] * 100, [False] * 100, [True, False] * 10])
def test_too_little_to_judge_changes_no_score(hits: list[bool]) -> None:
    assert fit_logistic(np.zeros(len(hits)), hits) == (1, 0)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_probabilities_is_found(temperature: float) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (20_000, 4))
    chances = softmax(logits / temperature, axis=1)
    codes = (chances.cumsum(1) < random.random((20_000, 1))).sum(1)
    assert fit_temperature(logits, codes) == pytest.approx(temperature, rel=0.05)


def test_a_handful_of_labels_changes_no_probability() -> None:
    assert fit_temperature(np.eye(4), np.arange(4)) == 1


def test_slope_offset_and_temperatures_are_folded_into_the_weights(network: AttriDet) -> None:
    changed = copy.deepcopy(network)
    temperatures = [1.0 + place for place in range(len(network.outputs))]
    fold(changed, 0.5, -1.0, temperatures)
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    rois = torch.tensor([[0, 10.0, 10, 40, 40], [1, 5, 20, 30, 60]])
    with torch.inference_mode():
        before, after = network.detector(images), changed.detector(images)
        for old, new in zip(before.levels, after.levels, strict=True):
            torch.testing.assert_close(new[..., 4], 0.5 * old[..., 4] - 1)
            torch.testing.assert_close(new[..., :4], old[..., :4])
            torch.testing.assert_close(new[..., 5:], old[..., 5:])
        readings = zip(changed.read(images, rois), network.read(images, rois), temperatures, strict=True)
        for new, old, temperature in readings:
            torch.testing.assert_close(new, old / temperature)


def test_what_was_folded_into_the_weights_can_be_taken_out_again(network: AttriDet) -> None:
    changed = copy.deepcopy(network)
    temperatures = [1.0 + place for place in range(len(network.outputs))]
    fold(changed, 0.5, -1.0, temperatures)
    names = ("class", *LLD.attribute_names)
    told = {"score_slope": 0.5, "score_offset": -1.0, **dict(zip(names, temperatures, strict=True))}
    unfold(changed, Card(name="test", calibration=told))
    for old, new in zip(network.state_dict().values(), changed.state_dict().values(), strict=True):
        torch.testing.assert_close(new, old)


def test_scores_that_are_too_high_are_lowered(network: AttriDet, fields: list[Field]) -> None:
    card = Card(name="test", image_size=96)
    picture = read_image(fields[0].path)

    def find(each: AttriDet) -> Cells:
        return Detector.from_network(copy.deepcopy(each), card, torch.device("cpu")).detect(picture, 0.01)

    before = find(network)
    few_of_them = replace(fields[0], cells=Cells(before.boxes[::20]))
    changed, after = calibrate(network, card, [few_of_them] * 10)
    assert after.calibration["score_offset"] < 0
    assert find(changed).scores.sum() < 0.5 * before.scores.sum()


def test_the_given_network_is_not_changed(network: AttriDet, fields: list[Field]) -> None:
    before = copy.deepcopy(network.state_dict())
    calibrate(network, Card(name="test", image_size=96), fields)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_fields_without_cells_change_nothing(network: AttriDet, bare: Field) -> None:
    changed, _ = calibrate(network, Card(name="test", image_size=96), [bare])
    for old, new in zip(network.state_dict().values(), changed.state_dict().values(), strict=True):
        assert torch.equal(old, new)
