"""Make scores and probabilities mean what they say: fitted on held-out fields, folded into the weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, logit

from bloodfilm.cells import Field
from bloodfilm.detection.detector import Detector
from bloodfilm.evaluation.calibration import score_hits
from bloodfilm.io.images import read_image
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import Card
from bloodfilm.nets.reader import middles
from bloodfilm.training.boxed import cut_out
from bloodfilm.vocabulary import UNKNOWN

LOWEST_FITTED = 0.05
"""Cells with a lower score teach nothing about the others; a true one among them is mostly an error of the labels."""

UNCHANGED = 1.0, 0.0
"""Slope and offset of scores that stay as they are."""

MIN_JUDGED = 50
"""Cells that are needed to fit anything; with fewer it stays as it is."""


def calibrate(
    network: AttriDet, card: Card, fields: Sequence[Field], singles: Sequence[Field] = ()
) -> tuple[AttriDet, Card]:
    """Return a copy of `network` whose scores and probabilities are right on `fields`, which it was not trained on.

    `singles` are further fields for types and attributes only: their boxes may be found ones.
    Scores get a slope and an offset (Platt, 1999), types and each attribute a temperature (Guo et al., On calibration
    of modern neural networks, ICML 2017); neither changes an order. They are part of the weights afterwards, and
    listed in the card.
    """
    network = copy.deepcopy(network).cpu().eval()
    detector = Detector.from_network(copy.deepcopy(network), card, torch.device("cpu"))
    found = [detector.detect(read_image(field.path), LOWEST_FITTED) for field in fields]
    scores, hits = score_hits(found, fields)
    slope, offset = fit_logistic(logit(scores.clip(1e-6, 1 - 1e-6)), hits)
    temperatures = [fit_temperature(*part) for part in _readings(network, [*fields, *singles])]
    fold(network, slope, offset, temperatures)
    named = dict(zip(card.vocabulary.reading_names, temperatures, strict=True))
    calibration = {"score_slope": slope, "score_offset": offset, **named}
    return network, card.model_copy(update={"calibration": calibration})


def fit_logistic(logits: npt.ArrayLike, hits: npt.ArrayLike) -> tuple[float, float]:
    """Return slope and offset with which ``sigmoid(slope * logits + offset)`` is most likely, given `hits`.

    As in Platt's paper (1999), a hit among N counts as (N + 1) / (N + 2), a miss as 1 / (N + 2): where all hits have
    higher logits than all misses, the slope would grow without bound, and every score become 0 or 1.
    """
    x, true = np.asarray(logits, float), np.asarray(hits, bool)
    if len(x) < MIN_JUDGED or true.all() or not true.any():
        return UNCHANGED
    number = np.where(true, true.sum(), (~true).sum())
    wrong = 1 / (number + 2)

    def surprise(values: npt.NDArray[np.float64]) -> float:
        z = np.exp(values[0]) * x + values[1]
        z = np.where(true, z, -z)
        return float(((1 - wrong) * np.logaddexp(0, -z) + wrong * np.logaddexp(0, z)).mean())

    log_slope, offset = minimize(surprise, (0.0, 0.0)).x
    return float(np.exp(log_slope)), float(offset)


def fit_temperature(logits: npt.ArrayLike, codes: npt.ArrayLike) -> float:
    """Return the temperature by which to divide `logits` (K, values) so that `codes` (K,) are most likely."""
    x, codes = np.asarray(logits, float), np.asarray(codes)
    if len(codes) < MIN_JUDGED:
        return 1.0

    def surprise(log_temperature: float) -> float:
        return -float(log_softmax(x / np.exp(log_temperature), axis=1)[np.arange(len(codes)), codes].mean())

    return float(np.exp(minimize_scalar(surprise, bounds=(-2, 2), method="bounded").x))


@torch.no_grad()
def fold(network: AttriDet, slope: float, offset: float, temperatures: Sequence[float]) -> None:
    """Change the last layers of `network` so that scores and readings come out calibrated.

    `temperatures` are those of the type and of each attribute.
    """
    channel = network.detector.detect.score_channel(0)
    for name, tensor in network.detector.detect.m.named_parameters():
        scores = tensor.view(3, -1, *tensor.shape[1:])[:, channel]
        scores.mul_(slope)
        if name.endswith("bias"):
            scores.add_(offset)
    divisor = torch.repeat_interleave(torch.tensor(temperatures), torch.tensor(network.outputs))
    for tensor in network.attributes.get_submodule("last").parameters():
        tensor.div_(divisor.view(-1, *[1] * (tensor.ndim - 1)))


def unfold(network: AttriDet, card: Card) -> None:
    """Give back to `network` the scores and readings that it had before it was calibrated as `card` says."""
    if card.calibration:
        slope, offset = card.calibration["score_slope"], card.calibration["score_offset"]
        temperatures = [1 / card.calibration[name] for name in card.vocabulary.reading_names]
        fold(network, 1 / slope, -offset / slope, temperatures)


@torch.inference_mode()
def _readings(network: AttriDet, fields: Sequence[Field]) -> list[tuple[npt.ArrayLike, npt.ArrayLike]]:
    """Return logits (K, values) and codes (K,) of the cells whose type is known, and so for each attribute."""
    logits, codes = [], []
    for field in fields:
        cells = cut_out([field])
        logits.append(torch.cat(network.read(cells.patches / 255, middles(len(cells.codes))), 1))
        codes.append(cells.codes)
    table = torch.cat(codes)
    parts = torch.split(torch.cat(logits), network.outputs, 1)
    known = table != UNKNOWN
    return [(p[k].numpy(), c[k].numpy()) for p, c, k in zip(parts, table.T, known.T, strict=True)]
