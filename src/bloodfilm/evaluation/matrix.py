"""Every model on every data set: what is lost on another microscope."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from bloodfilm.cells import Field
from bloodfilm.detection.detector import LOWEST_SCORE, Detector
from bloodfilm.detection.provenance import score_of
from bloodfilm.errors import UserError
from bloodfilm.evaluation.heat_map import page, svg
from bloodfilm.evaluation.leakage import check_patients
from bloodfilm.evaluation.report import evaluate, to_json
from bloodfilm.io.annotated import read_annotated
from bloodfilm.io.coco import coco_content
from bloodfilm.io.files import replacing
from bloodfilm.io.images import read_image
from bloodfilm.nets.checkpoint import read_card
from bloodfilm.review.states import taken_for_true
from bloodfilm.weights import MIN_SCORE

Row = dict[str, Any]
TABLE = "matrix.csv"


@dataclass(frozen=True)
class Matrix:
    """Scores of each model, a row, on each truth, a column."""

    models: list[str]
    truths: list[str]
    rows: list[Row]

    def values(self, score: str) -> list[list[float]]:
        by_pair = {(row["model"], row["truth"]): row for row in self.rows}
        return [[float(by_pair[model, truth][score]) for truth in self.truths] for model in self.models]

    @property
    def notes(self) -> list[str]:
        """What is to be said of leakage, once for each kind."""
        said: dict[str, list[str]] = {}
        for row in self.rows:
            texts = [f"patients both learned from and tested: {row['leakage']}"]
            if row["left_out"]:
                texts.append(f"fields of patients that the model learned from are left out: {row['left_out']}")
            for text in texts:
                said.setdefault(text, []).append(f"{row['model']} on {row['truth']}")
        return [f"{text} ({', '.join(pairs)})" for text, pairs in said.items()]

    def to_dict(self) -> Row:
        return {"models": self.models, "truths": self.truths, "scores": self.rows, "notes": self.notes}


def score_matrix(
    models: Mapping[str, str | Path],
    truths: Mapping[str, str | Path],
    out: str | Path,
    min_score: float = MIN_SCORE,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Matrix:
    """Score each of `models` (name to checkpoint) on each of `truths` (name to what `read_annotated` reads).

    What the vocabulary of a model has no name for is unknown in its tests; a warning names such types, another one says
    how many pictures are not there, which are left out, one more how many cells a model found and nobody reviewed. Of
    data sets with several splits test is taken. Fields of patients that a model says it learned from are left out of
    its tests. Writes ``matrix.csv`` after each pair, and in the end ``matrix.json``, ``matrix.svg`` and ``matrix.html``
    to `out`. Pairs whose model, labels and `min_score` are still those of ``matrix.csv`` are not scored again; its rows
    of other models, truths and lowest scores stay.

    Raises
    ------
    UserError
        If a file is missing, no picture of it is there, or no field is left to test on.
    """
    out = Path(out)
    cards = {name: read_card(model) for name, model in models.items()}
    vocabularies = {card.vocabulary for card in cards.values()}
    pairs = product(truths, vocabularies)
    fields = {(name, own): read_annotated(truths[name], own, test=True) for name, own in pairs}
    for (name, _), listed in fields.items():
        if told := taken_for_true(listed):
            warnings.warn(f"{name}: {told}.", stacklevel=2)
    digests = {each: _digest(listed) for each, listed in fields.items()}
    known = {_key(row): row for row in _read(out / TABLE)}
    done: dict[tuple[str, ...], Row] = {}
    for model, card in cards.items():
        detector = None
        for truth in truths:
            row: Row = {"model": model, "truth": truth, "model_sha256": card.sha256, "min_score": min_score}
            row |= {"truth_sha256": digests[truth, card.vocabulary]}
            if _key(row) in known:
                row = known[_key(row)]
            else:
                detector = detector or Detector(models[model], device)
                row |= score_pair(detector, truth, fields[truth, card.vocabulary], min_score)
            done[_key(row)] = row
            _write(out / TABLE, [*(known | done).values()])
            if progress:
                progress(len(done), len(cards) * len(truths))
    matrix = Matrix(list(models), list(truths), [*done.values()])
    outdated = {_pair(row) for row in matrix.rows}
    _write(out / TABLE, [*matrix.rows, *(row for row in known.values() if _pair(row) not in outdated)])
    picture = svg(matrix.models, matrix.truths, matrix.values("ap50"))
    for name, text in {
        "matrix.json": to_json(matrix.to_dict()),
        "matrix.svg": picture,
        "matrix.html": page(picture, matrix.rows, matrix.notes),
    }.items():
        with replacing(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return matrix


def score_pair(detector: Detector, name: str, truth: list[Field], min_score: float) -> Row:
    """Search the pictures of `truth`; return one line of scores."""
    kept, leakage = check_patients(detector.card.patients, truth)
    if not kept:
        raise UserError(f"{detector.card.name} learned from every patient of {name}: nothing is left to test on.")
    found = [replace(field, cells=detector.detect(read_image(field.path), LOWEST_SCORE)) for field in kept]
    scores = evaluate(kept, found, min_score, score_of=score_of(detector))
    low, high = scores["detection"]["ap50_interval"]
    means = scores["mean_types"]
    row = scores["detection"] | {"ap50_low": low, "ap50_high": high, "left_out": len(truth) - len(kept)}
    row |= {f"{key}_{group.replace(' ', '_')}": means[group][key] for group in means for key in ("ap50", "ap")}
    row |= {"attributes_f1": scores["mean_attributes"]["macro_f1"], "leakage": leakage}
    return {key: value for key, value in row.items() if not key.endswith("_interval")}


def _digest(fields: list[Field]) -> str:
    """Return what changes if a picture comes or goes, or its labels change."""
    return hashlib.sha256(json.dumps(coco_content(fields)).encode()).hexdigest()


def _key(row: Row) -> tuple[str, ...]:
    """Return what must be the same for a row to stay true."""
    return (*(row[name] for name in ("model", "truth", "model_sha256", "truth_sha256")), f"{row['min_score']:g}")


def _pair(row: Row) -> tuple[str, ...]:
    """Return what a row is about, of which there is one in a table."""
    return row["model"], row["truth"], f"{row['min_score']:g}"


def _read(path: Path) -> list[Row]:
    words = dict.fromkeys(("model", "truth"), str)
    return pd.read_csv(path, dtype=words).to_dict("records") if path.exists() else []


def _write(path: Path, rows: list[Row]) -> None:
    with replacing(path) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)
