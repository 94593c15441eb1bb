from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bloodfilm.cells import Cells, Field, Origin
from bloodfilm.evaluation.attributes import macro_f1, read
from bloodfilm.evaluation.intervals import interval, units_of
from bloodfilm.evaluation.report import evaluate

Annotated = Callable[..., Field]
BOX = [[10, 10, 50, 50]]


def of(patient: str, field: Field) -> Field:
    return replace(field, origin=Origin(patient, 1, None, 1000, "ALL"))


def test_fields_of_one_patient_are_drawn_together(annotated: Annotated) -> None:
    fields = [of("4", annotated()), annotated(), of("7", annotated()), of("4", annotated()), annotated()]
    units = units_of(fields)
    assert str(units) == "2 patients and 2 fields whose patient is unknown"
    drawn = units.draw(200)
    assert drawn.shape == (200, 5)
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 3])
    np.testing.assert_array_equal(drawn[:, [0, 1, 2, 4]].sum(1), 4)
    assert drawn.mean(0) == pytest.approx(1, abs=0.25)
    np.testing.assert_array_equal(drawn, units.draw(200))


def test_one_patient_has_no_interval(annotated: Annotated) -> None:
    fields = [of("4", annotated(name=f"{n}.png")) for n in range(3)]
    assert np.isnan(evaluate(fields, fields)["detection"]["ap50_interval"]).all()


def test_the_interval_leaves_out_draws_without_a_score() -> None:
    assert interval(np.append(np.arange(101), np.nan), 1_000_000) == pytest.approx([2.5, 97.5], abs=1e-3)
    assert np.isnan(interval(np.array([np.nan]), 9)).all()


@pytest.mark.parametrize("units", [5, 8])
def test_the_interval_of_few_units_holds_their_mean(units: int) -> None:
    """Plain percentiles hold it in 0.85 of the samples of five."""
    random = np.random.default_rng(0)
    held = 0
    for sample in random.normal(size=(400, units)):
        weights = random.multinomial(units, np.full(units, 1 / units), size=400)
        low, high = interval(weights @ sample / units, units)
        held += low <= 0 <= high
    assert held / 400 > 0.9


def test_a_patient_of_many_fields_widens_the_interval(annotated: Annotated) -> None:
    """Eight fields are right and eight wrong; if each side is one patient, all may be right, or none."""
    boxes = [BOX] * 8 + [[[100, 100, 150, 150]]] * 8
    truth = [annotated(BOX, name=f"{n}.png") for n in range(16)]
    found = [annotated(box, name=f"{n}.png") for n, box in enumerate(boxes)]
    alone = evaluate(truth, found)
    low, high = alone["detection"]["ap50_interval"]
    assert low < alone["detection"]["ap50"] < high
    assert alone["protocol"]["drawn"] == "16 fields whose patient is unknown"
    together = evaluate([of(str(n // 8), field) for n, field in enumerate(truth)], found)
    assert together["protocol"]["drawn"] == "2 patients"
    assert together["detection"]["ap50_interval"] == pytest.approx([0, 1], abs=0.01)


def test_f1_of_drawn_fields_is_f1_of_their_cells(annotated: Annotated) -> None:
    true, said = [3, 3, 7, 1], [3, 7, 7, 1]
    truth = [annotated(BOX, codes=[code]) for code in true]
    reading = read([Cells(BOX, codes=[code]) for code in said], truth)["class"]
    weights = np.array([[1, 1, 1, 1], [2, 1, 0, 0], [0, 0, 3, 1], [0, 0, 0, 0]])
    expected = [macro_f1(np.repeat(said, times), np.repeat(true, times)) for times in weights]
    np.testing.assert_allclose(reading.f1(weights), expected)
