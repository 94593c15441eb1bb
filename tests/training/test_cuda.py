"""What is trained and found on a graphics card; these tests need one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bloodfilm.cells import Field
from bloodfilm.detection.detector import Detector
from bloodfilm.evaluation.matching import match
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import load
from bloodfilm.synth import sample_field
from bloodfilm.training.augment import TRANSFORMS, Transform
from bloodfilm.training.boxed import cut_out
from bloodfilm.training.heads import teach_readings
from bloodfilm.training.loop import train
from bloodfilm.training.method import Method
from bloodfilm.training.settings import HeadSettings, Settings, SparseSettings
from bloodfilm.training.sparse import Sparse
from bloodfilm.training.supervised import Supervised

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_same_cells_are_found_as_on_the_processor(precision: torch.dtype) -> None:
    picture, _ = sample_field()
    here = Detector(device="cpu", precision=torch.float32).detect(picture)
    there = Detector(device="cuda", precision=precision).detect(picture)
    assert len(here) == len(there)
    field = Field(Path(), here, picture.shape[1], picture.shape[0])
    rows = match(there, field)
    assert (rows >= 0).all()
    np.testing.assert_allclose(there.boxes, here.boxes[rows], atol=2)
    np.testing.assert_allclose(there.scores, here.scores[rows], atol=0.05)
    typed = (there.codes >= 0) & (here.codes[rows] >= 0)
    assert typed.any()
    assert (there.codes == here.codes[rows])[typed].all()


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_pictures_are_changed_where_they_are(transform: Transform) -> None:
    images = torch.rand((2, 3, 64, 64), device="cuda")
    changed = transform(images, torch.Generator().manual_seed(0))
    assert changed.device == images.device
    assert not torch.equal(changed, images)


def sparse() -> Sparse:
    return Sparse(SparseSettings(pseudo=True, burn_in=0.0))


@pytest.mark.parametrize("method", [Supervised, sparse])
def test_a_run_begun_on_a_card_goes_on_on_the_processor(
    method: Callable[[], Method], fields: list[Field], tmp_path: Path
) -> None:
    half = np.array([[0, 0, 48, 96]], np.float32)
    if method is sparse:
        fields = [replace(f, cells=f.cells[f.cells.boxes[:, 2] <= 48], labelled_regions=half) for f in fields]
    settings = Settings(image_size=64, batch=2, epochs=2, device="cuda")
    epochs: list[float] = []
    stopped = train(
        fields,
        fields[:2],
        tmp_path,
        settings,
        method=method(),
        report=lambda row: epochs.append(row["epoch"]),
        cancelled=lambda: bool(epochs),
    )
    assert load(stopped)
    before = load_file(tmp_path / "last.safetensors")
    train(fields, fields[:2], tmp_path, replace(settings, device="cpu"), resume=True, method=method())
    after = load_file(tmp_path / "last.safetensors")
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3


def test_types_and_attributes_are_learned_on_a_card(fields: list[Field], network: AttriDet) -> None:
    losses: list[float] = []
    settings = HeadSettings(epochs=10, batch=2, device="cuda")
    taught = teach_readings(network, cut_out(fields), settings, lambda row: losses.append(row["loss"]))
    readings = losses[-settings.epochs :]
    assert readings[-1] < readings[0]
    assert not next(taught.parameters()).is_cuda
